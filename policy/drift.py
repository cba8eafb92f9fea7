"""Has an arm changed? Two bets against what is believed of it, which pay only if it has.

Each rated outcome is bet on twice: that the arm is worse than its belief allows, and that it is
better. While the belief is right neither bet can be expected to win, so wealth beyond `ALARM`
means a change: at most once in `ALARM` outcomes of an arm without one, whatever rewards in 0..1
look like. A purse that is lost is filled up again, so the day of the change need not be known.

A watch never changes: watching returns a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log, log1p
from typing import Self

import numpy as np

from policy.prediction import Standing
from policy.types import Floats

ALARM = 1_000.0
SLACK = 0.05
"""A belief may be off by so much, and by two standard deviations of its own, without an alarm."""
SHIFT = 0.2
"""A bet is of the size that wins soonest if the arm has moved by so much beyond that."""
BOLDEST = 0.9
FEWEST = 16.0
GROWTH = 0.25
KEPT = 4.0
"""After an alarm what was seen of the arm counts at most as so many outcomes."""
HOUR_S, DAY_S = 3_600.0, 86_400.0
UNSETTLED_S = 7 * DAY_S
"""So long after a change half of what is seen is forgotten every day: it may change back."""


@dataclass(frozen=True, slots=True)
class Change:
    """When an arm was found changed, and what part of its evidence was kept."""

    at_s: float
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What is remembered of one arm to see a change; bets are against `reference`, not the news.

    The reference is taken anew when a quarter more outcomes were seen, so that it learns, and
    follows a change more slowly than the bets find it. `worse` and `better` are logarithms of
    wealth, never below 0.

    shapes : reference (d,), empty before the first
    """

    reference: Floats
    doubt: float = 0.0
    seen: float = 0.0
    due: float = FEWEST
    worse: float = 0.0
    better: float = 0.0
    changes: tuple[Change, ...] = ()

    @classmethod
    def new(cls) -> Self:
        """Return the watch of an arm without outcomes."""
        return cls(np.empty(0))

    @classmethod
    def resumed(cls, seen: float, changes: tuple[Change, ...]) -> Self:
        """Return the watch of an arm whose outcomes were added up without betting on each.

        The changes are those that others found; the reference is due before the next outcome.
        """
        return cls(np.empty(0), seen=seen, due=0.0, changes=changes)

    @property
    def is_due(self) -> bool:
        """Return whether the reference is to be taken anew before the next outcome."""
        return self.seen >= self.due

    @property
    def alarmed(self) -> bool:
        """Return whether the arm has changed."""
        return max(self.worse, self.better) >= log(ALARM)

    def against(self, standing: Standing) -> Self:
        """Return the watch with what is believed now as its reference."""
        due = self.seen + max(FEWEST, GROWTH * self.seen)
        return replace(self, reference=standing.weights, doubt=standing.sd, due=due)

    def observe(self, context: Floats, reward: float) -> Self:
        """Return the watch after one rated outcome.

        shapes : context (d,)
        source : Shin, Ramdas and Rinaldo 2023, e-detectors; bets as in Waudby-Smith and Ramdas 2024
        """
        seen = self.seen + 1.0
        if not len(self.reference):
            return replace(self, seen=seen)
        expected, slack = float(context @ self.reference), SLACK + 2.0 * self.doubt
        return replace(
            self,
            seen=seen,
            worse=max(self.worse + _won(1.0 - expected + slack, 1.0 - reward), 0.0),
            better=max(self.better + _won(expected + slack, reward), 0.0),
        )

    def to_arrays(self) -> dict[str, Floats]:
        """Return all that must be remembered, as arrays for a snapshot."""
        return {
            "reference": self.reference,
            "state": np.array([self.doubt, self.seen, self.due, self.worse, self.better]),
            "changes": np.array([[each.at_s, each.kept] for each in self.changes]).reshape(-1, 2),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> Self:
        """Return the watch that `to_arrays` gave.

        >>> watch = Watch.new().changed(5.0, 0.25)
        >>> Watch.from_arrays(watch.to_arrays()).kept_since(4.0, 0)
        0.25
        """
        changes = tuple(Change(float(at_s), float(kept)) for at_s, kept in arrays["changes"])
        doubt, seen, due, worse, better = arrays["state"].tolist()
        return cls(arrays["reference"], doubt, seen, due, worse, better, changes)

    def changed(self, at_s: float, kept: float) -> Self:
        """Return the watch after an alarm: it starts anew and remembers when that was."""
        return replace(self.new(), changes=(*self.changes, Change(at_s, kept)))

    def kept(self, at_s: float) -> float:
        """Return what part of an outcome of that moment the alarms since then have left."""
        return float(np.prod([each.kept for each in self.changes if at_s <= each.at_s]))

    def kept_since(self, at_s: float, hour: int) -> float:
        """Return what part of an outcome of that moment is left at an hour since the epoch."""
        return self.kept(at_s) * self.faded(int(at_s // HOUR_S), hour)

    def faded(self, from_hour: int, to_hour: int) -> float:
        """Return what part of its evidence an arm keeps from one hour to a later one.

        >>> Watch.new().changed(0.0, 1.0).faded(24, 72)
        0.25
        """
        unsettled_s = sum(
            max(
                min(to_hour * HOUR_S, each.at_s + UNSETTLED_S) - max(from_hour * HOUR_S, each.at_s),
                0.0,
            )
            for each in self.changes
        )
        return float(2.0 ** (-unsettled_s / DAY_S))


def _won(most: float, reward: float) -> float:
    """Return the log of what a bet against a mean of at most `most` makes of a reward in 0..1.

    >>> _won(0.5, 1.0) > 0 > _won(0.5, 0.0)
    True
    """
    most = max(most, SLACK)
    if most >= 1.0:
        return 0.0
    bet = min(SHIFT / (most * (1.0 - most)), BOLDEST / most)
    return log1p(bet * (reward - most))
