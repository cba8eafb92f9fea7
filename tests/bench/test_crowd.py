"""Made arms are like recorded ones: about as good as one of them, at prices that explain them."""

from dataclasses import replace

import numpy as np
import pytest

from bench.crowd import FAITHFUL, PRICES, crowded
from tests.bench.worlds import easy

WORLD = easy(2_000)
CROWD = crowded(WORLD, 30)


def test_what_was_recorded_stays_and_the_rest_is_named_after_it() -> None:
    np.testing.assert_array_equal(CROWD.scores[:, :3], WORLD.scores)
    assert CROWD.arms[:3] == WORLD.arms
    assert len(set(CROWD.names)) == 30
    assert CROWD.names[3:5] == ("coder #0", "teller #1")


def test_a_made_arm_mostly_answers_as_its_parent_and_never_better_than_all() -> None:
    for i in range(3, 30):
        parent = (i - 3) % 3
        same = (CROWD.scores[:, i] == WORLD.scores[:, parent]).mean()
        assert same > FAITHFUL - 0.03
        assert (CROWD.scores[:, i] <= WORLD.scores.max(axis=1)).all()
    assert not (CROWD.scores[:, 3] == WORLD.scores[:, 0]).all()


def test_bills_follow_the_prices() -> None:
    for i in range(3, 30):
        arm, parent = CROWD.arms[i], CROWD.arms[(i - 3) % 3]
        factor = arm.output_usd_per_mtok / parent.output_usd_per_mtok
        assert PRICES[0] <= factor <= PRICES[1]
        np.testing.assert_allclose(CROWD.cost_usd[:, i], WORLD.cost_usd[:, (i - 3) % 3] * factor)


def test_a_made_arm_is_not_called_as_another() -> None:
    named = replace(WORLD, arms=(replace(WORLD.arms[0], name="teller #1"), *WORLD.arms[1:]))
    with pytest.raises(ValueError, match="called 'teller #1', as one is"):
        crowded(named, 5)


def test_fewer_arms_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="easy has 3 arms already"):
        crowded(WORLD, 2)
