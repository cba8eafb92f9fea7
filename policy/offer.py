"""What a policy is asked, and what every policy answers with."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from policy.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """One context with the arms that may serve it and what each would cost in units of reward.

    `price_sd` is how far an arm's mean price on prompts like this one may be off, as a share of it;
    None says that prices are certain.

    shapes : context (d,), price, price_sd (k,)
    units  : price = expected dollars / willingness to pay, so utility = quality - price;
             price_sd is the standard deviation of a logarithm
    """

    context: Floats
    arms: tuple[str, ...]
    price: Floats
    words: int = 0
    price_sd: Floats | None = None


class Policy(Protocol):
    """A map from offers to distributions over arms."""

    @property
    def name(self) -> str:
        """Return the name that is logged with every decision."""
        ...

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return the probability of each arm; the arm must be drawn from this very vector.

        shapes : (k,), sums to 1
        """
        ...


def certain(chosen: int, k: int) -> Floats:
    """Return the distribution that always takes one arm.

    >>> certain(1, 3)
    array([0., 1., 0.])
    """
    pmf = np.zeros(k)
    pmf[chosen] = 1.0
    return pmf


def choose(pmf: Floats, rng: np.random.Generator) -> int:
    """Return an arm's index drawn from the distribution that is logged."""
    return int(rng.choice(len(pmf), p=pmf))
