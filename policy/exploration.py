"""How much may be explored: a ceiling on the traffic sent off the arm that looks best.

Every decision earns `share` of probability mass and spends the mass it puts off the best arm; what
is not earned is given back to the best arm before the draw. The explored share of any stretch of
traffic is then at most `share` of it plus a burst of a few decisions, and the propensities logged
are those that were sampled from.
"""

from dataclasses import dataclass
from typing import Self

from policy.types import Floats

BURST = 5.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """Probability mass that may still be put off the best arm; it is logged with the decision."""

    mass: float = 0.0

    def earn(self, share: float) -> Self:
        """Return the allowance one decision later, never more than a small burst."""
        return type(self)(min(self.mass + share, BURST))

    def spend(self, mass: float) -> Self:
        """Return the allowance after a decision that explored with this probability mass."""
        return type(self)(max(self.mass - mass, 0.0))


def limited(pmf: Floats, best: int, allowance: Allowance) -> Floats:
    """Return the distribution with no more than the allowance off the best arm.

    shapes : pmf (k,) -> (k,)

    >>> import numpy as np
    >>> limited(np.array([0.5, 0.25, 0.25]), 0, Allowance(0.1))
    array([0.9 , 0.05, 0.05])
    """
    explored = 1.0 - pmf[best]
    if explored <= allowance.mass:
        return pmf
    kept: Floats = pmf * (allowance.mass / explored)
    kept[best] = 0.0
    kept[best] = 1.0 - kept.sum()
    return kept


def off_best(pmf: Floats, best: int) -> float:
    """Return the probability mass that a distribution puts off the best arm."""
    return float(1.0 - pmf[best])
