"""What the requests would have cost under a rule: a bill that was never sent, with its error.

Where the rule's arm answered, its bill is known. Elsewhere it is what the cost model predicted at
the time, times how far bills were from predictions where that arm was drawn, each weighed by how
often its like went elsewhere: a ratio estimate from the exact propensities. Its error is computed
from what could have been drawn, as in `policy/evaluate.py`; of requests that could hardly have gone
to the arm, the log says nothing and the model is believed within `DOUBT`.

What is estimated is this very bill, of these very requests: what was spent has no error.
"""

from dataclasses import dataclass, fields
from math import exp, inf, log10, sqrt
from typing import Self

from policy.evaluate import Z_95

HEARD = 1 / 2_000
"""A request with a smaller propensity of the rule's arm says nothing of it."""
DOUBT = 0.25
"""By so much the model may be off, on average, where the log says nothing."""
MOST_UNHEARD = 0.5
FEWEST_ESS = 10.0
FEWEST_OF_A_PART = 20.0
"""A task's or an arm's bills are weighed more unevenly, so that it takes more of them."""
PRIOR_HITS = 1.0
"""Before any bill is seen, its error is believed to be as large as the bill, with this weight."""


@dataclass(slots=True)
class BillSums:
    """Sums over requests, of which some went to the rule's arm (`hits`) and the others elsewhere.

    They are added up over days, tasks and partitions; everything shown is derived from them.
    `weight` sums are over hits, of (propensity of going elsewhere / propensity of the arm);
    `reach` and `reach_square` are what those could have been, over all requests that are heard.

    units  : usd; predicted, billed and spent in dollars; known is billed less spent where known
    """

    requests: int = 0
    elsewhere: int = 0
    hits: int = 0
    spent: float = 0.0
    spent_elsewhere: float = 0.0
    predicted: float = 0.0
    predicted_square: float = 0.0
    predicted_unheard: float = 0.0
    known: float = 0.0
    reach: float = 0.0
    reach_square: float = 0.0
    weight_predicted: float = 0.0
    weight_billed: float = 0.0
    weight_predicted_square: float = 0.0
    weight_predicted_billed: float = 0.0
    weight_billed_square: float = 0.0

    def went_elsewhere(self, predicted: float, spent: float, propensity: float) -> None:
        """Add a request that another arm answered."""
        self.elsewhere += 1
        self.requests += 1
        self.spent += spent
        self.spent_elsewhere += spent
        self.predicted += predicted
        self.predicted_square += predicted**2
        if propensity < HEARD:
            self.predicted_unheard += predicted

    def is_known(self, billed: float, spent: float) -> None:
        """Add a request that the rule's arm has answered."""
        self.requests += 1
        self.spent += spent
        self.known += billed - spent

    def could_have(self, predicted: float, away: float, propensity: float) -> None:
        """Add what a request could have told, whoever answered; `away` is the mass elsewhere."""
        if propensity >= HEARD:
            self.reach += away * predicted
            self.reach_square += away**2 / propensity * predicted**2

    def was_billed(self, predicted: float, billed: float, away: float, propensity: float) -> None:
        """Add the bill of a request for which the rule's arm was drawn."""
        if propensity >= HEARD:
            weight = away / propensity
            self.hits += 1
            self.weight_predicted += weight * predicted
            self.weight_billed += weight * billed
            self.weight_predicted_square += weight * predicted**2
            self.weight_predicted_billed += weight * predicted * billed
            self.weight_billed_square += weight * billed**2

    def add(self, other: Self) -> None:
        """Add the sums of other requests."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def ess(self) -> float:
        """Return how many equal bills the log could be expected to hold."""
        return self.reach**2 / self.reach_square if self.reach_square > 0 else 0.0

    @property
    def unheard(self) -> float:
        """Return the share of the bill of which the log says nothing."""
        return self.predicted_unheard / self.predicted if self.predicted > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Saving:
    """What a rule would have cost more, in dollars, with its 95 % interval.

    `bill_usd` is what the rule would have cost. `too_little` says why the log cannot tell.
    """

    bill_usd: float
    saved_usd: float
    low_usd: float
    high_usd: float
    ess: float
    ratio: float
    too_little: str | None = None

    @property
    def why_not(self) -> str | None:
        """Return why the saving is not to be shown, None if it is."""
        if self.too_little is None and self.low_usd <= 0.0 <= self.high_usd:
            said = f"from {self.low_usd:.6g} to {self.high_usd:.6g} dollars"
            return f"the interval {said} includes zero"
        return self.too_little


def saving(sums: BillSums, fewest: float = FEWEST_ESS) -> Saving:
    """Return what the rule would have cost more than was spent; `fewest` bills are needed.

    source : ratio estimator, Cochran 1977, 6; weights of Hajek 1971; interval on the logarithm
    """
    if sums.elsewhere == 0:
        return _shown(sums, fewest, 1.0, 0.0, 0.0)
    if sums.weight_predicted <= 0:
        return _shown(sums, fewest, 1.0, inf, inf)
    ratio = sums.weight_billed / sums.weight_predicted
    bill, ess = ratio * sums.predicted, sums.ess
    if bill <= 0 or ess <= 1:
        return _shown(sums, fewest, ratio, inf, inf)
    scale = sums.predicted / sums.reach
    drawn = scale**2 * sums.reach_square * ess / (ess - 1.0)
    error = sqrt(_relative_variance(sums, ratio) * (drawn + sums.predicted_square))
    factor = exp(min(student(ess - 1.0) * error / (ratio * sums.predicted), 50.0))
    doubt = DOUBT * ratio * sums.predicted_unheard
    below, above = bill - bill / factor + doubt, bill * factor - bill + doubt
    return _shown(sums, fewest, ratio, below, above)


def student(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t, to a thousandth from four degrees on.

    source : Cornish-Fisher expansion, Abramowitz and Stegun 26.7.5

    >>> round(student(10), 3), round(student(1e9), 3)
    (2.228, 1.96)
    """
    z, v = Z_95, max(freedom, 1.0)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160
    return z + first / v + second / v**2 + third / v**3 + fourth / v**4


def _relative_variance(sums: BillSums, ratio: float) -> float:
    """Return the square of a bill's error in units of its prediction, from the bills seen."""
    square = (
        sums.weight_billed_square
        - 2 * ratio * sums.weight_predicted_billed
        + ratio**2 * sums.weight_predicted_square
    )
    seen = max(square, 0.0) / sums.weight_predicted_square
    return (seen * sums.hits + ratio**2 * PRIOR_HITS) / (sums.hits + PRIOR_HITS)


def _shown(sums: BillSums, fewest: float, ratio: float, below: float, above: float) -> Saving:
    bill = ratio * sums.predicted
    saved = bill - sums.spent_elsewhere + sums.known
    return Saving(
        bill_usd=sums.spent + saved,
        saved_usd=saved,
        low_usd=saved - below,
        high_usd=saved + above,
        ess=sums.ess,
        ratio=ratio,
        too_little=_too_little(sums, fewest),
    )


def _too_little(sums: BillSums, fewest: float) -> str | None:
    if sums.requests == 0:
        return "nothing was asked that could be compared"
    if sums.elsewhere == 0:
        return None if sums.known else "nothing went elsewhere, so there is nothing to compare"
    if sums.unheard > MOST_UNHEARD:
        return (
            f"{sums.unheard:.0%} of the bill is of requests that could hardly have gone to the "
            "rule's arm, so the log says too little of what they would have cost there"
        )
    if sums.ess < fewest:
        return (
            "too few requests went to the rule's arm by the draw to tell what the others would "
            f"have cost there: they count as {sums.ess:.1f}, and {fewest:.0f} are needed"
            f"{_more(sums, fewest)}"
        )
    return None if sums.hits else "the rule's arm was never drawn"


def _more(sums: BillSums, fewest: float) -> str:
    """Return how many requests are missing, if they are drawn as those that were."""
    if sums.ess <= 0:
        return ""
    more = sums.requests * (fewest / sums.ess - 1.0)
    return f", which takes about {round(more, 1 - int(log10(max(more, 1.0)))):,.0f} more like these"
