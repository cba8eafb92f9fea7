"""The policies to beat do what their one sentence says."""

import numpy as np
import pytest

from policy.baselines import Fixed, Greedy, Uniform, WordCount, best
from policy.offer import Offer
from tests.policy.worlds import PRIOR, contexts, learned, rows

RNG = np.random.default_rng(0)
ARMS = ("dear", "cheap", "middle", "cheaper")
PRICE = np.array([4.0, 2.0, 3.0, 1.0])


def offered(words: int = 0, arms: tuple[str, ...] = ARMS) -> Offer:
    return Offer(np.ones(4), arms, PRICE[: len(arms)], words)


def test_uniform_takes_every_arm_alike() -> None:
    np.testing.assert_array_equal(Uniform().propensities(offered(), RNG), [0.25] * 4)


def test_a_fixed_arm_is_taken_while_it_may_and_else_the_cheapest() -> None:
    assert Fixed("middle").propensities(offered(), RNG).tolist() == [0, 0, 1, 0]
    assert Fixed("gone").propensities(offered(), RNG).tolist() == [0, 0, 0, 1]
    assert Fixed("middle").name == "fixed:middle"


@pytest.mark.parametrize(
    ("words", "arm"),
    [
        (0, "cheaper"),
        (99, "cheaper"),
        (100, "cheap"),
        (999, "cheap"),
        (1_000, "middle"),
        (7_999, "middle"),
        (8_000, "dear"),
        (100_000, "dear"),
    ],
)
def test_the_word_count_rule_takes_the_tier_of_the_length(words: int, arm: str) -> None:
    pmf = WordCount().propensities(offered(words), RNG)
    assert ARMS[int(pmf.argmax())] == arm
    assert pmf.max() == 1.0


def test_with_two_arms_the_word_count_rule_still_spans_from_cheap_to_dear() -> None:
    pmfs = [WordCount().propensities(offered(w, ARMS[:2]), RNG).tolist() for w in (0, 9_000)]
    assert pmfs == [[0, 1], [1, 0]]


def test_greedy_takes_the_best_mean_after_price() -> None:
    rng = np.random.default_rng(1)
    policy = Greedy(learned(PRIOR, rows(rng, 60)))
    for x in contexts(rng, 50):
        price = rng.uniform(0, 0.3, 3)
        mean = policy.belief.predict(x, ("a", "b", "c")).mean
        pmf = policy.propensities(Offer(x, ("a", "b", "c"), price), rng)
        assert pmf[(mean - price).argmax()] == 1.0


def test_the_best_arm_is_the_one_an_exhaustive_search_finds() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        quality, price = rng.integers(5, size=4) / 4, rng.integers(5, size=4) / 4
        ranked = sorted(range(4), key=lambda i: (price[i] - quality[i], price[i], i))
        assert best(quality, price) == ranked[0]
