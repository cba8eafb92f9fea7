"""Scales move toward those the data were drawn with, and stay put where the data are silent."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from policy.belief import Belief
from policy.prior import Prior, Scales
from policy.tuning import score, tuned
from tests.policy.worlds import World, contexts

GROUPS = ("facts",) * 4 + ("words",) * 4 + ("constant",)
DEFAULT = Prior(GROUPS, Scales(0.05, 0.05, 0.3, 1.0), Scales(0.1, 0.1, 0.5, 1.0), 0.7, 0.1)
TRUE = replace(DEFAULT, deviation=Scales(0.4, 0.01, 0.3, 1.0), shared=Scales(0.8, 0.1, 0.5, 1.0))


def seen(prior: Prior, seed: int, arms: int = 6, n: int = 1500) -> Belief:
    """Return the default belief after outcomes of a world drawn from another prior."""
    rng = np.random.default_rng(seed)
    world, belief = World.drawn(prior, arms, rng), Belief(DEFAULT)
    for x in contexts(rng, n, len(GROUPS)):
        arm = int(rng.integers(arms))
        belief = belief.update(f"arm {arm}", x, world.reward(arm, x, rng))
    return belief


@pytest.mark.parametrize("seed", range(3))
def test_scales_move_toward_the_true_ones_and_the_outcomes_become_likelier(seed: int) -> None:
    belief = seen(TRUE, seed)
    found = tuned(belief, DEFAULT)
    assert belief.under(found).log_evidence > belief.log_evidence + 5
    assert found.deviation.facts == pytest.approx(TRUE.deviation.facts, rel=0.5)
    assert found.shared.facts == pytest.approx(TRUE.shared.facts, rel=0.7)
    assert found.deviation.words < DEFAULT.deviation.words


@pytest.mark.parametrize("seed", range(3))
def test_a_tuned_prior_predicts_new_outcomes_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = World.drawn(TRUE, 6, rng)
    names = tuple(f"arm {arm}" for arm in range(6))
    belief = Belief(DEFAULT)
    for x in contexts(rng, 150, len(GROUPS)):
        arm = int(rng.integers(6))
        belief = belief.update(names[arm], x, world.reward(arm, x, rng))
    better = belief.under(tuned(belief, DEFAULT))
    asked = contexts(rng, 300, len(GROUPS))
    before, after = (
        np.mean([(one.predict(x, names).mean - world.weights @ x) ** 2 for x in asked])
        for one in (belief, better)
    )
    assert after < before


def test_what_is_far_from_the_default_is_held_back_as_a_log_normal_says() -> None:
    belief = seen(TRUE, 0, n=50)
    ratios = [np.log([8.0, 0.2]), np.log([8.0, 1.0])]  # of TRUE's deviations and shared scales
    held = sum(float((norm.logpdf(of) - norm.logpdf(0.0)).sum()) for of in ratios)
    expected = belief.under(TRUE).log_evidence + held
    assert score(belief, TRUE, DEFAULT) == pytest.approx(expected)


def test_scales_that_are_wrong_are_left_for_likelier_ones() -> None:
    wrong = replace(DEFAULT, deviation=Scales(0.001, 5.0, 0.3, 0.01))
    belief = seen(TRUE, 0)
    found = tuned(belief.under(wrong), DEFAULT)
    assert score(belief, found, DEFAULT) > score(belief, DEFAULT, DEFAULT)
    assert found.deviation.facts == pytest.approx(TRUE.deviation.facts, rel=0.5)


def test_without_outcomes_the_default_stays() -> None:
    assert tuned(Belief(DEFAULT), DEFAULT) == DEFAULT


def test_a_group_that_no_feature_belongs_to_is_left_alone() -> None:
    found = tuned(seen(TRUE, 0), DEFAULT)
    assert found.deviation.task == DEFAULT.deviation.task
    assert found.shared.task == DEFAULT.shared.task


def test_the_same_outcomes_give_the_same_scales() -> None:
    assert tuned(seen(TRUE, 1, n=300), DEFAULT) == tuned(seen(TRUE, 1, n=300), DEFAULT)


def test_what_is_not_a_scale_is_not_tuned() -> None:
    found = tuned(seen(TRUE, 2, n=300), DEFAULT)
    assert replace(found, deviation=DEFAULT.deviation, shared=DEFAULT.shared) == DEFAULT


def test_where_no_number_says_what_is_likelier_the_prior_stays() -> None:
    """As where another hand has spoilt what was learned: it must not be turned for ever."""
    spoilt = Belief(DEFAULT).update("a", np.array([1.0] * 8 + [np.nan]), 1.0)
    with np.errstate(invalid="ignore"):
        assert np.isnan(spoilt.log_evidence)
        assert tuned(spoilt, DEFAULT) == DEFAULT
