"""No stretch of traffic is explored beyond its share, a small burst, and first trials."""

import numpy as np
import pytest

from policy.belief import Belief
from policy.decide import Beliefs, Question, decide
from policy.eligibility import Demand
from policy.exploration import BURST, Allowance, Control, charged_off, charges, limited
from policy.hyper import Hyper
from policy.types import Arm, Floats
from tests.policy.worlds import GROUPS, contexts

KNOWN = np.array([900.0, 0.0, 900.0])


def explored(pmfs: Floats, best: Floats, share: float, charged: Floats) -> Floats:
    """Return the mass put off the best arm in each round of a stretch, less what of it is free."""
    allowance, masses = Allowance(), []
    for pmf, arm, charge in zip(pmfs, best, charged, strict=True):
        allowance = allowance.earn(share)
        cut = limited(pmf, arm, allowance, charge)
        allowance = allowance.spend(charged_off(cut, arm, charge))
        masses.append(np.delete(cut - pmf * (1.0 - charge), arm).sum())
    return np.array(masses)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 1.0])
@pytest.mark.parametrize("quiet", [0, 500])
@pytest.mark.parametrize("least", [0.0, 1.0])
def test_every_stretch_keeps_to_its_share_and_a_burst(
    share: float, quiet: int, least: float
) -> None:
    rng = np.random.default_rng(0)
    pmfs, charged = rng.dirichlet(np.ones(4), 1500), rng.uniform(least, 1.0, (1500, 4))
    pmfs[:quiet] = [1.0, 0.0, 0.0, 0.0]
    best = np.where(np.arange(1500) < quiet, 0, rng.integers(4, size=1500))
    spent = np.concatenate([[0.0], explored(pmfs, best, share, charged).cumsum()])
    over = spent - share * np.arange(1501)  # mass above the share since the first round
    assert (over - np.minimum.accumulate(over)).max() <= BURST + 1e-9


def test_a_limited_distribution_keeps_the_odds_among_the_others() -> None:
    rng = np.random.default_rng(1)
    for pmf in rng.dirichlet(np.ones(5), 100):
        cut = limited(pmf, 2, Allowance(0.1), np.ones(5))
        assert cut.sum() == pytest.approx(1.0)
        assert (cut >= 0).all()
        assert 1 - cut[2] == pytest.approx(min(0.1, 1 - pmf[2]))
        others = [0, 1, 3, 4]
        np.testing.assert_allclose(cut[others] / cut[0], pmf[others] / pmf[0])


def test_within_the_allowance_nothing_changes_and_without_it_nothing_is_explored() -> None:
    pmf = np.array([0.9, 0.06, 0.04])
    full = np.ones(3)
    np.testing.assert_array_equal(limited(pmf, 0, Allowance(0.2), full), pmf)
    np.testing.assert_array_equal(limited(pmf, 0, Allowance(0.0), full), [1.0, 0.0, 0.0])


def test_an_arm_that_nobody_has_tried_is_tried_whatever_the_allowance() -> None:
    pmf, charge = np.array([0.4, 0.3, 0.3]), charges(KNOWN, KNOWN, 300.0)
    cut = limited(pmf, 0, Allowance(0.0), charge)
    np.testing.assert_allclose(cut, [0.7, 0.3, 0.0])
    assert charged_off(cut, 0, charge) == 0.0


@pytest.mark.parametrize(
    ("rated", "evals", "arms", "most"),
    [(0.0, 0, 2, 300), (1.0, 0, 2, 100), (1.0, 0, 12, 25), (1.0, 200, 2, 0)],
)
def test_free_trials_are_shared_longer_where_nobody_rates_and_none_for_arms_with_evals(
    rated: float, evals: int, arms: int, most: int
) -> None:
    rng, served = np.random.default_rng(3), np.zeros(arms)
    even = np.full(arms, 1.0 / arms)
    for _ in range(10_000):
        charge = charges(rated * served + evals, served, 300.0)
        cut = limited(even, 0, Allowance(0.0), charge)
        served[rng.choice(arms, p=cut)] += 1
    assert 0.8 * most <= served[1] <= most


def test_an_allowance_never_grows_beyond_the_burst_nor_below_nothing() -> None:
    allowance = Allowance()
    for _ in range(1000):
        allowance = allowance.earn(0.1)
    assert allowance.mass == BURST
    assert allowance.spend(100.0).mass == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("control", [None, Control(0.01, "c"), Control(0.08, "c")])
def test_the_explored_mass_that_is_logged_is_the_share_that_is_explored(
    control: Control | None,
) -> None:
    rng = np.random.default_rng(2)
    hyper = Hyper(free_trials=0.0)
    beliefs = Beliefs(
        Belief(hyper.quality_prior(GROUPS)), Belief(hyper.tokens_prior(GROUPS)), hyper
    )
    arms = [
        Arm(name, "p", name, price, price, 100_000)
        for name, price in zip("abc", (1, 2, 3), strict=True)
    ]
    allowance, masses, off = Allowance(), [], []
    for x in contexts(rng, 6000):
        question = Question(x, Demand(500), willingness_to_pay_usd=0.01)
        verdict = decide(arms, question, beliefs, rng, allowance=allowance, control=control)
        allowance = verdict.allowance.spend(verdict.explored)
        looks_best = (verdict.quality - verdict.cost_usd / 0.01).argmax()
        masses.append(verdict.explored)
        off.append(verdict.chosen != looks_best)
    mass = np.array(masses)
    error = np.sqrt((mass * (1 - mass)).sum())
    assert abs(sum(off) - mass.sum()) < 4 * error
    assert mass.sum() == pytest.approx(hyper.explored_share * 6000, abs=BURST)
