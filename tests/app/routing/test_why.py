"""What would have made another arm look better really would have, and nothing less."""

import re

import pytest

from app.routing.why import considered
from storage.records import Decision
from tests.storage.rounds import DECISION, but

Pair = tuple[float, float]


def utilities(decision: Decision, pay_usd: float, better: float = 0.0) -> Pair:
    """Return what both arms are worth at a price of a dollar, the second one's quality moved."""
    (one, two), (cheap, dear) = decision.quality, decision.cost_usd_predicted
    return one - cheap / pay_usd, two + better - dear / pay_usd


def told(quality: Pair, cost_usd: Pair, policy: str = "thompson") -> tuple[Decision, str]:
    """Return a decision for the first of two arms, and what is said of the second."""
    made = but(DECISION, quality=quality, cost_usd_predicted=cost_usd, policy=policy)
    [second] = [each for each in considered(made) if each["arm"] == made.eligible[1]]
    assert second["utility"] == utilities(made, made.willingness_to_pay_usd)[1]
    return made, second["would_look_better_if"]


@pytest.mark.parametrize(
    ("quality", "cost_usd", "says"),
    [
        ((0.5, 0.9), (0.001, 0.020), "one more thumbs-up were worth more than $"),
        ((0.9, 0.5), (0.002, 0.001), "one more thumbs-up were worth less than $"),
        ((0.9, 0.5), (0.001, 0.020), "its quality were "),
        ((0.5, 0.5), (0.001, 0.020), "its quality were "),
        ((0.9, 0.5), (0.001, 0.001), "its quality were "),
        ((0.9, 0.5), (5e-7, 2e-9), "one more thumbs-up were worth less than $"),
        ((0.5, 0.499967), (0.001, 0.001), "its quality were "),
    ],
)
def test_what_is_told_makes_the_other_arm_look_better_and_a_little_less_does_not(
    quality: Pair, cost_usd: Pair, says: str
) -> None:
    made, why = told(quality, cost_usd)
    assert why.startswith(says)
    [figure] = map(float, re.findall(r"\d+\.\d+", why))
    pay_usd = made.willingness_to_pay_usd
    for by, looks_better in ((0.99, "less" in why), (1.01, "less" not in why)):
        if "quality" in why:
            first, second = utilities(made, pay_usd, better=by * figure)
        else:
            first, second = utilities(made, by * figure)
        assert (second > first) == looks_better


@pytest.mark.parametrize(
    ("policy", "how"), [("thompson", "the draw explored"), ("uniform", "the rule did not ask")]
)
def test_of_an_arm_that_looked_better_already_is_told_by_how_much(policy: str, how: str) -> None:
    _, why = told((0.5, 0.9), (0.001, 0.001), policy)
    assert why == f"it already did, by 0.4000 of utility: {how}"


def test_where_a_stored_answer_was_given_no_arm_was_weighed() -> None:
    assert considered(but(DECISION, kind="cached")) == []
