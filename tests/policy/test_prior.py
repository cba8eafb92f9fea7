"""The prior says what worlds drawn from it show."""

import numpy as np
import pytest

from policy.belief import Belief
from policy.prior import Prior, Scales
from tests.policy.worlds import PRIOR, World, contexts


def test_a_belief_without_outcomes_predicts_the_moments_of_drawn_worlds() -> None:
    rng = np.random.default_rng(0)
    x, n = contexts(rng, 1)[0], 20_000
    heavy = Prior(PRIOR.groups, PRIOR.deviation, PRIOR.shared, 0.6, 0.1, noise_weight=1e6)
    drawn = np.array([World.drawn(heavy, 2, rng).weights @ x for _ in range(n)])
    said = Belief(heavy).predict(x, ("a", "b"))
    covariance = np.cov(drawn.T)
    error = np.sqrt((covariance**2 + np.outer(np.diag(covariance), np.diag(covariance))) / n)
    assert (np.abs(drawn.mean(axis=0) - said.mean) < 4 * said.sd / np.sqrt(n)).all()
    assert (np.abs(covariance - said.covariance) < 4 * error).all()


def test_each_feature_has_the_scale_of_its_group() -> None:
    groups = ("facts", "facts", "words", "task", "constant")
    scales = Scales(0.1, 0.2, 0.5, 2.0), Scales(1.0, 0.5, 0.25, 4.0)
    prior = Prior(groups, *scales, 0.7, 0.1, slope=0.3, slope_sd=0.2)
    np.testing.assert_allclose(prior.deviation_precision, [100, 100, 25, 4, 0.25])
    np.testing.assert_allclose(prior.shared_precision, [1, 1, 4, 16, 1 / 16, 25])
    np.testing.assert_array_equal(prior.shared_mean, [0, 0, 0, 0, 0.7, 0.3])


def test_the_variance_of_an_arm_is_the_shared_and_its_own_in_noise_units() -> None:
    prior = Prior(("constant",), Scales(1, 1, 1, 0.5), Scales(1, 1, 1, 2.0), 0.7, 0.04)
    said = Belief(prior).predict(np.ones(1), ("a", "b"))
    assert said.covariance[0, 0] == pytest.approx(0.04 * (0.25 + 4.0))
    assert said.covariance[0, 1] == pytest.approx(0.04 * 4.0)
