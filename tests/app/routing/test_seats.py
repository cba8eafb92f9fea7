"""Where conversations sit: found again by what was said, called or named, and forgotten in time."""

from typing import Any

import pytest

from app.routing.ask import Ask
from app.routing.seats import CACHED_S, Seats, TurnKeys, call_keys, tenant_key
from policy.tokens import LEAST_CACHED

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


def keys_of(*messages: dict[str, Any], session: str | None = None, tenant: str = "t") -> TurnKeys:
    return TurnKeys.of(Ask(messages=list(messages), session=session), tenant)


def test_a_turn_is_followed_by_what_was_said_before_it() -> None:
    seats = Seats()
    seats.take(keys_of(HELLO).after, "a", LONG)
    found = seats.find(keys_of(HELLO, ANSWER, MORE))
    assert found is not None
    assert (found.arm, found.tokens) == ("a", LONG)
    seats.take(keys_of(HELLO, ANSWER, MORE).after, "b", LONG)
    found = seats.find(keys_of(HELLO, ANSWER, MORE, ANSWER, HELLO))
    assert found is not None
    assert found.arm == "b"


@pytest.mark.parametrize(
    "other",
    [
        keys_of(HELLO),
        keys_of(MORE, ANSWER, MORE),
        keys_of({"role": "system", "content": "be brief"}, HELLO, ANSWER, MORE),
        keys_of(HELLO, ANSWER, MORE, tenant="another"),
        keys_of(HELLO, ANSWER, MORE, ANSWER, MORE),
    ],
    ids=["first turn", "other words", "other system", "other tenant", "a turn was missed"],
)
def test_another_conversation_sits_elsewhere(other: TurnKeys) -> None:
    seats = Seats()
    seats.take(keys_of(HELLO).after, "a", LONG)
    assert seats.find(other) is None


def test_a_session_is_a_conversation_whatever_is_said() -> None:
    seats = Seats()
    seats.take(keys_of(HELLO, session="s-1").after, "a", LONG)
    assert seats.find(keys_of(MORE, session="s-1")) is not None
    assert seats.find(keys_of(MORE, session="s-2")) is None
    assert seats.find(keys_of(HELLO, session="s-1", tenant="another")) is None


def called(identity: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a message that calls a tool, and the tool's result."""
    return (
        {"role": "assistant", "tool_calls": [{"id": identity}]},
        {"role": "tool", "tool_call_id": identity, "content": "42"},
    )


def has_called(seats: Seats, where: TurnKeys, identity: str, arm: str, tenant: str = "t") -> None:
    calls = call_keys([identity], where.after, tenant_key(tenant))
    seats.take((*where.after, *calls), arm, LONG)


@pytest.mark.parametrize("session", [None, "s-1"])
def test_the_results_of_tools_find_who_called_them_among_equal_conversations(
    session: str | None,
) -> None:
    seats = Seats()
    has_called(seats, keys_of(HELLO, session=session), "call_1", "a")
    has_called(seats, keys_of(HELLO, session=session), "call_2", "b")
    for number, arm in ((1, "a"), (2, "b")):
        found = seats.find(keys_of(HELLO, *called(f"call_{number}"), session=session))
        assert found is not None
        assert found.arm == arm


@pytest.mark.parametrize(
    ("hers", "his"),
    [
        ({"messages": [HELLO]}, {"messages": [MORE]}),
        ({"messages": [HELLO], "session": "s-1"}, {"messages": [HELLO], "session": "s-2"}),
        ({"messages": [HELLO], "session": "s-1"}, {"messages": [HELLO]}),
        ({"messages": [HELLO]}, {"messages": [HELLO], "tenant": "another"}),
        ({"messages": [MORE, ANSWER, HELLO]}, {"messages": [HELLO]}),
    ],
    ids=["words", "sessions", "no session", "tenants", "a longer one"],
)
def test_an_id_that_comes_in_every_conversation_leads_to_the_caller_of_each(
    hers: dict[str, Any], his: dict[str, Any]
) -> None:
    seats = Seats()
    for whose, arm in ((hers, "a"), (his, "b")):
        where = keys_of(*whose["messages"], **{k: v for k, v in whose.items() if k != "messages"})
        has_called(seats, where, "functions.get:0", arm, whose.get("tenant", "t"))
    for whose, arm in ((hers, "a"), (his, "b")):
        more = {k: v for k, v in whose.items() if k != "messages"}
        found = seats.find(keys_of(*whose["messages"], *called("functions.get:0"), **more))
        assert found is not None
        assert found.arm == arm


@pytest.mark.parametrize("session", [None, "s-1"])
def test_the_caller_is_found_by_its_id_where_the_history_was_cut(session: str | None) -> None:
    seats = Seats()
    has_called(seats, keys_of(HELLO, session=session), "call_0", "a")
    whole = keys_of(HELLO, *called("call_0"), MORE, session=session)
    has_called(seats, whole, "call_1", "b")
    found = seats.find(keys_of(HELLO, *called("call_1"), session=session))
    assert found is not None
    assert found.arm == "b"
    assert seats.find(keys_of(MORE, *called("call_1"), tenant="another")) is None


def test_within_a_session_an_id_that_comes_again_elsewhere_is_its_own() -> None:
    seats = Seats()
    has_called(seats, keys_of(HELLO, ANSWER, MORE, session="s-1"), "functions.get:0", "a")
    has_called(seats, keys_of(MORE, session="s-2"), "functions.get:0", "b")
    found = seats.find(keys_of(MORE, *called("functions.get:0"), session="s-1"))
    assert found is not None
    assert found.arm == "a"


def test_what_was_read_is_cached_for_a_while_and_the_seat_is_kept_longer() -> None:
    clock = Clock()
    seats = Seats(clock)
    seats.take(keys_of(HELLO).after, "a", LONG)
    follows = keys_of(HELLO, ANSWER, MORE)
    for passed_s, tokens in ((CACHED_S, LONG), (CACHED_S + 1, 0)):
        clock.now_s = passed_s
        found = seats.find(follows)
        assert found is not None
        assert (found.arm, found.tokens) == ("a", tokens)


def test_what_is_too_short_is_not_cached() -> None:
    seats = Seats()
    seats.take(keys_of(HELLO).after, "a", LEAST_CACHED - 1)
    found = seats.find(keys_of(HELLO, ANSWER, MORE))
    assert found is not None
    assert found.tokens == 0


def test_memory_is_bounded_and_the_quietest_are_forgotten() -> None:
    seats = Seats(most=3)
    for session in ("a", "b", "a", "c", "d"):
        seats.take(keys_of(HELLO, session=session).before, session, LONG)
    assert len(seats) == 3
    known = [name for name in "abcd" if seats.find(keys_of(HELLO, session=name))]
    assert known == ["a", "c", "d"]


def test_one_turn_with_calls_without_end_takes_nobody_elses_seat() -> None:
    seats, ours, theirs = Seats(), keys_of(HELLO, tenant="ours"), keys_of(HELLO, tenant="theirs")
    has_called(seats, ours, "call_1", "small", "ours")
    ids = [f"call_{i}" for i in range(100_000)]
    seats.take(call_keys(ids, theirs.after, tenant_key("theirs")), "large", LONG)
    found = seats.find(keys_of(HELLO, *called("call_1"), tenant="ours"))
    assert found is not None
    assert found.arm == "small"
