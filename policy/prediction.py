"""What a belief says: of all arms in one context, and of one arm in all contexts."""

from dataclasses import dataclass

import numpy as np

from policy.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a belief says of one context, arm by arm.

    shapes : mean (k,), covariance (k, k) of the mean reward, weight (k,) outcomes seen, late (k,)
             outcomes of other arms before the first of an arm that came late, else 0
    units  : noise is the variance of one reward
    """

    mean: Floats
    covariance: Floats
    weight: Floats
    late: Floats
    noise: float

    @property
    def sd(self) -> Floats:
        """Return the standard deviation of each arm's mean reward, (k,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def doubt(self) -> Floats:
        """Return how far an arm's mean over many prompts may be off, far less than `sd`, (k,)."""
        return np.sqrt(self.noise / (1.0 + np.maximum(self.weight, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What is believed of one arm in all contexts: weights, and the sd of its mean over them.

    shapes : weights (d,)
    """

    weights: Floats
    sd: float
