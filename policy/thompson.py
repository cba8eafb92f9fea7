"""Thompson sampling with exact propensities, tempered, with a floor.

The posterior is sampled M times, the wins are counted, a floor is mixed in, and the arm is drawn
from that very vector: the logged propensity is then exact by construction, however few the draws.
Choosing by a fresh draw and logging a Monte-Carlo estimate instead is biased.
"""

from dataclasses import dataclass
from math import log

import numpy as np

from policy.belief import Belief
from policy.hyper import Hyper
from policy.offer import Offer
from policy.prediction import Prediction, compared
from policy.tokens import RARELY_SD
from policy.types import Floats

JITTER = 1e-12
TINY = 1e-300
SOON = 300.0
"""Outcomes that not every arm has as many of: beyond them the mean of an arm is drawn wider."""
LATE = 1.5
"""Outcomes, times the root of those before it, until an arm that came late is tempered."""
DEAREST = 1e4
"""Beyond this ratio of prices an arm's part of the floor shrinks no further."""


@dataclass(frozen=True, eq=False)
class Thompson:
    """Contextual Thompson sampling over the arms of a belief.

    `temperature` scales the posterior's spread; an arm with few outcomes is drawn at full spread
    until it has about `cold_outcomes`, so that tempering never starves an arm nobody has tried; one
    that joins arms well known, until it has more.
    What an arm costs is drawn too where it may be the cheapest, as one that nobody has asked.
    The longer a stream in which arms were chosen, the wider an arm's mean is drawn: bad luck is
    found out. Of hundreds of arms no more are tried than its outcomes can tell apart.
    """

    belief: Belief
    hyper: Hyper
    name: str = "thompson"

    def propensities(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return how often each arm's drawn utility wins, with the floor mixed in.

        shapes : (k,), sums to 1
        source : Thompson 1933; tempering as in Chapelle and Li 2011, 3
        """
        said = self.belief.predict(offer.context, offer.arms)
        return self.won(offer, self.draws(said, rng), self.prices(offer, rng))

    def draws(self, said: Prediction, rng: np.random.Generator) -> Floats:
        """Return draws of every arm's quality from the tempered posterior, (draws, k).

        They are -inf of an arm nobody has tried while enough others are being compared, and never
        below the mean of one that came late: that it may be worse is no reason to try the others.

        source : May, Korda, Lee and Leslie 2012 (JMLR 13), optimistic Bayesian sampling
        """
        drawn: Floats = said.mean + self._deviations(said, rng)
        drawn[:, ~compared(said.weight)] = -np.inf
        return drawn

    def prices(self, offer: Offer, rng: np.random.Generator) -> Floats:
        """Return draws of every arm's price, (draws, k) or (1, k); their mean is what is expected.

        An arm too dear to be the cheapest, but rarely, has its expected price in all. Draws come
        from a stream of their own: what `rng` gives next stays the same.
        """
        price, sd = offer.price, offer.price_sd
        if sd is None:
            return price[None]
        sd = np.where(price * np.exp(-RARELY_SD * sd) <= price.min(), sd, 0.0)
        normal = rng.spawn(1)[0].standard_normal((self.hyper.draws, len(price)))
        drawn: Floats = price * np.exp(sd * normal - sd**2 / 2)
        return drawn

    def won(self, offer: Offer, drawn: Floats, prices: Floats) -> Floats:
        """Return how often each arm has the highest drawn utility, with the floor mixed in.

        An arm's part of the floor is floor / k, or less by as much as it is dearer than the arm
        that wins most: keeping every arm in play then never costs more than that share of spend.

        shapes : drawn (draws, k), prices (draws, k) or (1, k) -> (k,)
        """
        k, price = len(offer.arms), offer.price
        wins = np.bincount((drawn - prices).argmax(axis=1), minlength=k) / len(drawn)
        usual = max(float(price[wins.argmax()]), float(price.max()) / DEAREST, TINY)
        floor = self.hyper.floor / k / np.maximum(price / usual, 1.0)
        kept: Floats = (1.0 - floor.sum()) * wins + floor
        return kept

    def _deviations(self, said: Prediction, rng: np.random.Generator) -> Floats:
        k, seen = len(said.mean), np.maximum(said.weight, 0.0)
        tempered = self.hyper.temperature**2
        cold = np.maximum(self.hyper.cold_outcomes, LATE * np.sqrt(said.late))
        spread = tempered + (1.0 - tempered) * cold / (cold + seen)
        covariance = np.sqrt(spread[:, None] * spread) * said.covariance
        diagonal = np.einsum("ii->i", covariance)  # a view
        chosen = float(seen.sum() - k * seen.min())
        wider = min(tempered * (1.0 + log(max(chosen / SOON, 1.0))), 1.0)
        diagonal += np.maximum(wider - spread, 0.0) * said.doubt**2
        diagonal += JITTER + JITTER * float(diagonal.sum())
        root = np.linalg.cholesky(covariance)
        drawn: Floats = rng.standard_normal((self.hyper.draws, k)) @ root.T
        return np.maximum(drawn, np.where(said.late > 0, 0.0, -np.inf))
