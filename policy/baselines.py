"""Policies to beat: uniform, one fixed arm, greedy, and the word-count rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy.belief import Belief
from policy.offer import Offer, certain
from policy.prediction import Prediction, compared
from policy.types import Arm, Floats

WORD_LIMITS = (100, 1_000, 8_000)


@dataclass(frozen=True)
class Uniform:
    """Every eligible arm alike: what a comparison of arms needs and no product wants."""

    name: str = "uniform"

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return 1 / k for each arm."""
        return np.full(len(offer.arms), 1.0 / len(offer.arms))


@dataclass(frozen=True)
class Fixed:
    """One arm whenever it is eligible, else the cheapest that is: what teams do today."""

    arm: str

    @property
    def name(self) -> str:
        """Return the name with the arm in it."""
        return f"fixed:{self.arm}"

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return certainty of one arm."""
        if self.arm in offer.arms:
            return certain(offer.arms.index(self.arm), len(offer.arms))
        return certain(int(offer.price.argmin()), len(offer.arms))


@dataclass(frozen=True)
class WordCount:
    """The static rule many teams write first: the longer the prompt, the dearer the arm.

    The eligible arms are ranked by expected price and cut into four tiers: under 100 words, under
    1,000, under 8,000, more.
    """

    name: str = "word_count"

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return certainty of the arm at the tier's place among the arms ranked by price.

        >>> offer = Offer(np.ones(1), ("dear", "cheap"), np.array([2.0, 1.0]), words=20)
        >>> WordCount().propensities(offer, np.random.default_rng(0))
        array([0., 1.])
        """
        return certain(by_words(offer.words, offer.price.tolist()), len(offer.arms))


def by_words(words: int, price: Sequence[float]) -> int:
    """Return the index of the arm that the word-count rule takes.

    >>> by_words(5_000, [3.0, 1.0, 2.0])
    2
    """
    tier = sum(words >= limit for limit in WORD_LIMITS)
    place = round(tier * (len(price) - 1) / len(WORD_LIMITS))
    return sorted(range(len(price)), key=price.__getitem__)[place]


@dataclass(frozen=True, eq=False)
class Greedy:
    """Always the arm with the best posterior-mean utility: learns, but never asks."""

    belief: Belief
    name: str = "greedy"

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return certainty of the arm that looks best."""
        said = self.belief.predict(offer.context, offer.arms)
        return certain(looks_best(said, offer.price), len(offer.arms))


def baseline(arms: Sequence[Arm], named: str | None = None) -> str:
    """Return the arm that savings are measured against: the one named, else the dearest."""
    return named or max(arms, key=lambda arm: (arm.output_usd_per_mtok, arm.name)).name


def looks_best(said: Prediction, price: Floats) -> int:
    """Return which of the arms that may win has the highest expected utility.

    shapes : price (k,), in units of reward
    """
    return best(np.where(compared(said.weight), said.mean, -np.inf), price)


def best(quality: Floats, price: Floats) -> int:
    """Return the index of the arm with the highest utility, of equals the cheapest.

    shapes : quality, price (k,)

    >>> best(np.array([0.5, 0.9, 0.9]), np.array([0.1, 0.3, 0.3]))
    1
    """
    return int(np.lexsort((price, price - quality))[0])
