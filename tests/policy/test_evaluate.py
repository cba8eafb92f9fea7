"""Estimators find the true value of another policy, and their intervals say how well."""

from collections.abc import Callable
from dataclasses import replace
from math import comb

import numpy as np
import pytest

from policy.belief import Belief
from policy.evaluate import (
    Z_95,
    LoggedRounds,
    Value,
    calibration_error,
    difference,
    doubly_robust,
    ess,
    mean_interval,
    snips,
)
from policy.hyper import Hyper
from policy.offer import Offer, choose
from policy.thompson import Thompson
from policy.types import Floats
from tests.policy.worlds import PRIOR, World, contexts

ARMS = ("a", "b", "c")
RUNS, N = 200, 120
# A floor of 0.2 keeps the weights small enough for 200 runs to tell a bias from luck.
LOGGING = Hyper(draws=8, floor=0.2, temperature=1.0)


def fixed(arm: int) -> Callable[[Floats, Floats], Floats]:
    return lambda x, quality: np.eye(3)[np.full(len(x), arm)]


def uniform(x: Floats, quality: Floats) -> Floats:
    return np.full((len(x), 3), 1 / 3)


def by_context(x: Floats, quality: Floats) -> Floats:
    return np.eye(3)[np.where(x[:, 0] > 0, 0, np.where(x[:, 1] > 0, 1, 2))]


def soft(x: Floats, quality: Floats) -> Floats:
    odds = np.exp(3 * quality)
    pmf: Floats = odds / odds.sum(axis=1, keepdims=True)
    return pmf


TARGETS = {
    "arm a": fixed(0),
    "arm b": fixed(1),
    "uniform": uniform,
    "rule": by_context,
    "soft": soft,
}


def logged(rng: np.random.Generator) -> tuple[LoggedRounds, Floats, Floats]:
    """Return a log of a policy that learned while it was written, its contexts and true means."""
    world = replace(World.drawn(PRIOR, 3, np.random.default_rng(99)), noise=0.05)
    belief = Belief(PRIOR)
    x = contexts(rng, N)
    action, reward, behaviour = np.zeros(N, dtype=np.int64), np.zeros(N), np.zeros((N, 3))
    for t, context in enumerate(x):
        pmf = Thompson(belief, LOGGING).propensities(Offer(context, ARMS, np.zeros(3)), rng)
        action[t], behaviour[t] = choose(pmf, rng), pmf
        reward[t] = world.reward(int(action[t]), context, rng)
        belief = belief.update(ARMS[action[t]], context, float(reward[t]))
    quality = x @ world.weights.T
    nothing = np.zeros((N, 3))
    return LoggedRounds(action, reward, behaviour, np.ones(N), nothing, nothing), x, quality


@pytest.fixture(scope="module")
def logs() -> list[tuple[LoggedRounds, Floats, Floats]]:
    rng = np.random.default_rng(0)
    return [logged(rng) for _ in range(RUNS)]


def errors(
    logs: list[tuple[LoggedRounds, Floats, Floats]],
    target: Callable[[Floats, Floats], Floats],
    estimate: Callable[[LoggedRounds], Value],
    model: Callable[[Floats], Floats] = np.zeros_like,
) -> Floats:
    """Return by how much each run missed the true value of the target on its own contexts."""
    missed = []
    for rounds, x, quality in logs:
        pmf = target(x, quality)
        truth = float((pmf * quality).sum(axis=1).mean())
        asked = replace(rounds, target=pmf, predicted=model(quality))
        missed.append(estimate(asked).mean - truth)
    return np.array(missed)


def ips(rounds: LoggedRounds) -> Value:
    """Return the estimate that needs no model, without its error: Horvitz and Thompson 1952."""
    return Value(float((rounds.importance * rounds.reward).mean()), float("nan"))


def standard_errors(missed: Floats) -> float:
    return abs(float(missed.mean())) / float(missed.std(ddof=1) / np.sqrt(len(missed)))


def rough(quality: Floats) -> Floats:
    return 0.8 * quality + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_logged_propensities_make_ips_and_dr_unbiased(
    logs: list[tuple[LoggedRounds, Floats, Floats]], target: str
) -> None:
    plain = errors(logs, TARGETS[target], ips)
    assert standard_errors(plain) < 2
    robust = errors(logs, TARGETS[target], doubly_robust, rough)
    assert standard_errors(robust) < 2
    assert robust.var() < plain.var()


@pytest.mark.slow
def test_every_arm_is_logged_as_often_as_it_was_meant_to_be(
    logs: list[tuple[LoggedRounds, Floats, Floats]],
) -> None:
    for arm in range(3):
        balance = np.concatenate([(r.action == arm) / r.behaviour[:, arm] for r, _, _ in logs])
        assert abs(balance.mean() - 1) < 4 * balance.std() / np.sqrt(len(balance))


@pytest.mark.slow
def test_the_interval_covers_the_truth_on_logs_that_were_learned_from(
    logs: list[tuple[LoggedRounds, Floats, Floats]],
) -> None:
    covered = []
    for rounds, x, quality in logs:
        pmf = soft(x, quality)
        low, high = doubly_robust(replace(rounds, target=pmf, predicted=rough(quality))).interval
        covered.append(low < (pmf * quality).sum(axis=1).mean() < high)
    assert np.mean(covered) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / RUNS)


def synthetic(rng: np.random.Generator, n: int) -> tuple[LoggedRounds, float]:
    """Return a large log of a known randomised policy, and the value of a softer target."""
    x = contexts(rng, n)
    quality = 0.5 + 0.2 * np.stack([x[:, 0], x[:, 1], -x[:, 0]], axis=1)
    behaviour, target = soft(x, quality), by_context(x, quality)
    action = (rng.random(n)[:, None] > behaviour.cumsum(axis=1)[:, :2]).sum(axis=1)
    at = np.arange(n), action
    reward = quality[at] + 0.2 * rng.standard_normal(n)
    rounds = LoggedRounds(action, reward, behaviour, np.ones(n), target, quality)
    return rounds, float((target * quality).sum(axis=1).mean())


def misses(rounds: LoggedRounds, truth: float) -> float:
    """Return by how many of its own standard errors the doubly robust estimate misses."""
    value = doubly_robust(rounds)
    return abs(value.mean - truth) / value.se


def test_doubly_robust_needs_only_one_of_its_two_halves_to_be_right() -> None:
    rng = np.random.default_rng(1)
    rounds, truth = synthetic(rng, 100_000)
    bad_model = replace(rounds, predicted=rounds.predicted[:, ::-1] + 0.3)
    bad_propensity = replace(rounds, behaviour=np.full((100_000, 3), 0.5))
    assert misses(rounds, truth) < 4
    assert misses(bad_model, truth) < 4
    assert misses(bad_propensity, truth) < 4
    assert misses(replace(bad_model, behaviour=bad_propensity.behaviour), truth) > 20


def test_snips_comes_to_the_truth_as_the_log_grows() -> None:
    rng = np.random.default_rng(2)
    missed = {}
    for n in (100, 10_000):
        runs = [synthetic(rng, n) for _ in range(100)]
        missed[n] = np.sqrt(np.mean([(snips(rounds).mean - truth) ** 2 for rounds, truth in runs]))
    assert missed[10_000] == pytest.approx(missed[100] / 10, rel=0.5)
    assert missed[10_000] < 0.01


def test_snips_moves_with_the_rewards_and_ips_does_not() -> None:
    rounds, _ = synthetic(np.random.default_rng(3), 500)
    moved = replace(rounds, reward=rounds.reward + 10)
    assert snips(moved).mean == pytest.approx(snips(rounds).mean + 10)
    assert snips(moved).se == pytest.approx(snips(rounds).se)
    assert abs(ips(moved).mean - ips(rounds).mean - 10) > 0.05


def test_standard_errors_are_the_spread_over_repeated_logs_or_a_little_more() -> None:
    rng = np.random.default_rng(4)
    for estimate in (snips, doubly_robust):
        values = [estimate(synthetic(rng, 1000)[0]) for _ in range(300)]
        spread = np.std([value.mean for value in values])
        # the truth moves with the contexts of a log; four errors of a standard deviation
        said = np.mean([value.se for value in values]) / spread
        assert 1 - 4 / np.sqrt(600) < said < 1.3


def test_the_worth_of_prompts_differs_and_that_is_part_of_the_error() -> None:
    rounds, _ = synthetic(np.random.default_rng(7), 400)
    certain = replace(rounds, predicted=np.tile(rounds.reward[:, None], 3), target=rounds.behaviour)
    by_hand = (
        rounds.reward.var(ddof=1) / 400
        + doubly_robust(
            replace(certain, predicted=0 * certain.predicted, reward=0 * rounds.reward)
        ).se
        ** 2
    )
    assert doubly_robust(certain).se == pytest.approx(np.sqrt(by_hand))


def test_rounds_without_feedback_weigh_nothing_and_the_rest_stand_for_them() -> None:
    rng = np.random.default_rng(5)
    rounds, truth = synthetic(rng, 200_000)
    rated = rng.random(200_000) < 0.05
    sparse = replace(rounds, weight=rated / 0.05, reward=np.where(rated, rounds.reward, 0.0))
    for estimate in (snips, doubly_robust):
        value = estimate(sparse)
        assert abs(value.mean - truth) < 4 * value.se
    assert ess(sparse) == pytest.approx(ess(replace(rounds)) * 0.05, rel=0.1)


def test_a_policy_judged_on_its_own_log_is_worth_its_mean_reward() -> None:
    rounds, _ = synthetic(np.random.default_rng(6), 400)
    own = replace(rounds, target=rounds.behaviour)
    assert ips(own).mean == pytest.approx(rounds.reward.mean())
    assert snips(own).mean == pytest.approx(rounds.reward.mean())
    assert ess(own) == pytest.approx(400)


def seldom(rng: np.random.Generator, n: int = 400, share: float = 0.005) -> LoggedRounds:
    """Return a log that hardly ever took the second of two arms, and a target that always does."""
    action = (rng.random(n) < share).astype(np.int64)
    reward = (rng.random(n) < np.array([0.9, 0.7])[action]).astype(float)
    behaviour = np.tile([1 - share, share], (n, 1))
    rounds = np.ones(n), np.tile([0.0, 1.0], (n, 1)), np.tile([0.85, 0.85], (n, 1))
    return LoggedRounds(action, reward, behaviour, *rounds)


@pytest.mark.parametrize(("estimate", "draws"), [(doubly_robust, 2), (snips, 20)])
def test_intervals_hold_the_truth_although_few_draws_decide(
    estimate: Callable[[LoggedRounds], Value], draws: int
) -> None:
    rng = np.random.default_rng(13)
    values = [estimate(seldom(rng, share=draws / 400)) for _ in range(RUNS)]
    missed = [abs(value.mean - 0.7) > Z_95 * value.se for value in values]
    assert np.mean(missed) <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / RUNS)


def test_a_log_that_never_took_the_arm_is_as_uncertain_as_its_propensities_say() -> None:
    rounds = seldom(np.random.default_rng(14))
    never = replace(rounds, action=np.zeros(400, dtype=np.int64), reward=np.ones(400))
    # Two draws were expected, of a reward whose sd is at most a half; that none came widens it.
    widest = 0.5 / np.sqrt(2) * np.sqrt((2 + 8) / 8)
    assert doubly_robust(never).se == pytest.approx(widest, rel=0.005)
    assert ess(never) == pytest.approx(2)


@pytest.mark.parametrize(
    ("pleased", "not_pleased"),
    [
        ((0.1, 0.3), (0.1, 0.3)),  # what the seldom arm writes is rated three times as often
        ((0.1, 0.1), (0.3, 0.3)),  # who is not pleased rates three times as often
    ],
)
def test_intervals_hold_the_truth_whoever_rates(
    pleased: tuple[float, float], not_pleased: tuple[float, float]
) -> None:
    satisfies, odds, up, down = map(np.array, ([0.3, 0.9], [0.8, 0.2], pleased, not_pleased))
    said = satisfies * up / (satisfies * up + (1 - satisfies) * down)  # of those who rate
    rng, missed = np.random.default_rng(21), {"always": 0, "gain": 0}
    for _ in range(RUNS):
        action = (rng.random(6_000) < odds[1]).astype(np.int64)
        reward = (rng.random(6_000) < satisfies[action]).astype(float)
        rated = rng.random(6_000) < np.where(reward > 0, up[action], down[action])
        n = int(rated.sum())
        behaviour, always = np.tile(odds, (n, 1)), np.tile([0.0, 1.0], (n, 1))
        given = action[rated], reward[rated], behaviour, np.ones(n), behaviour
        as_it_was = LoggedRounds(*given, np.full((n, 2), 0.6))
        only = replace(as_it_was, target=always)
        for name, value, truth in (
            ("always", doubly_robust(only), said[1]),
            ("gain", difference(only, as_it_was), odds[0] * (said[1] - said[0])),
        ):
            low, high = value.interval
            missed[name] += not low <= truth <= high
    assert max(missed.values()) <= (0.05 + 3 * np.sqrt(0.95 * 0.05 / RUNS)) * RUNS


@pytest.mark.parametrize("often", [(0.1, 0.1), (0.1, 0.3), (0.3, 0.1)])
def test_intervals_hold_the_truth_where_an_arm_is_taken_and_rated_by_other_rules(
    often: tuple[float, float],
) -> None:
    rng, held = np.random.default_rng(22), 0
    for _ in range(RUNS):
        odds = np.where(rng.random(3_000) < 0.5, 0.05, 0.9)  # two kinds of prompts
        action = (rng.random(3_000) < odds).astype(np.int64)
        reward = (rng.random(3_000) < np.array([0.6, 0.8])[action]).astype(float)
        rated = rng.random(3_000) < np.array(often)[action]
        behaviour, n = np.stack([1 - odds, odds], axis=1)[rated], int(rated.sum())
        always, said = np.tile([0.0, 1.0], (n, 1)), np.tile([0.45, 0.65], (n, 1))
        rounds = LoggedRounds(action[rated], reward[rated], behaviour, np.ones(n), always, said)
        low, high = doubly_robust(rounds).interval
        held += low <= 0.8 <= high
    assert held >= (0.95 - 3 * np.sqrt(0.95 * 0.05 / RUNS)) * RUNS


def test_what_could_not_have_been_drawn_is_not_known() -> None:
    rounds = seldom(np.random.default_rng(15))
    fixed_rule = replace(rounds, action=0 * rounds.action, behaviour=rounds.target[:, ::-1])
    low, high = doubly_robust(fixed_rule).interval
    assert (high - low) / 2 >= 1
    assert ess(fixed_rule) == 0.0
    assert doubly_robust(replace(fixed_rule, target=fixed_rule.behaviour)).se < 0.1


def test_an_arm_the_log_hardly_took_costs_no_more_than_not_knowing_it() -> None:
    rng = np.random.default_rng(16)
    known, rare = seldom(rng, share=0.3), seldom(rng, share=1e-6)
    target = np.tile([0.99, 0.01], (400, 1))
    value, blind = (doubly_robust(replace(each, target=target)) for each in (known, rare))
    assert value.blind == 0.0
    assert blind.blind == pytest.approx(0.01, rel=0.01)
    assert blind.se < value.se + 0.01


@pytest.mark.parametrize("estimate", [doubly_robust, snips])
@pytest.mark.parametrize("worth", [0.0, 1.0])
def test_intervals_hold_the_truth_whatever_the_unseen_arm_is_worth(
    estimate: Callable[[LoggedRounds], Value], worth: float
) -> None:
    rng, missed = np.random.default_rng(17), []
    for _ in range(RUNS):
        rounds = replace(seldom(rng, share=1e-6), target=np.tile([0.95, 0.05], (400, 1)))
        value = estimate(rounds)
        low, high = value.interval
        missed.append(not low < 0.95 * 0.9 + 0.05 * worth < high)
    assert np.mean(missed) <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / RUNS)


def test_effective_sample_size_counts_equal_weights_whole_and_a_lone_one_as_one() -> None:
    rng = np.random.default_rng(7)
    action, ones, one = np.zeros(50, dtype=np.int64), np.ones(50), np.ones((50, 1))
    even = LoggedRounds(action, ones, one, ones, one, one)
    assert ess(even) == pytest.approx(50)
    assert ess(replace(even, weight=np.eye(50)[3])) == pytest.approx(1)
    assert ess(replace(even, weight=0 * ones)) == 0.0
    uneven = rng.uniform(0.1, 1, 50)
    variation = np.var(uneven) / np.mean(uneven) ** 2  # Kish: n / (1 + cv^2)
    assert ess(replace(even, weight=uneven)) == pytest.approx(50 / (1 + variation))


def test_two_policies_are_compared_round_by_round() -> None:
    rounds, _ = synthetic(np.random.default_rng(9), 5000)
    nudged = replace(rounds, target=0.95 * rounds.target + 0.05 / 3)
    gap = difference(nudged, rounds)
    assert gap.mean == pytest.approx(doubly_robust(nudged).mean - doubly_robust(rounds).mean)
    assert gap.se < doubly_robust(rounds).se / 5
    assert difference(rounds, rounds) == Value(0.0, 0.0)


def test_a_log_too_short_to_judge_says_so() -> None:
    rounds, _ = synthetic(np.random.default_rng(10), 1)
    assert doubly_robust(rounds).se == float("inf")
    silent = replace(rounds, weight=np.zeros(1))
    assert np.isnan(snips(silent).mean)
    assert snips(silent).se == float("inf")


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    rng = np.random.default_rng(11)
    said = rng.random(20_000)
    seen = (rng.random(20_000) < said).astype(float)
    assert calibration_error(said, seen) < 10 * 0.5 / np.sqrt(20_000)
    assert calibration_error(said, said + 0.1) == pytest.approx(0.1)
    assert calibration_error(np.full(100, 0.9), np.full(100, 0.4)) == pytest.approx(0.5)
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize(("n", "least"), [(3, 0.83), (5, 0.88), (10, 0.92), (30, 0.93)])
def test_the_interval_of_a_mean_holds_the_truth_of_few_thumbs(n: int, least: float) -> None:
    truths = np.linspace(0.005, 0.995, 199)
    held = np.zeros(len(truths))
    for ups in range(n + 1):
        low, high = mean_interval(n, ups, ups)
        assert 0.0 <= low <= ups / n <= high <= 1.0
        chance = comb(n, ups) * truths**ups * (1 - truths) ** (n - ups)
        held += np.where((low <= truths) & (truths <= high), chance, 0.0)
    assert held.min() >= least
    assert held.mean() >= 0.95
