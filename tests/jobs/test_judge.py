"""A candidate is judged on rounds whose truth is known: which arm is better was planted."""

import numpy as np
import pytest

from jobs.judge import Judgement, answers, judge, logged, usable
from jobs.learned import Learned
from storage.records import Round
from tests.jobs.test_learned import HYPER, NOON_S, SPACE, TEXTS, context, rated, sketch
from tests.storage.rounds import DECISION, OUTCOME, but

TRUTH = {"a": 0.9, "b": 0.3}
ROUNDS = 600


def believing(better: str) -> Learned:
    """Return a policy that has seen one arm please and the other not."""
    events = [
        rated(n + 1, TEXTS[n % 4], float(arm == better), arm=arm)
        for n, arm in enumerate(("a", "b") * 20)
    ]
    return Learned.under(1, SPACE, HYPER).fold(events)


RIGHT, WRONG = believing("a"), believing("b")


def played(n: int, rng: np.random.Generator, cost: tuple[float, float]) -> Round:
    """Return a round in which both arms were equally likely."""
    arm = ("a", "b")[int(rng.integers(2))]
    text = TEXTS[n % 4]
    decision = but(
        DECISION,
        id=f"d{n}",
        decided_at_s=NOON_S + n,
        arm=arm,
        propensity=0.5,
        eligible=("a", "b"),
        propensities=(0.5, 0.5),
        quality=(0.5, 0.5),
        quality_sd=(0.1, 0.1),
        cost_usd_predicted=cost,
        willingness_to_pay_usd=1.0,
        feature_version=SPACE.version,
        context=context(text),
        sketch=sketch(text),
    )
    reward = float(rng.random() < TRUTH[arm])
    return Round(decision=decision, outcome=but(OUTCOME, arm=arm), reward=reward)


def rounds(cost: tuple[float, float] = (0.0, 0.0), seed: int = 1) -> list[Round]:
    rng = np.random.default_rng(seed)
    return [played(n, rng, cost) for n in range(ROUNDS)]


def judged(candidate: Learned, incumbent: Learned, seed: int = 1) -> Judgement:
    found = judge(rounds(seed=seed), candidate, incumbent)
    assert found is not None
    return found


def test_a_better_candidate_gains_what_was_planted() -> None:
    said = judged(RIGHT, WRONG)
    low, high = said.gain.interval
    # Each takes the arm it believes in nine times of ten or more.
    assert 0.8 * 0.6 * 0.8 < low < high < 0.6 * 1.25
    assert said.candidate.mean == pytest.approx(0.9, abs=0.1)
    assert said.candidate_snips.mean == pytest.approx(said.candidate.mean, abs=0.1)
    assert said.candidate_calibration < said.incumbent_calibration


def test_a_worse_candidate_loses_as_much() -> None:
    worse, better = judged(WRONG, RIGHT), judged(RIGHT, WRONG)
    assert worse.gain.interval[1] < 0
    assert worse.gain.mean == pytest.approx(-better.gain.mean)


def test_the_same_policy_gains_nothing_at_all() -> None:
    said = judged(RIGHT, RIGHT)
    assert (said.gain.mean, said.gain.se) == (0.0, 0.0)
    assert (said.spend_ratio, said.largest_share_move) == (1.0, 0.0)


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(2, 22):
        said = judged(RIGHT, WRONG, seed)
        # The candidate moves this share of the traffic from one arm to the other.
        truth = said.largest_share_move * (TRUTH["a"] - TRUTH["b"])
        held += said.gain.interval[0] < truth < said.gain.interval[1]
    assert held >= 17  # of 20 at 95 %: fewer happens in two of a hundred runs


def test_the_effective_sample_is_what_the_target_and_the_log_share() -> None:
    # A target that takes one arm always shares half of the rounds of a fair coin.
    assert judged(RIGHT, WRONG).ess == pytest.approx(ROUNDS / 2, rel=0.15)


def test_an_arm_that_is_not_compared_yet_is_given_nothing_however_cheap_it_is() -> None:
    arms = tuple(f"a{i:02}" for i in range(100))
    told = [
        rated(n + 1, TEXTS[n % 4], float(n // 60 % 5 > 1), arm=arms[n % 60]) for n in range(600)
    ]
    learned = Learned.under(1, SPACE, HYPER).fold(told)
    (each,) = rounds()[:1]
    offered = but(
        each.decision, arm=arms[0], eligible=arms, cost_usd_predicted=(0.3,) * 60 + (0.0,) * 40
    )
    target = answers([but(each, decision=offered)], learned, arms).target[0]
    assert target[60:].sum() <= HYPER.floor


def test_spend_is_compared_on_the_same_prompts() -> None:
    said = judge(rounds(cost=(0.10, 0.01)), RIGHT, WRONG)
    assert said is not None
    assert said.spend_ratio > 3
    assert said.largest_share_move > 0.8


def test_a_dollar_is_worth_the_same_in_every_round_whatever_a_budget_made_of_it() -> None:
    three = [
        but(each, decision=but(each.decision, willingness_to_pay_usd=pay))
        for each, pay in zip(rounds(cost=(0.1, 0.3))[:3], (0.2, 0.5, 90.0), strict=True)
    ]
    even = np.full((3, 2), 0.5)
    seen = logged(three, ("a", "b"), even, even)
    assert seen.predicted == pytest.approx(even - np.array([0.2, 0.6]))
    paid = [{"a": 0.2, "b": 0.6}[each.decision.arm] for each in three]
    rewards = np.array([each.reward for each in three], dtype=float)
    assert seen.reward == pytest.approx(rewards - paid)


def test_without_rounds_there_is_no_verdict() -> None:
    assert judge([], RIGHT, WRONG) is None


def test_a_round_that_another_hand_has_spoilt_says_nothing() -> None:
    spoilt = [
        but(each, decision=but(each.decision, context=np.full(64, np.nan)))
        for each in rounds(seed=2)
    ]
    found = judge([*rounds(), *spoilt], RIGHT, WRONG)
    assert found is not None
    assert found.to_json() == judged(RIGHT, WRONG).to_json()
    assert judge(spoilt, RIGHT, WRONG) is None


@pytest.mark.parametrize(
    "strange",
    [
        lambda each: but(each, reward=None),
        lambda each: but(each, outcome=None),
        lambda each: but(each, decision=but(each.decision, kind="pinned")),
        lambda each: but(each, decision=but(each.decision, kind="fallback")),
        lambda each: but(each, decision=but(each.decision, explore=False)),
        lambda each: but(each, outcome=but(OUTCOME, arm="somebody else")),
        lambda each: but(each, outcome=but(each.outcome, status="continued")),
        lambda each: but(each, decision=but(each.decision, propensities=(1.0, 0.0))),
    ],
    ids=[
        "unrated",
        "unended",
        "pinned",
        "fallback",
        "not explored",
        "another arm",
        "continued",
        "fixed rule",
    ],
)
def test_only_rounds_that_were_drawn_and_rated_are_used(strange) -> None:  # type: ignore[no-untyped-def]
    good = rounds()[:3]
    assert usable([good[0], strange(good[1]), good[2]]) == [good[0], good[2]]


def test_rounds_in_which_a_large_control_leaves_nothing_to_a_third_arm_are_used() -> None:
    one, alone = rounds()[:2]
    drawn = but(one.decision, eligible=("a", "b", "c"), propensities=(0.88, 0.12, 0.0))
    only = but(alone.decision, eligible=(alone.decision.arm,), propensities=(1.0,))
    assert len(usable([but(one, decision=drawn), but(alone, decision=only)])) == 2


def test_a_judgement_is_plain_json() -> None:
    plain = judged(RIGHT, RIGHT).to_json()
    assert plain["gain"] == {"mean": 0.0, "se": 0.0, "blind": 0.0}
    assert plain["rounds"] == ROUNDS
