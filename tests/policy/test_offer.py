"""Every policy keeps the same contract, and an arm is drawn from the vector it answers with."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chisquare

from policy.baselines import Fixed, Greedy, Uniform, WordCount
from policy.hyper import Hyper
from policy.offer import Offer, Policy, certain, choose
from policy.thompson import DEAREST, Thompson
from tests.policy.worlds import PRIOR, contexts, learned, rows

ARMS = ("a", "b", "c")
BELIEF = learned(PRIOR, rows(np.random.default_rng(0), 40))
POLICIES: list[Callable[[], Policy]] = [
    Uniform,
    lambda: Fixed("b"),
    WordCount,
    lambda: Greedy(BELIEF),
    lambda: Thompson(BELIEF, Hyper()),
    lambda: Thompson(BELIEF, Hyper(draws=1, floor=0.0, temperature=1.0)),
]
NAMES = ["uniform", "fixed", "word count", "greedy", "thompson", "thompson of one draw"]
every_policy = pytest.mark.parametrize("policy", [make() for make in POLICIES], ids=NAMES)


def offers(n: int) -> list[Offer]:
    rng = np.random.default_rng(1)
    return [
        Offer(x, ARMS[: 1 + i % 3], rng.uniform(0, 0.5, 1 + i % 3), int(rng.integers(10_000)))
        for i, x in enumerate(contexts(rng, n))
    ]


@every_policy
def test_propensities_are_a_distribution_over_the_arms_offered(policy: Policy) -> None:
    for offer in offers(60):
        pmf = policy.propensities(offer, np.random.default_rng(2))
        assert pmf.shape == (len(offer.arms),)
        assert pmf.sum() == pytest.approx(1.0, abs=1e-12)
        assert (pmf >= 0).all()


@every_policy
def test_a_lone_arm_is_certain(policy: Policy) -> None:
    offer = Offer(np.ones(4), ("a",), np.array([0.3]))
    np.testing.assert_allclose(policy.propensities(offer, np.random.default_rng(0)), [1.0])


@every_policy
def test_the_same_generator_gives_the_same_answer(policy: Policy) -> None:
    for offer in offers(10):
        one, other = (policy.propensities(offer, np.random.default_rng(5)) for _ in range(2))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("floor", [0.0, 0.01, 0.3, 1.0])
def test_thompson_never_goes_below_its_floor_at_the_price_of_each_arm(floor: float) -> None:
    policy = Thompson(BELIEF, Hyper(floor=floor))
    for offer in offers(60):
        pmf = policy.propensities(offer, np.random.default_rng(8))
        dearer = np.maximum(offer.price / offer.price.min(), 1.0)
        assert (pmf >= floor / len(offer.arms) / np.minimum(dearer, DEAREST) - 1e-15).all()


def test_an_arm_is_drawn_as_often_as_the_vector_says() -> None:
    rng, pmf = np.random.default_rng(9), np.array([0.5, 0.3, 0.15, 0.05])
    drawn = np.bincount([choose(pmf, rng) for _ in range(20_000)], minlength=4)
    assert chisquare(drawn, 20_000 * pmf).pvalue > 0.001


def test_an_arm_of_probability_nothing_is_never_drawn() -> None:
    rng = np.random.default_rng(10)
    assert {choose(certain(2, 4), rng) for _ in range(1000)} == {2}
