"""Figures of a seed add up to what was played, and a mixture spends no more than its policy."""

import numpy as np
import pytest

from bench.course import lay
from bench.figures import figures
from bench.options import HALF, Options
from bench.replay import play
from bench.yardsticks import foresee
from tests.bench.worlds import easy

WORLD = easy(200)
SKETCHES = WORLD.sketches("text")


@pytest.mark.parametrize("scenario", ["steady", "price_cut", "degraded", "new_arm"])
def test_a_uniform_policy_gets_what_the_course_gives(scenario: str) -> None:
    options = Options(policy="uniform", scenario=scenario, learn_on=HALF)  # type: ignore[arg-type]
    course = lay(WORLD, options, 2).judged()
    played = play(WORLD, SKETCHES, options, 2)
    seen = figures(WORLD, options, 2, {"uniform": played}, foresee(WORLD, SKETCHES))
    found, mixture = seen.policies["uniform"], seen.mixtures["uniform"]
    got = course.scores[np.arange(100), played.arms]
    assert found.reward == pytest.approx(got.mean())
    assert found.second_half == pytest.approx(got[50:].mean())
    if course.changed.any():
        assert found.changed == pytest.approx(got[course.changed].mean())
    assert mixture.cost_usd <= found.cost_usd * (1 + 1e-9)
    assert mixture.shares.sum() == pytest.approx(1.0)
    assert mixture.shares[~course.offered.all(axis=0)].sum() == 0.0
