"""What a belief says: of all arms in one context, and of one arm in all contexts."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from policy.types import Floats

COMPARED = 2.0
"""So many arms at a time, times the root of the outcomes: more a stream cannot tell apart."""
HEADSTART = 64.0
"""Outcomes that count as if they had been."""
AT_ONCE = int(COMPARED * sqrt(HEADSTART))
"""So many arms are compared from the start; where there are no more, none is held back."""


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
class MeanWeights:
    """What is believed of one arm in all contexts: weights, and the sd of its mean over them.

    shapes : weights (d,)
    """

    weights: Floats
    sd: float


def compared(weight: Floats) -> NDArray[np.bool_]:
    """Return which arms may win: those with outcomes and, unless these are enough, all others.

    shapes : weight (k,) outcomes of each arm -> (k,)
    source : Bayati et al. 2020 (arXiv:2002.10121): of more than sqrt(T) arms about sqrt(T) are
             enough; T is here what has been seen so far, since no stream tells how long it will be

    >>> int(compared(np.repeat([1.0, 0.0], [18, 2])).sum())
    20
    >>> int(compared(np.repeat([1.0, 0.0], [19, 2])).sum())
    19
    """
    tried = weight > 0
    outcomes = float(np.maximum(weight, 0.0).sum())
    enough = int(tried.sum()) >= COMPARED * sqrt(HEADSTART + outcomes)
    return tried if enough else np.ones(len(weight), dtype=bool)
