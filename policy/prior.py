"""What is believed before any outcome: how arms differ, how prompts matter, how noisy a reward is.

Every variance is in units of the noise variance, so that the posterior mean needs no noise estimate
and the same prior serves rewards of any spread (the conjugate normal-inverse-gamma form). Features
come in groups (facts of the text, words, task, constant); each group has one scale, because three
or four numbers can be learned from a few hundred outcomes and sixty cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from policy.types import Floats

GROUPS = ("facts", "words", "task", "constant")


@dataclass(frozen=True, slots=True)
class Scales:
    """One prior standard deviation per feature group, in units of the noise's."""

    facts: float
    words: float
    task: float
    constant: float

    def of(self, groups: tuple[str, ...]) -> Floats:
        """Return the scale of each feature.

        shapes : (d,)

        >>> Scales(0.1, 0.2, 0.3, 2.0).of(("words", "constant"))
        array([0.2, 2. ])
        """
        return np.array([getattr(self, group) for group in groups], dtype=float)


@dataclass(frozen=True)
class Prior:
    """A two-level prior: weights all arms share, and each arm's deviation from them.

    weights of an arm = shared + deviation; both are Gaussian, `mean` is the shared constant's. What
    all arms share has one weight more, `slope`: how much more the constant of an arm is for each e
    times that its model is listed dearer. `dearness` is the logarithm of an arm's list price in
    USD per million tokens; an arm without one counts as if it were listed at 1.
    `hints` are quality figures of the catalogue, each worth `hint_weight` outcomes.

    units  : scales and slope_sd in noise standard deviations, noise_guess a variance worth
             noise_weight outcomes
    source : Lindley and Smith 1972, Bayes estimates for the linear model, eq. 3-5
    """

    groups: tuple[str, ...]
    deviation: Scales
    shared: Scales
    mean: float
    noise_guess: float
    noise_weight: float = 4.0
    eval_ceiling: float = 200.0
    hint_weight: float = 3.0
    hints: Mapping[str, float] = field(default_factory=dict)
    dearness: Mapping[str, float] = field(default_factory=dict)
    slope: float = 0.0
    slope_sd: float = 0.05

    @cached_property
    def shared_mean(self) -> Floats:
        """Return the prior mean of the shared weights, the slope last, (d + 1,)."""
        mean = np.zeros(len(self.groups) + 1)
        mean[-2:] = self.mean, self.slope
        return mean

    @cached_property
    def deviation_precision(self) -> Floats:
        """Return the prior precision of an arm's deviation, (d,)."""
        return 1.0 / self.deviation.of(self.groups) ** 2

    @cached_property
    def shared_precision(self) -> Floats:
        """Return the prior precision of the shared weights, the slope last, (d + 1,)."""
        return 1.0 / np.append(self.shared.of(self.groups), self.slope_sd) ** 2
