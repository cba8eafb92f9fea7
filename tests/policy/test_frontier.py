"""The frontier is what a search over every choice finds, and it never buys less for more."""

from itertools import pairwise, product

import numpy as np
import pytest

from policy.frontier import Point, frontier
from policy.types import Floats

PAYMENTS = (1e-6, 1e-4, 1e-3, 0.01, 0.1, 1.0, 100.0)


def recent(seed: int, n: int = 5, k: int = 3) -> tuple[Floats, Floats]:
    """Return qualities and costs of which some arms, never all, were not eligible."""
    rng = np.random.default_rng(seed)
    quality, cost = rng.random((n, k)), rng.lognormal(-7, 2, (n, k))
    barred = rng.random((n, k)) < 0.3
    barred[np.arange(n), rng.integers(k, size=n)] = False
    quality[barred] = cost[barred] = np.nan
    return quality, cost


@pytest.mark.parametrize("seed", range(10))
def test_no_other_assignment_of_prompts_to_arms_is_worth_more(seed: int) -> None:
    quality, cost = recent(seed)
    rows = np.arange(len(quality))
    for point in frontier(quality, cost, PAYMENTS):
        payment = point.willingness_to_pay_usd
        worth = [
            float((quality[rows, list(arms)] - cost[rows, list(arms)] / payment).mean())
            for arms in product(range(3), repeat=len(quality))
        ]
        assert point.quality - point.cost_usd / payment == pytest.approx(np.nanmax(worth))


@pytest.mark.parametrize("seed", range(10))
def test_who_pays_more_never_gets_less(seed: int) -> None:
    points = frontier(*recent(seed, n=200, k=5), PAYMENTS)
    assert [point.willingness_to_pay_usd for point in points] == list(PAYMENTS)
    for poorer, richer in pairwise(points):
        assert richer.quality >= poorer.quality
        assert richer.cost_usd >= poorer.cost_usd


def test_the_ends_are_the_cheapest_and_the_best_arm_of_each_prompt() -> None:
    quality, cost = recent(0, n=200)
    thrifty, lavish = frontier(quality, cost, (1e-12, 1e12))
    assert thrifty.cost_usd == pytest.approx(np.nanmin(cost, axis=1).mean())
    assert lavish.quality == pytest.approx(np.nanmax(quality, axis=1).mean())


def test_prices_and_willingness_doubled_together_change_no_choice() -> None:
    quality, cost = recent(1, n=100)
    for one, two in zip(
        frontier(quality, cost, PAYMENTS),
        frontier(quality, 2 * cost, [2 * payment for payment in PAYMENTS]),
        strict=True,
    ):
        assert two.quality == one.quality
        assert two.cost_usd == pytest.approx(2 * one.cost_usd)


def test_no_price_asked_for_is_none_answered() -> None:
    assert frontier(*recent(2), ()) == []


def test_with_one_arm_nothing_can_be_bought() -> None:
    points = frontier(np.array([[0.5]]), np.array([[0.01]]), (0.001, 10.0))
    assert points == [Point(0.001, 0.01, 0.5, (1.0,)), Point(10.0, 0.01, 0.5, (1.0,))]


def test_the_shares_say_which_arm_each_prompt_would_get() -> None:
    quality, cost = np.array([[0.5, 0.9], [0.5, 0.55]] * 2), np.array([[0.001, 0.01]] * 4)
    [point] = frontier(quality, cost, (0.1,))
    assert point.shares == (0.5, 0.5)
    assert frontier(quality, cost, (0.001,))[0].shares == (1.0, 0.0)


def test_no_more_is_brought_than_there_can_be_and_what_is_predicted_chooses() -> None:
    quality, cost = np.array([[1.2, 1.3], [-0.2, -0.1]]), np.array([[0.001, 0.01]] * 2)
    [point] = frontier(quality, cost, (1.0,))
    assert (point.quality, point.shares) == (0.5, (0.0, 1.0))
