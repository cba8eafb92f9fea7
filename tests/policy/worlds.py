"""Worlds drawn from a prior, and one plain dense regression to hold every belief against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy.belief import Belief
from policy.prior import Prior, Scales
from policy.types import Floats

GROUPS = ("facts", "words", "task", "constant")
PRIOR = Prior(
    GROUPS,
    Scales(0.2, 0.4, 0.3, 1.0),
    Scales(0.5, 0.3, 0.2, 1.5),
    0.6,
    0.1,
    dearness={"a": -1.5, "b": 2.0, "never tried": 0.7},
    slope=0.1,
    slope_sd=0.3,
)

Rows = list[tuple[str, Floats, float, float]]


def contexts(rng: np.random.Generator, n: int, d: int = len(GROUPS)) -> Floats:
    """Return contexts (n, d) whose last entry is 1."""
    return np.hstack([rng.normal(size=(n, d - 1)), np.ones((n, 1))])


def rows(rng: np.random.Generator, n: int, arms: Sequence[str] = ("a", "b", "c")) -> Rows:
    """Return outcomes that mean nothing: exactness does not depend on where numbers come from."""
    return [(str(rng.choice(arms)), x, float(rng.random()), 1.0) for x in contexts(rng, n)]


def learned(prior: Prior, outcomes: Rows) -> Belief:
    """Return the belief after the outcomes, one at a time."""
    belief = Belief(prior)
    for arm, x, reward, weight in outcomes:
        belief = belief.update(arm, x, reward, weight)
    return belief


@dataclass(frozen=True)
class World:
    """The truth of a simulation: the weights (k, d) of each arm and the variance of one reward."""

    weights: Floats
    noise: float

    @classmethod
    def drawn(cls, prior: Prior, k: int, rng: np.random.Generator) -> "World":
        """Return a world as the prior believes them to be, its noise included."""
        noise = prior.noise_weight * prior.noise_guess / float(rng.chisquare(prior.noise_weight))
        sd = float(np.sqrt(noise))
        shared = prior.shared_mean[:-1] + sd * prior.shared.of(prior.groups) * rng.standard_normal(
            len(prior.groups)
        )
        own = sd * prior.deviation.of(prior.groups) * rng.standard_normal((k, len(prior.groups)))
        if prior.dearness:
            slope = prior.slope + sd * prior.slope_sd * rng.standard_normal()
            own[:, -1] += slope * np.array([prior.dearness.get(arm, 0.0) for arm in "abcd"[:k]])
        return cls(shared + own, noise)

    def reward(self, arm: int, x: Floats, rng: np.random.Generator) -> float:
        """Return one noisy reward."""
        return float(self.weights[arm] @ x + np.sqrt(self.noise) * rng.standard_normal())


@dataclass(frozen=True)
class Dense:
    """Bayesian regression on [x | dearness | x of arm 1 | x of arm 2 ...], solved whole."""

    prior: Prior
    arms: tuple[str, ...]
    mean: Floats
    covariance: Floats
    noise: float
    design: Floats
    prior_mean: Floats
    prior_precision: Floats

    @classmethod
    def of(cls, prior: Prior, arms: tuple[str, ...], outcomes: Rows) -> "Dense":
        """Return the posterior by one matrix inverse over all weights of all arms."""
        deviations = np.tile(prior.deviation.of(prior.groups) ** -2.0, len(arms))
        shared = np.append(prior.shared.of(prior.groups), prior.slope_sd)
        precision = np.concatenate([shared**-2.0, deviations])
        start = np.zeros(len(precision))
        start[len(prior.groups) - 1], start[len(prior.groups)] = prior.mean, prior.slope
        design = np.array([widened(prior, x, arm, arms) for arm, x, _, _ in outcomes])
        design = design.reshape(len(outcomes), len(precision))
        reward = np.array([r for _, _, r, _ in outcomes])
        weight = np.array([w for _, _, _, w in outcomes])
        exact = design.astype(np.longdouble)
        covariance = refined(np.diag(precision) + exact.T @ (weight[:, None] * exact))
        mean = covariance @ (precision * start + design.T @ (weight * reward))
        misfit = weight @ (reward - design @ mean) ** 2 + precision @ (mean - start) ** 2
        noise = (prior.noise_weight * prior.noise_guess + misfit) / (
            prior.noise_weight + weight.sum()
        )
        return cls(prior, arms, mean, covariance, float(noise), design, start, precision)

    def predict(self, x: Floats) -> tuple[Floats, Floats]:
        """Return mean (k,) and covariance (k, k) of the arms' mean rewards."""
        wide = np.array([widened(self.prior, x, arm, self.arms) for arm in self.arms])
        covariance = self.noise * (wide @ self.covariance @ wide.T)
        return (wide @ self.mean).astype(float), covariance.astype(float)


def refined(matrix: Floats) -> Floats:
    """Return an inverse whose own rounding is far below what is compared with it.

    Two Newton steps in extended precision.
    """
    inverse: Floats = np.linalg.inv(matrix.astype(float)).astype(np.longdouble)
    for _ in range(2):
        inverse = inverse @ (2 * np.eye(len(matrix)) - matrix @ inverse)
    return inverse


def widened(prior: Prior, x: Floats, arm: str, arms: tuple[str, ...]) -> Floats:
    """Return the row of the stacked design."""
    dearness = [prior.dearness.get(arm, 0.0)]
    return np.concatenate([x, dearness, *(x * (arm == other) for other in arms)])
