"""The ceilings of an arm hold wherever the policy decides, and the log says why it was left out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from policy.ceilings import BURST
from tests.app.faulty import Faulty, broken, faulty, good
from tests.app.routing.test_answering import cut
from tests.app.routing.test_answering_recovery import CHEAP, DEAR, GOES_ON, rest, streamed
from tests.app.routing.test_router_seats import calling, looped

FEW = {**CHEAP, "max_share": 0.2}
WHY = "it has had its share of 0.2"
REQUESTS, CALLERS = 200, 8


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Faulty]:
    """Yield a service whose best arm may have a fifth."""
    with faulty(tmp_path, {"a": good, "b": good}, {"a": FEW, "b": DEAR}) as made:
        yield made


def ceilings(made: Faulty, arm: str) -> Any:
    arms = made.service.get("/policy")["arms"]
    return next(each["ceilings"] for each in arms if each["arm"] == arm)


def test_an_arm_gets_its_share_and_no_more_from_callers_at_once(made: Faulty) -> None:
    def ask(_: int) -> None:
        with made.service.client.application.test_client() as client:
            client.post("/complete", json={"prompt": "hi"})

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(ask, range(REQUESTS)))
    had = made.asked.count("a")
    assert 0.15 * REQUESTS < had <= 0.2 * REQUESTS
    rows = [each.decision for each in made.decisions]
    for row in rows:
        assert sum(row.propensities) == pytest.approx(1.0)
        assert row.ineligible in ({}, {"a": WHY})
        assert (row.arm, row.propensity) == ("b", 1.0) or not row.ineligible
    told = made.service.get(f"/decisions/{rows[0].id}")
    assert told["ineligible"] == {"a": WHY}
    assert ceilings(made, "a")["share"] == {"most": 0.2, "requests": had, "of": REQUESTS}
    assert ceilings(made, "b")["share"] is None
    assert f"at most 20 %: had {had} of 200" in " ".join(
        made.service.client.get("/pages/policy").text.split()
    )


def test_what_would_be_chosen_takes_nothing_of_a_share(made: Faulty) -> None:
    sober = {"prompt": "hi", "explore": False}
    for _ in range(4):
        made.service.ask(**sober)
    for _ in range(10):
        assert made.service.post("/route", sober).json["arm"] == "a"
    assert made.service.ask(**sober)["arm"] == "a"


def test_who_pins_an_arm_gets_it_and_that_counts(made: Faulty) -> None:
    for _ in range(9):
        made.service.ask(explore=False, models=["b"])
    assert ceilings(made, "a")["share"]["of"] == 0
    arms = [made.service.ask(explore=False)["arm"] for _ in range(4)]
    arms += [made.service.ask(models=["a"])["arm"] for _ in range(3)]
    arms += [made.service.ask(explore=False)["arm"] for _ in range(6)]
    assert "".join(arms) == "bbbb" + "aaa" + "bbbbab"
    assert ceilings(made, "a")["share"] == {"most": 0.2, "requests": 4, "of": 10}


def test_where_nobody_else_can_answer_the_share_is_lifted(tmp_path: Path) -> None:
    arms = {"a": {**FEW, "capabilities": ["tools"]}, "b": DEAR}
    tools = [{"type": "function", "function": {"name": "f"}}]
    with faulty(tmp_path, {"a": good, "b": good}, arms) as made:
        assert [made.service.ask(tools=tools)["arm"] for _ in range(10)] == ["a"] * 10
        assert made.service.ask(explore=False)["arm"] == "b"


def test_an_arm_that_fails_is_no_reason_to_exceed_a_share(tmp_path: Path) -> None:
    """Of two arms that could stand in the one that has had its share is passed over."""
    arms = {"a": {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0}, "b": FEW, "c": DEAR}
    with faulty(tmp_path, {"a": broken, "b": good, "c": good}, arms) as made:
        made.service.ask(explore=False)
        assert made.asked == ["a", "c"]
        assert made.decisions[-1].decision.ineligible["b"] == WHY


def test_while_the_others_are_left_alone_it_answers_beyond_its_share(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good, "b": broken}, {"a": FEW, "b": DEAR}) as made:
        arms = [made.service.ask()["arm"] for _ in range(30)]
    assert arms == ["a"] * 30
    assert made.asked.count("b") < 10


def test_who_stands_in_for_a_pinned_arm_is_bound_by_its_share(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": good, "c": good}, {"b": FEW, "c": DEAR}) as made:
        assert made.service.ask(models=["a"], fallbacks=["b", "c"])["arm"] == "c"
        assert made.service.ask(models=["a"], fallbacks=["b"])["arm"] == "b"


def test_a_stream_that_breaks_off_is_continued_within_the_shares(tmp_path: Path) -> None:
    arms = {"a": {**CHEAP, **GOES_ON}, "b": {**FEW, **GOES_ON}, "c": {**DEAR, **GOES_ON}}
    arms["b"] |= {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.1}
    with faulty(tmp_path, {"a": cut, "b": rest, "c": rest}, arms) as made:
        assert streamed(made)[-1] == "[DONE]"
        assert made.asked == ["a", "c"]


def test_what_a_tool_says_goes_elsewhere_once_the_arm_has_had_its_share(tmp_path: Path) -> None:
    able = {"capabilities": ["tools"]}
    arms = {"a": {**FEW, **able}, "b": {**DEAR, **able}}
    with faulty(tmp_path, {"a": calling, "b": calling}, arms) as made:
        callers, next_to = zip(*(looped(made, stream=False) for _ in range(50)), strict=True)
        assert "a" in callers
        told = [each for caller, each in zip(callers, next_to, strict=True) if caller == "a"]
        assert {(each.arm, each.ineligible.get("a")) for each in told} == {("b", WHY)}
        assert made.asked.count("a") <= 0.2 * 100 + BURST
