"""What another price of a dollar would spend and bring, on the prompts of late."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import exp, log
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policy.types import Floats

RING = 256
LOWEST_USD, HIGHEST_USD = 1e-9, 1e6
"""What a service takes as a willingness to pay."""
CHEAPEST_CALLS = 0.1
"""The lowest price of a thumb, in calls of the cheapest arm: no dearer arm is taken at it."""
FINE = 1e-4
"""Logarithms of prices that are no further apart are not told apart."""
SURE = 1.0
"""Standard deviations by which a floor of quality is held at least."""
Rows = NDArray[np.bool_] | slice
EVERY = slice(None)
CELLS = 1 << 15
"""Predicted utilities that one step looks at; many arms are looked at with fewer draws each."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What was predicted of the arms for one prompt.

    `doubt` is how far an arm's mean quality over many prompts may be off, as a standard deviation.

    shapes : quality, cost_usd, doubt (k,); drawn, drawn_usd (m, k) draws of the quality and of the
             cost that the policy chose by, drawn_usd (1, k) where cost was certain
    """

    arms: tuple[str, ...]
    quality: Floats
    cost_usd: Floats
    drawn: Floats
    drawn_usd: Floats
    doubt: Floats
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The forecasts as arrays; an arm that may not win, as it was not eligible, is drawn at -inf.

    shapes : quality, cost_usd (n, k); drawn, drawn_usd (m, n, k)
    """

    quality: Floats
    cost_usd: Floats
    drawn: Floats
    drawn_usd: Floats


@dataclass(frozen=True, eq=False)
class Ring:
    """The newest forecasts, oldest first."""

    explored_share: float
    forecasts: tuple[Forecast, ...] = field(default=(), repr=False)

    def add(self, forecast: Forecast) -> Self:
        """Return the ring with one more forecast and, if it is full, without the oldest."""
        return replace(self, forecasts=(*self.forecasts[1 - RING :], forecast))

    def spend_usd(self, willingness_to_pay_usd: float) -> float:
        """Return the dollars per request that the policy would spend, exploration included."""
        return self._mean(self._tables.cost_usd, willingness_to_pay_usd)

    def quality(self, willingness_to_pay_usd: float, beside: str | None = None) -> float:
        """Return the mean quality that the policy would bring, exploration included.

        With `beside` it is of the prompts that could go to that arm, as the arm's own is.
        """
        return self._mean(self._tables.quality, willingness_to_pay_usd, self._could_go(beside))

    def quality_of(self, arm: str) -> float | None:
        """Return the mean quality of always asking one arm, None where no prompt could go to it."""
        if arm not in self.arms:
            return None
        return float(np.nanmean(self._tables.quality[:, self.arms.index(arm)]))

    def rate_hz(self, now_s: float, *, goes_on: bool = True) -> float:
        """Return the requests per second lately; a clock that is set back takes no time away.

        Of a full ring, a pause that is longer than all the rest is left out: after a night it would
        have a few hundred requests expected for the day, and the first of them spend its budget.
        So is that since the last request, unless nobody knows that it `goes_on`.
        """
        moments = [*(each.at_s for each in self.forecasts), now_s]
        waits_s = [max(after - before, 0.0) for before, after in pairwise(moments)]
        pauses_s = waits_s if goes_on else waits_s[:-1]
        passed_s, pause_s = sum(waits_s), max(pauses_s, default=0.0)
        if len(waits_s) >= RING and pause_s > passed_s / 2:
            passed_s -= pause_s
        return len(self.forecasts) / max(passed_s, 1.0)

    def for_spend(
        self, usd: float, least_usd: float = LOWEST_USD, most_usd: float = HIGHEST_USD
    ) -> float:
        """Return the highest willingness to pay, in a range, that spends no more per request.

        Where the least one already spends more, it is returned.
        """
        return self._highest(lambda payment: self.spend_usd(payment) <= usd, least_usd, most_usd)

    def for_share(self, share: float, arm: str, more: float = 0.0) -> float:
        """Return the lowest willingness to pay that surely keeps a share of an arm's mean quality.

        It keeps `more` above that, in thumbs a request. Where nothing is sure, or the arm could not
        be asked, that is the highest: then the arms that look best are asked, and what they bring
        is what has to be known.
        """
        if arm not in self.arms:
            return HIGHEST_USD
        return self._highest(lambda payment: self.above(payment, share, arm) < more)

    def above(self, willingness_to_pay_usd: float, share: float, arm: str) -> float:
        """Return how far mean quality is above a share of an arm's, less what doubt there is.

        Both are of the prompts that could go to that arm: of others it would bring nothing.
        The doubt is of the difference: it counts an arm by how much more, or less, of it is asked
        than the share of the one it is held against.
        """
        rows, it = self._could_go(arm), self.arms.index(arm)
        asked, quality = self._asked(willingness_to_pay_usd)[rows], self._tables.quality[rows]
        apart = asked.mean(axis=0)
        apart[it] -= share
        more = float(np.nansum(asked * quality, axis=1).mean() - share * quality[:, it].mean())
        return more - SURE * float(np.linalg.norm(apart * self._doubt))

    def _mean(self, of: Floats, payment: float, rows: Rows = EVERY) -> float:
        """Return the mean of a table (n, k) over what would be asked."""
        return float(np.nansum((self._asked(payment) * of)[rows], axis=1).mean())

    def _could_go(self, arm: str | None) -> Rows:
        """Return the prompts that could go to an arm, or with None all."""
        if arm is None:
            return EVERY
        could: NDArray[np.bool_] = np.isfinite(self._tables.quality[:, self.arms.index(arm)])
        return could

    def _asked(self, payment: float) -> Floats:
        """Return how often each arm would be asked for each prompt, (n, k).

        No more than the explored share goes off the best arm, as `policy/exploration.py` has it.
        """
        tables = self._tables
        price, every = tables.cost_usd / payment, np.arange(len(self.arms))
        may_win = np.isfinite(tables.drawn[0])
        best = np.where(may_win, tables.quality - price, -np.inf).argmax(axis=1)
        won = (tables.drawn - tables.drawn_usd / payment).argmax(axis=2)
        off = float((won != best).mean())
        allowed = min(1.0, self.explored_share / off) if off > 0 else 0.0
        at_best, drawn = best[:, None] == every, (won[..., None] == every).mean(axis=0)
        asked: Floats = at_best + allowed * (drawn - at_best)
        return asked

    def _highest(
        self,
        holds: Callable[[float], bool],
        least_usd: float = LOWEST_USD,
        most_usd: float = HIGHEST_USD,
    ) -> float:
        if holds(most_usd):
            return most_usd
        cheapest = float(np.mean([each.cost_usd.min() for each in self.forecasts]))
        low, high = log(max(CHEAPEST_CALLS * cheapest, least_usd)), log(most_usd)
        while high - low > FINE:
            middle = (low + high) / 2
            low, high = (middle, high) if holds(exp(middle)) else (low, middle)
        return exp(low)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """Return the arms that any of the prompts could go to, sorted."""
        return tuple(sorted({arm for each in self.forecasts for arm in each.arms}))

    @cached_property
    def _doubt(self) -> Floats:
        """Return the newest doubt of each arm's mean, (k,)."""
        newest = {
            arm: sd
            for each in self.forecasts
            for arm, sd in zip(each.arms, each.doubt.tolist(), strict=True)
        }
        return np.array([newest[arm] for arm in self.arms])

    @cached_property
    def _tables(self) -> Tables:
        n, k = len(self.forecasts), len(self.arms)
        m = max(1, min(CELLS // (n * k), max(len(each.drawn) for each in self.forecasts)))
        place = {arm: i for i, arm in enumerate(self.arms)}
        quality, cost = np.full((n, k), np.nan), np.zeros((n, k))
        drawn, drawn_usd = np.full((m, n, k), -np.inf), np.zeros((m, n, k))
        for row, each in enumerate(self.forecasts):
            columns = [place[arm] for arm in each.arms]
            quality[row, columns], cost[row, columns] = each.quality, each.cost_usd
            drawn[:, row, columns] = each.drawn[np.arange(m) % len(each.drawn)]
            drawn_usd[:, row, columns] = each.drawn_usd[np.arange(m) % len(each.drawn_usd)]
        return Tables(quality, cost, drawn, drawn_usd)
