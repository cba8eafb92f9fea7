"""What another price of a dollar would spend and bring, on the prompts of late."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, log
from typing import Self

import numpy as np

from policy.types import Floats

RING = 256
LOWEST_USD, HIGHEST_USD = 1e-9, 1e6
"""What a service takes as a willingness to pay."""
CHEAPEST_CALLS = 0.1
"""The lowest price of a thumb, in calls of the cheapest arm: no dearer arm is taken at it."""
STEPS = 24
CELLS = 1 << 15
"""Predicted utilities that one step looks at; many arms are looked at with fewer draws each."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What was predicted of the arms for one prompt.

    shapes : quality, cost_usd (k,); drawn (m, k) draws of the quality that the policy chose by
    """

    arms: tuple[str, ...]
    quality: Floats
    cost_usd: Floats
    drawn: Floats
    at_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The forecasts as arrays; an arm that was not eligible never wins.

    shapes : quality, cost_usd (n, k); drawn (m, n, k)
    """

    quality: Floats
    cost_usd: Floats
    drawn: Floats


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

    def quality(self, willingness_to_pay_usd: float) -> float:
        """Return the mean quality that the policy would bring, exploration included."""
        return self._mean(self._tables.quality, willingness_to_pay_usd)

    def quality_of(self, arm: str) -> float | None:
        """Return the mean quality of always asking one arm, None where no prompt could go to it."""
        if arm not in self._arms:
            return None
        return float(np.nanmean(self._tables.quality[:, self._arms.index(arm)]))

    def rate_hz(self, now_s: float) -> float:
        """Return the requests per second lately."""
        if not self.forecasts:
            return 0.0
        return len(self.forecasts) / max(now_s - self.forecasts[0].at_s, 1.0)

    def for_spend(self, usd: float) -> float:
        """Return the highest willingness to pay that spends no more than this per request."""
        return self._highest(lambda payment: self.spend_usd(payment) <= usd)

    def for_quality(self, quality: float) -> float:
        """Return the lowest willingness to pay that brings this mean quality, else the highest."""
        return self._highest(lambda payment: self.quality(payment) < quality)

    def _mean(self, of: Floats, payment: float) -> float:
        """Return the mean of a table (n, k) over what would be chosen.

        No more than the explored share goes off the best arm, as `policy/exploration.py` has it.
        """
        tables, rows = self._tables, np.arange(len(of))
        price = tables.cost_usd / payment
        best = np.nanargmax(tables.quality - price, axis=1)
        won = (tables.drawn - price).argmax(axis=2)
        off = float((won != best).mean())
        allowed = min(1.0, self.explored_share / off) if off > 0 else 0.0
        at_best = float(of[rows, best].mean())
        return at_best + allowed * (float(of[rows, won].mean()) - at_best)

    def _highest(self, holds: Callable[[float], bool]) -> float:
        if holds(HIGHEST_USD):
            return HIGHEST_USD
        cheapest = float(np.mean([each.cost_usd.min() for each in self.forecasts]))
        low, high = log(max(CHEAPEST_CALLS * cheapest, LOWEST_USD)), log(HIGHEST_USD)
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if holds(exp(middle)) else (low, middle)
        return exp(low)

    @cached_property
    def _arms(self) -> tuple[str, ...]:
        return tuple(sorted({arm for each in self.forecasts for arm in each.arms}))

    @cached_property
    def _tables(self) -> Tables:
        n, k = len(self.forecasts), len(self._arms)
        m = max(1, min(CELLS // (n * k), max(len(each.drawn) for each in self.forecasts)))
        place = {arm: i for i, arm in enumerate(self._arms)}
        quality, cost = np.full((n, k), np.nan), np.zeros((n, k))
        drawn = np.full((m, n, k), -np.inf)
        for row, each in enumerate(self.forecasts):
            columns = [place[arm] for arm in each.arms]
            quality[row, columns], cost[row, columns] = each.quality, each.cost_usd
            drawn[:, row, columns] = each.drawn[np.arange(m) % len(each.drawn)]
        return Tables(quality, cost, drawn)
