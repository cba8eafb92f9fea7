"""Uneven arms say little or very much, and about as much in all as was recorded."""

from dataclasses import replace

import numpy as np
import pytest

from bench.uneven import RARELY, TIMES, uneven
from tests.bench.worlds import easy

WORLD = easy(4_000)
UNEVEN = uneven(WORLD)
BY_COST = np.argsort(WORLD.cost_usd.mean(axis=0))


def test_every_second_arm_is_uneven_and_the_others_are_as_recorded() -> None:
    for place, arm in enumerate(BY_COST):
        times = UNEVEN.output_tokens[:, arm] / WORLD.output_tokens[:, arm]
        if place % 2:
            assert abs((times > 1).mean() - RARELY) < 0.02
            assert (np.abs(times * np.where(times > 1, 1 / TIMES, TIMES) - 1) < 0.2).all()
        else:
            assert (times == 1).all()
            np.testing.assert_array_equal(UNEVEN.cost_usd[:, arm], WORLD.cost_usd[:, arm])


def test_bills_follow_the_tokens_and_are_about_as_high_in_all() -> None:
    spent, recorded = UNEVEN.cost_usd.mean(axis=0), WORLD.cost_usd.mean(axis=0)
    np.testing.assert_allclose(spent, recorded, rtol=0.1)
    for i, arm in enumerate(WORLD.arms):
        more = UNEVEN.output_tokens[:, i] - WORLD.output_tokens[:, i]
        paid = UNEVEN.cost_usd[:, i] - WORLD.cost_usd[:, i]
        np.testing.assert_allclose(paid, more * arm.output_usd_per_mtok / 1e6, atol=1e-12)


def test_scores_and_prices_stay() -> None:
    np.testing.assert_array_equal(UNEVEN.scores, WORLD.scores)
    assert UNEVEN.arms == WORLD.arms
    assert UNEVEN.digest != WORLD.digest


def test_a_table_with_one_arm_has_none_to_be_uneven() -> None:
    alone = replace(WORLD, arms=WORLD.arms[:1], scores=WORLD.scores[:, :1])
    with pytest.raises(ValueError, match="easy has one arm"):
        uneven(alone)
