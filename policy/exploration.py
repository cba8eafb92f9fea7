"""How much may be explored: a ceiling on the traffic sent off the arm that looks best.

Every decision earns `share` of probability mass and is charged for the mass it puts off the best
arm; what is not earned is given back to the best arm before the draw. An arm's first trials are
charged in part only: what nobody has tried cannot look good, and a few dozen answers per arm, once,
are what a comparison costs. Beyond those the explored share of any stretch of traffic is at most
`share` of it plus a burst of a few decisions. The propensities logged are those sampled from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from policy.hyper import Hyper
from policy.prediction import AT_ONCE
from policy.types import Floats

BURST = 5.0
MOST_TRIALS = 100.0
"""Of one arm, however few there are."""
FIRST_SHARE = 0.5
"""Of the requests, to a control of which too few outcomes are known."""
UNRATED = 1.0 / 3.0
"""What an answer uses up of a trial: ten ratings in a hundred answers can be bad luck."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Probability mass that may still be put off the best arm; it is logged with the decision."""

    mass: float = 0.0

    def earn(self, share: float) -> Self:
        """Return the allowance one decision later, never more than a small burst."""
        return type(self)(min(self.mass + share, BURST))

    def spend(self, mass: float) -> Self:
        """Return the allowance after a decision was charged this mass; what is beyond was free."""
        return type(self)(max(self.mass - mass, 0.0))

    def beside(self, charged: float, left: float) -> Self:
        """Return what the share of requests that is left may put off the best arm."""
        return type(self)(max(self.mass - charged, 0.0) / left)


@dataclass(frozen=True, slots=True)
class Control:
    """What goes to one arm whatever looks best, so that the log can tell what that arm would cost.

    `share` of the requests in which arms may be tried, at most half; `arm` None stands for the
    dearest. Half of them until `first` outcomes of it are known.
    """

    share: float
    arm: str | None = None
    first: float = 0.0

    def share_at(self, seen: float) -> float:
        """Return the share of an arm with so many outcomes and evals."""
        return max(self.share, FIRST_SHARE) if seen < self.first else self.share


def taken(control: Control | None, arms: Sequence[str], seen: Floats) -> Floats:
    """Return what a control takes of the distribution: its share, where its arm may be asked.

    shapes : seen (k,), the outcomes and evals of each arm -> (k,)

    >>> taken(Control(0.2, "dear"), ("cheap", "dear"), np.array([100.0, 20.0]))
    array([0. , 0.2])
    """
    mass: Floats = np.zeros(len(arms))
    if control is not None and control.arm in arms:
        it = arms.index(control.arm)
        mass[it] = control.share_at(float(seen[it]))
    return mass


def charges(seen: Floats, served: Floats, free_trials: float) -> Floats:
    """Return what a unit of probability mass is charged on each arm, 0 untried, 1 well known.

    All arms share the free trials, so that hundreds of arms are not each tried as often as two. A
    rated outcome uses one up, an eval or a hint too, and an answer that nobody rates a third.

    shapes : seen (k,) outcomes and evals of each arm, served (k,) answers it has given -> (k,)

    >>> charges(np.array([0.0, 20.0, 0.0]), np.array([0.0, 90.0, 4000.0]), 240.0).tolist()
    [0.0, 0.375, 1.0]
    """
    if free_trials <= 0:
        return np.ones(len(seen))
    each = min(free_trials / len(seen), MOST_TRIALS)
    charged: Floats = np.minimum(np.maximum(seen, served * UNRATED) / each, 1.0)
    return charged


def limited(pmf: Floats, best: int, allowance: Allowance, charge: Floats) -> Floats:
    """Return the distribution with no more off the best arm than is free or the allowance pays for.

    Of an arm's mass the part `charge` is charged, and of that the same share is kept of every arm.

    shapes : pmf, charge (k,) -> (k,)

    >>> limited(np.array([0.5, 0.25, 0.25]), 0, Allowance(0.1), np.ones(3))
    array([0.9 , 0.05, 0.05])
    """
    charged = charged_off(pmf, best, charge)
    if charged <= allowance.mass:
        return pmf
    kept: Floats = pmf * (1.0 - charge + charge * (allowance.mass / charged))
    kept[best] = 0.0
    kept[best] = 1.0 - kept.sum()
    return kept


def charged_off(pmf: Floats, best: int, charge: Floats) -> float:
    """Return what a distribution is charged for the probability mass it puts off the best arm."""
    return float(pmf @ charge - pmf[best] * charge[best])


def looked_best(
    quality: Sequence[float], cost_usd: Sequence[float], pays_usd: float, odds: Sequence[float]
) -> int:
    """Return which arm looked worth the most of those that might win, of equals the cheapest.

    Of many arms, those nobody has tried yet may not: one with no more than its part of the floor
    has won no draw.

    shapes : quality, cost_usd, odds (k,); pays_usd is dollars that one more thumbs-up is worth

    >>> looked_best([0.5] * 17 + [0.9], [0.0] * 18, 1.0, [1 / 17] * 17 + [0.0])
    0
    """
    k = len(odds)
    least = Hyper().floor / k if k > AT_ONCE else -1.0
    won = [i for i in range(k) if odds[i] > least]
    return max(won, key=lambda i: (quality[i] - cost_usd[i] / pays_usd, -cost_usd[i]))
