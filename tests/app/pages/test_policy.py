"""What the page of the policy says of the use of arms: the same as `/policy`."""

import time

import pytest

from app.pages.policy import lately_of, moved_to, policy
from app.pages.shown import dollars
from tests.app.running import Running

STORED = 4


def test_stored_answers_are_no_use_of_an_arm(service: Running) -> None:
    first = service.ask(cache="use", models=["gpt-4o"], task="maths")
    for _ in range(STORED):
        again = service.ask(cache="use", models=["gpt-4o"], task="maths")
        assert again["cache"] == "hit"
    service.ask(models=["glm-4-plus"], task="maths")
    shown = policy(service.parts, None, "24h", time.time())
    told = {each["arm"]: each for each in service.get("/policy")["arms"]}
    for row in shown["arms"]:
        arm, sums = row["arm"].name, row["sums"]
        assert (row["share"], sums.decisions) == (told[arm]["share"], told[arm]["requests"])
    [dear] = [row["sums"] for row in shown["arms"] if row["arm"].name == "gpt-4o"]
    assert dear.cost_usd / dear.decisions == pytest.approx(first["cost_usd"])
    [task] = shown["tasks"]["rows"]
    assert ([cell["share"] for cell in task["cells"]], task["sums"].requests) == ([0.5, 0.5], 2)
    assert sorted(each["values"][-1] for each in shown["shares"]["series"]) == [0.5, 0.5]


def test_a_month_is_paid_for_what_asks_an_arm_and_not_for_stored_answers(service: Running) -> None:
    answers = [service.ask(cache="use", models=["gpt-4o"])["cache"] for _ in range(1 + STORED)]
    assert answers == ["miss"] + ["hit"] * STORED
    point = lately_of(service.parts).at(0.01)
    assert point is not None
    says = moved_to(service.parts, None, 0.01)["a_month"]
    assert says == f"About {dollars(30 * point.cost_usd)} a month at the pace of late."
