"""Where conversations sit: found again by what was said, called or named, and forgotten in time."""

from typing import Any

import pytest

from app.routing.ask import Ask
from app.routing.seats import CACHED_S, LEAST_TOKENS, Place, Seats, call_keys

HELLO = {"role": "user", "content": "hello"}
ANSWER = {"role": "assistant", "content": "hi"}
MORE = {"role": "user", "content": "go on"}
LONG = 5_000


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def place(*messages: dict[str, Any], session: str | None = None, tenant: str = "t") -> Place:
    return Place.of(Ask(messages=list(messages), session=session), tenant)


def test_a_turn_is_followed_by_what_was_said_before_it() -> None:
    seats = Seats()
    seats.take(place(HELLO).after, "a", LONG)
    found = seats.find(place(HELLO, ANSWER, MORE))
    assert found is not None
    assert (found.arm, found.tokens) == ("a", LONG)
    seats.take(place(HELLO, ANSWER, MORE).after, "b", LONG)
    found = seats.find(place(HELLO, ANSWER, MORE, ANSWER, HELLO))
    assert found is not None
    assert found.arm == "b"


@pytest.mark.parametrize(
    "other",
    [
        place(HELLO),
        place(MORE, ANSWER, MORE),
        place({"role": "system", "content": "be brief"}, HELLO, ANSWER, MORE),
        place(HELLO, ANSWER, MORE, tenant="another"),
        place(HELLO, ANSWER, MORE, ANSWER, MORE),
    ],
    ids=["first turn", "other words", "other system", "other tenant", "a turn was missed"],
)
def test_another_conversation_sits_elsewhere(other: Place) -> None:
    seats = Seats()
    seats.take(place(HELLO).after, "a", LONG)
    assert seats.find(other) is None


def test_a_session_is_a_conversation_whatever_is_said() -> None:
    seats = Seats()
    seats.take(place(HELLO, session="s-1").after, "a", LONG)
    assert seats.find(place(MORE, session="s-1")) is not None
    assert seats.find(place(MORE, session="s-2")) is None
    assert seats.find(place(HELLO, session="s-1", tenant="another")) is None


def test_the_results_of_tools_find_who_called_them_among_equal_conversations() -> None:
    seats = Seats()
    seats.take((*place(HELLO).after, *call_keys(["call_1"])), "a", LONG)
    seats.take((*place(HELLO).after, *call_keys(["call_2"])), "b", LONG)
    for number, arm in ((1, "a"), (2, "b")):
        called = {"role": "assistant", "tool_calls": [{"id": f"call_{number}"}]}
        result = {"role": "tool", "tool_call_id": f"call_{number}", "content": "42"}
        found = seats.find(place(HELLO, called, result))
        assert found is not None
        assert found.arm == arm


def test_what_was_read_is_cached_for_a_while_and_the_seat_is_kept_longer() -> None:
    clock = Clock()
    seats = Seats(clock)
    seats.take(place(HELLO).after, "a", LONG)
    follows = place(HELLO, ANSWER, MORE)
    for passed_s, tokens in ((CACHED_S, LONG), (CACHED_S + 1, 0)):
        clock.now_s = passed_s
        found = seats.find(follows)
        assert found is not None
        assert (found.arm, found.tokens) == ("a", tokens)


def test_what_is_too_short_is_not_cached() -> None:
    seats = Seats()
    seats.take(place(HELLO).after, "a", LEAST_TOKENS - 1)
    found = seats.find(place(HELLO, ANSWER, MORE))
    assert found is not None
    assert found.tokens == 0


def test_memory_is_bounded_and_the_quietest_are_forgotten() -> None:
    seats = Seats(most=3)
    for session in ("a", "b", "a", "c", "d"):
        seats.take(place(HELLO, session=session).before, session, LONG)
    assert len(seats) == 3
    known = [name for name in "abcd" if seats.find(place(HELLO, session=name))]
    assert known == ["a", "c", "d"]
