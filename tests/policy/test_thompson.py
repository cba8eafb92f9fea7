"""Win probabilities are those of the posterior; the arm is drawn from the very vector logged."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal, norm

from policy.belief import Belief
from policy.decide import Beliefs, Question, decide
from policy.eligibility import Demand
from policy.exploration import Allowance
from policy.hyper import Hyper
from policy.offer import Offer, choose
from policy.prediction import AT_ONCE, Prediction, compared
from policy.thompson import SOON, Thompson
from policy.tuning import tuned
from policy.types import Arm, Floats
from tests.policy.worlds import GROUPS, PRIOR, Rows, World, contexts, learned, rows

ARMS = ("a", "b", "c")
PRECISE = Hyper(draws=200_000, floor=0.0)


def pmf(policy: Thompson, price: Floats, arms: tuple[str, ...] = ARMS, seed: int = 0) -> Floats:
    x = contexts(np.random.default_rng(1), 1)[0]
    return policy.propensities(Offer(x, arms, price), np.random.default_rng(seed))


def chance_of_first(policy: Thompson, price: Floats, scale: float) -> float:
    """Return P(the first of two arms wins) in closed form: a difference of Gaussians."""
    x = contexts(np.random.default_rng(1), 1)[0]
    said = policy.belief.predict(x, ("a", "b"))
    ahead = said.mean[0] - said.mean[1] - price[0] + price[1]
    contrast = np.array([1.0, -1.0])
    return float(norm.cdf(ahead / (scale * np.sqrt(contrast @ said.covariance @ contrast))))


def spread(said: Prediction, cold: float | Floats) -> Floats:
    """Return the covariance that two arms are drawn with, cold until so many outcomes, (2, 2)."""
    tempered, cold = PRECISE.temperature**2, np.maximum(5.0, cold)
    each = np.sqrt(tempered + (1 - tempered) * cold / (cold + said.weight))
    covariance: Floats = np.outer(each, each) * said.covariance
    return covariance


def at_least(behind: float, covariance: Floats) -> float:
    """Return P(max(d_1, 0) - d_2 > behind) of two Gaussians: above its mean or, at it, without."""
    apart = np.array([[-1.0, 0.0], [-1.0, 1.0]])
    above = multivariate_normal([0.0, 0.0], apart @ covariance @ apart.T).cdf([0.0, -behind])
    at_mean = multivariate_normal([0.0, 0.0], covariance).cdf([0.0, -behind])
    return float(above + at_mean)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_two_arms_win_as_often_as_the_difference_of_gaussians_says(temperature: float) -> None:
    belief = learned(PRIOR, rows(np.random.default_rng(2), 20, ["a", "b"]))
    policy = Thompson(belief, replace(PRECISE, temperature=temperature, cold_outcomes=0.0))
    said = belief.predict(contexts(np.random.default_rng(1), 1)[0], ("a", "b"))
    price = np.array([said.mean[0] - said.mean[1] - 0.1 * said.sd[0], 0.0])
    expected = chance_of_first(policy, price, temperature)
    error = np.sqrt(expected * (1 - expected) / PRECISE.draws)
    assert 0.05 < expected < 0.95
    assert abs(pmf(policy, price, ("a", "b"))[0] - expected) < 4 * error


def test_an_arm_nobody_has_tried_is_drawn_at_full_spread_whatever_the_temperature() -> None:
    price = np.array([0.3, 0.0])
    policy = Thompson(Belief(PRIOR), replace(PRECISE, temperature=0.1))
    expected = chance_of_first(policy, price, scale=1.0)
    error = np.sqrt(expected * (1 - expected) / PRECISE.draws)
    assert abs(pmf(policy, price, ("a", "b"))[0] - expected) < 4 * error


@pytest.mark.parametrize("outcomes", [270, 20_000])
def test_arms_with_many_outcomes_are_drawn_at_the_temperature_and_their_means_ever_wider(
    outcomes: int,
) -> None:
    hyper = replace(PRECISE, cold_outcomes=0.0)
    belief = learned(PRIOR, rows(np.random.default_rng(3), outcomes, ["a", "b", "b", "b", "b"]))
    policy = Thompson(belief, hyper)
    x = contexts(np.random.default_rng(1), 1)[0]
    said = belief.predict(x, ("a", "b"))
    price = np.array([said.mean[0] - said.mean[1] + 0.2 * said.sd[0], 0.0])
    contrast, tempered = np.array([1.0, -1.0]), hyper.temperature**2
    chosen = said.weight[1] - said.weight[0]
    wider = tempered * max(np.log(chosen / SOON), 0.0)
    variance = tempered * contrast @ said.covariance @ contrast + wider * said.doubt @ said.doubt
    expected = norm.cdf(-0.2 * said.sd[0] / np.sqrt(variance))
    assert pmf(policy, price, ("a", "b"))[0] == pytest.approx(expected, abs=0.005)
    assert chance_of_first(policy, price, 1.0) - expected > 0.02


def test_of_many_arms_a_few_are_compared_and_more_as_outcomes_come() -> None:
    arms = tuple(f"arm {i}" for i in range(100))
    told = contexts(np.random.default_rng(3), 20)
    each_once = learned(PRIOR, [(arm, x, 0.7, 1.0) for arm, x in zip(arms[:20], told, strict=True)])
    policy = Thompson(each_once, replace(PRECISE, draws=2_000, floor=0.01))
    price = np.zeros(len(arms))
    won = pmf(policy, price, arms)
    assert won[20:] == pytest.approx(0.01 / 100)
    assert won.sum() == pytest.approx(1.0)
    x = contexts(np.random.default_rng(4), 1)[0]
    more = replace(policy, belief=each_once.update(arms[0], x, 0.5, weight=50.0))
    assert pmf(more, price, arms)[20:].sum() > 0.1


@pytest.mark.parametrize("arms", [2, 3, 10, AT_ONCE])
def test_of_a_few_arms_none_is_left_out(arms: int) -> None:
    assert all(compared(np.repeat([1.0, 0.0], [n, arms - n])).all() for n in range(arms))


def test_what_evals_tell_of_all_arms_alike_widens_nothing() -> None:
    told = [
        (arm, x, reward, weight)
        for _, x, reward, weight in rows(np.random.default_rng(3), 2_000)
        for arm in ("a", "b")
    ]
    policy = Thompson(learned(PRIOR, told), replace(PRECISE, cold_outcomes=0.0))
    said = policy.belief.predict(contexts(np.random.default_rng(1), 1)[0], ("a", "b"))
    price = np.array([said.mean[0] - said.mean[1] + 0.2 * said.sd[0], 0.0])
    expected = chance_of_first(policy, price, PRECISE.temperature)
    assert pmf(policy, price, ("a", "b"))[0] == pytest.approx(expected, abs=0.005)


def test_an_arm_that_had_bad_luck_is_tried_again_in_a_long_stream() -> None:
    """Thirty of an arm that is better by a fifth of the noise came out worse by as much."""
    x, taken = np.eye(len(GROUPS))[-1], []
    unlucky: Rows = [("unlucky", x, 0.5 + 0.5 * (-1) ** i, 1.0) for i in range(30)]
    for outcomes in (300, 30_000):
        usual: Rows = [("usual", x, float(i % 8 < 5), 1.0) for i in range(outcomes)]
        policy = Thompson(learned(PRIOR, unlucky + usual), PRECISE)
        offer = Offer(x, ("unlucky", "usual"), np.zeros(2))
        taken.append(policy.propensities(offer, np.random.default_rng(0))[0])
    assert taken[0] < 0.01
    assert taken[1] > 0.02


@pytest.mark.parametrize("sds", [0.05, 1.0])
def test_an_arm_that_joins_arms_well_known_is_drawn_at_full_spread_until_it_has_more(
    sds: float,
) -> None:
    rng = np.random.default_rng(8)
    known, few = rows(rng, 200, ["b"]), rows(rng, 10, ["a"])
    early, late = learned(PRIOR, few + known), learned(PRIOR, known + few)
    x = contexts(np.random.default_rng(1), 1)[0]
    said = late.predict(x, ("a", "b"))
    behind = sds * said.sd[0]
    price = np.array([said.mean[0] - said.mean[1] + behind, 0.0])
    usual, lately = (spread(said, cold) for cold in (5.0, 1.5 * np.sqrt([200.0, 0.0])))
    contrast = np.array([1.0, -1.0])
    expected = [norm.cdf(-behind / np.sqrt(contrast @ usual @ contrast)), at_least(behind, lately)]
    shares = [pmf(Thompson(each, PRECISE), price, ("a", "b"))[0] for each in (early, late)]
    assert shares == pytest.approx(expected, abs=0.005)
    assert shares[1] > 1.2 * shares[0]


def test_an_arm_that_came_late_is_never_drawn_below_its_mean() -> None:
    rng = np.random.default_rng(8)
    policy = Thompson(learned(PRIOR, rows(rng, 200, ["a", "b"]) + rows(rng, 40, ["c"])), PRECISE)
    said = policy.belief.predict(contexts(np.random.default_rng(1), 1)[0], ARMS)
    assert (said.late > 0).tolist() == [False, False, True]
    below = policy.draws(said, np.random.default_rng(0)) < said.mean
    np.testing.assert_allclose(below.mean(axis=0), [0.5, 0.5, 0.0], atol=0.005)


def test_the_cost_of_an_arm_that_may_be_the_cheapest_is_drawn_around_what_is_expected() -> None:
    doubt = np.array([0.0, 0.7, 0.7])
    offer = Offer(np.ones(4), ARMS, np.array([2.0, 3.0, 20.0]), price_sd=doubt)
    drawn = Thompson(Belief(PRIOR), PRECISE).prices(offer, np.random.default_rng(0))
    assert drawn.shape == (PRECISE.draws, 3)
    error = 3.0 * np.sqrt(np.expm1(0.7**2) / PRECISE.draws)  # of the mean of a log-normal
    np.testing.assert_allclose(drawn.mean(axis=0), offer.price, atol=4 * error)
    assert np.log(drawn[:, 1]).std() == pytest.approx(0.7, rel=0.01)
    np.testing.assert_array_equal(drawn[:, [0, 2]], np.full((PRECISE.draws, 2), [2.0, 20.0]))


def test_an_arm_wins_as_often_as_it_is_drawn_to_be_the_cheapest() -> None:
    offer = Offer(np.ones(4), ARMS[:2], np.array([1e6, 2e6]), price_sd=np.array([0.3, 0.6]))
    rng = np.random.default_rng(0)
    apart = np.log(2.0) - (0.6**2 - 0.3**2) / 2
    expected = float(norm.cdf(-apart / np.hypot(0.3, 0.6)))
    error = np.sqrt(expected * (1 - expected) / PRECISE.draws)
    won = Thompson(Belief(PRIOR), PRECISE).propensities(offer, rng)[1]
    assert 0.1 < expected < 0.3
    assert abs(won - expected) < 4 * error


def test_drawing_what_an_arm_costs_leaves_all_other_draws_as_they_were() -> None:
    price, rngs = np.array([0.1, 0.2, 0.3]), [np.random.default_rng(3) for _ in range(2)]
    policy = Thompson(Belief(PRIOR), Hyper())
    certain = Offer(np.ones(4), ARMS, price)
    policy.propensities(certain, rngs[0])
    policy.propensities(replace(certain, price_sd=np.ones(3)), rngs[1])
    assert rngs[0].random() == rngs[1].random()


def test_identical_arms_share_evenly() -> None:
    policy = Thompson(Belief(replace(PRIOR, dearness={})), PRECISE)
    error = np.sqrt(2 / 9 / PRECISE.draws)
    assert (np.abs(pmf(policy, np.zeros(3)) - 1 / 3) < 4 * error).all()


def test_a_dear_arm_that_is_no_better_falls_to_its_part_of_the_floor() -> None:
    policy = Thompson(Belief(PRIOR), Hyper(floor=0.03))
    shares = pmf(policy, np.array([10.0, 10.0, 50.0]))
    assert shares[2] == pytest.approx(0.01 / 5)


@pytest.mark.parametrize("ratio", [1.0, 7.0, 520.0, 1e4])
def test_keeping_a_dear_arm_in_play_costs_no_more_than_the_floors_share(ratio: float) -> None:
    policy = Thompson(Belief(PRIOR), Hyper(floor=0.03))
    price = np.array([1e6, 1e6, 1e6 * ratio])
    spent = pmf(policy, price) @ price
    assert spent <= 1.03 * 1e6
    assert pmf(policy, price).min() > 0


def test_beside_an_arm_that_costs_nothing_the_floor_of_a_dear_one_is_a_ten_thousandth() -> None:
    shares = pmf(Thompson(Belief(PRIOR), Hyper(floor=0.03)), np.array([0.0, 1e-5, 1e6]))
    assert shares[2] == pytest.approx(0.01 / 1e4)


def test_when_dollars_are_all_that_counts_the_cheapest_arm_takes_all_but_the_floor() -> None:
    policy = Thompson(learned(PRIOR, rows(np.random.default_rng(4), 50)), Hyper(floor=0.03))
    shares = pmf(policy, 1e9 * np.array([3e-5, 1e-5, 2e-5]))
    np.testing.assert_allclose(shares, [0.01 / 3, 1.0 - 0.01 / 3 - 0.005, 0.005])


def test_an_arm_that_never_wins_takes_its_floor_and_leaves_the_others_as_they_were() -> None:
    policy = Thompson(
        learned(PRIOR, rows(np.random.default_rng(5), 20)), replace(PRECISE, floor=0.04)
    )
    two = pmf(policy, np.zeros(2), ARMS[:2])
    three = pmf(policy, np.array([1e6, 1e6, 2e6]), seed=1)
    floor = 0.04 / 3 * np.array([1.0, 1.0, 0.5])
    wins_two, wins_three = (two - 0.04 / 2) / 0.96, (three - floor) / (1 - floor.sum())
    assert three[2] == pytest.approx(0.04 / 6)
    error = np.sqrt(2 * wins_two[0] * wins_two[1] / PRECISE.draws)
    assert 0.05 < wins_two[0] < 0.95
    assert abs(wins_three[0] - wins_two[0]) < 4 * error


@pytest.mark.parametrize("seed", range(10))
def test_a_dearer_dollar_never_raises_the_expected_price(seed: int) -> None:
    rng = np.random.default_rng(seed)
    policy = Thompson(learned(PRIOR, rows(rng, 20)), Hyper())
    x, dollars = contexts(rng, 1)[0], rng.uniform(1e-5, 1e-2, 3)
    spent = [
        policy.propensities(Offer(x, ARMS, dollars / w), np.random.default_rng(0)) @ dollars
        for w in np.geomspace(100.0, 1e-5, 60)
    ]
    assert (np.diff(spent) <= 1e-15).all()
    assert spent[0] > spent[-1]


CATALOGUE = [
    Arm(name, "p", name, 0.5 * (i + 1), 2.0 * (i + 1), 100_000) for i, name in enumerate(ARMS)
]


def test_doubling_every_price_and_the_willingness_to_pay_changes_no_bit() -> None:
    rng = np.random.default_rng(6)
    hyper = Hyper()
    tokens = Belief(hyper.tokens_prior(GROUPS))
    beliefs = Beliefs(learned(PRIOR, rows(rng, 50)), tokens, hyper)
    doubled = [
        replace(
            arm,
            input_usd_per_mtok=2 * arm.input_usd_per_mtok,
            output_usd_per_mtok=2 * arm.output_usd_per_mtok,
        )
        for arm in CATALOGUE
    ]
    for seed, x in enumerate(contexts(rng, 20)):
        question = Question(x, Demand(500), willingness_to_pay_usd=0.01)
        dearer = replace(question, willingness_to_pay_usd=0.02)
        one = decide(CATALOGUE, question, beliefs, np.random.default_rng(seed))
        other = decide(doubled, dearer, beliefs, np.random.default_rng(seed))
        np.testing.assert_array_equal(one.propensities, other.propensities)
        assert one.arm == other.arm


@pytest.mark.slow
def test_realised_arms_are_distributed_as_logged() -> None:
    rng = np.random.default_rng(7)
    policy = Thompson(learned(PRIOR, rows(rng, 30)), Hyper(draws=32, temperature=1.0))
    offer = Offer(contexts(rng, 1)[0], ARMS, np.zeros(3))
    seen, logged, spread = np.zeros(3), np.zeros(3), np.zeros((3, 3))
    for _ in range(100_000):
        p = policy.propensities(offer, rng)
        seen[choose(p, rng)] += 1
        logged += p
        spread += np.diag(p) - np.outer(p, p)
    missed = (seen - logged)[:2]  # the third follows from the two
    statistic = missed @ np.linalg.solve(spread[:2, :2], missed)
    assert (logged > 5_000).all()
    assert chi2.sf(statistic, df=2) > 0.001


FACTS = ("facts",) * 5 + ("constant",)
EQUAL = [Arm(name, "p", name, 1.0, 1.0, 100_000) for name in "abcd"]
DEFAULT = Hyper()
ROUNDS = 4096


def served(
    world: World, retrain: frozenset[int], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return regret (rounds,) of the default policy as it is served, and that of uniform choice."""
    prior, tokens = DEFAULT.quality_prior(FACTS), Belief(DEFAULT.tokens_prior(FACTS))
    beliefs, allowance = Beliefs(Belief(prior), tokens, DEFAULT), Allowance()
    regret, uniform = np.zeros(ROUNDS), np.zeros(ROUNDS)
    for t, x in enumerate(contexts(rng, ROUNDS, len(FACTS))):
        question = Question(x, Demand(500), willingness_to_pay_usd=1.0)
        verdict = decide(EQUAL, question, beliefs, rng, allowance=allowance)
        allowance = verdict.allowance.spend(verdict.explored)
        gaps = (world.weights @ x).max() - world.weights @ x
        regret[t], uniform[t] = gaps[verdict.chosen], gaps.mean()
        reward = world.reward(verdict.chosen, x, rng)
        quality = beliefs.quality.update(verdict.arm, x, reward)
        if t in retrain:
            quality = quality.under(tuned(quality, prior))
        beliefs = replace(beliefs, quality=quality)
    return regret.cumsum(), uniform.cumsum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("feature_sd", "retrain"),
    [(0.025, frozenset()), (0.25, frozenset({127, 511}))],
    ids=["features as the prior says", "ten times as telling, retrained twice"],
)
def test_regret_grows_slower_than_traffic(feature_sd: float, retrain: frozenset[int]) -> None:
    usual = DEFAULT.quality_prior(FACTS)
    prior = replace(usual, deviation=replace(usual.deviation, facts=feature_sd, constant=1.0))
    runs = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        runs.append(served(World.drawn(prior, 4, rng), retrain, rng))
    regret, uniform = (np.sum(curves, axis=0) for curves in zip(*runs, strict=True))
    slope = np.log(regret[-1] / regret[ROUNDS // 8 - 1]) / np.log(8)  # the last three octaves
    assert slope < 0.75
    assert regret[-1] < uniform[-1] / 10
