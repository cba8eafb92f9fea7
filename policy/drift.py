"""Has an arm changed? Two bets against what is believed of it, which pay only if it has.

Each rated answer is bet on twice: that the arm is worse than its belief allows, and that it is
better. Only its first rating is bet on: ten readers of one answer are one outcome of the arm. While
the belief is right neither bet can be expected to win, so great wealth means a change: without one
each bet gets to `ALARM` at most once in so many answers of an arm, whatever rewards in 0..1 look
like. The longer an arm is as it was, the more has to be won: among ten thousand answers there is a
run of luck. A purse that is lost is filled up again, so the day of the change need not be known; it
is told afterwards by where the winnings began.

A watch never changes: watching returns a new one.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from math import log, log1p
from typing import Self

import numpy as np

from policy.evidence import Evidence
from policy.prediction import MeanWeights
from policy.types import DAY_S, HOUR_S, Floats

ALARM = 1_000.0
"""What a bet must have made of 1, and 1 more for every answer of the arm since it last changed."""
SLACK = 0.05
"""A belief may be off by so much, and by two standard deviations of its own, without an alarm."""
SHIFT = 0.2
"""A bet is of the size that wins soonest if the arm has moved by so much beyond that."""
BOLDEST = 0.9
FEWEST = 16.0
GROWTH = 0.25
NOTHING = Evidence.none(0)
UNSETTLED_S = 7 * DAY_S
"""So long after a change what is seen is forgotten quickly: it may change back."""
HALVED_S = 12 * HOUR_S
"""Half of it in so long."""


@dataclass(frozen=True, slots=True)
class Change:
    """When an arm was found changed, and since when it most likely is."""

    at_s: float
    since_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Bet:
    """The winnings of one bet as a logarithm, never below 0, and what was seen while there are any.

    If the arm has changed, it most likely did when the winnings began; without any, that is 0.

    source : Page 1954 (Biometrika 41), who restarts a sum where it is least
    """

    wealth: float = 0.0
    since_s: float = 0.0
    seen: Evidence = NOTHING

    def settled(self, won: float, context: Floats, reward: float, at_s: float) -> Self:
        """Return the bet after one more outcome, on which it won or lost so much.

        shapes : context (d,)
        """
        wealth = self.wealth + won
        if wealth <= 0.0:
            return type(self)()
        if self.wealth <= 0.0:
            return type(self)(wealth, at_s, Evidence.none(len(context)).add(context, reward))
        return type(self)(wealth, min(self.since_s, at_s), self.seen.add(context, reward))

    def counted(
        self, context: Floats, reward: float, at_s: float, weight: float = 1.0, won: float = 0.0
    ) -> Self:
        """Return the bet with an outcome counted `weight` times, if it had begun by then.

        The bet is not about it; or it was, is taken back, and what was `won` on it is lost again.
        """
        if self.wealth <= 0.0 or at_s < self.since_s:
            return self
        left = self.wealth - max(won, 0.0)
        seen = self.seen.add(context, reward, weight)
        return replace(self, wealth=left, seen=seen) if left > 0.0 else type(self)()

    def scaled(self, factor: float) -> Self:
        """Return the bet with what was seen counted `factor` times."""
        return replace(self, seen=self.seen.scaled(factor))

    def to_arrays(self, name: str) -> dict[str, Floats]:
        """Return all that must be remembered, under that name."""
        seen = self.seen
        sums = np.array([self.wealth, self.since_s, seen.square, seen.weight, seen.exp])
        return {f"{name}_sums": sums, f"{name}_gram": seen.gram, f"{name}_moment": seen.moment}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats], name: str) -> Self:
        """Return the bet that `to_arrays` gave."""
        wealth, since_s, *sums = arrays[f"{name}_sums"].tolist()
        gram, moment = arrays[f"{name}_gram"], arrays[f"{name}_moment"]
        return cls(wealth, since_s, Evidence(gram, moment, *sums))


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """What is remembered of one arm to see a change; bets are against `reference`, not the news.

    The reference is taken anew when a quarter more outcomes were seen, so that it learns, and
    follows a change more slowly than the bets find it.

    shapes : reference (d,), empty before the first
    """

    reference: Floats
    doubt: float = 0.0
    seen: float = 0.0
    due: float = FEWEST
    worse: Bet = Bet()
    better: Bet = Bet()
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
        return self.boldest.wealth >= log(ALARM + self.seen)

    @property
    def boldest(self) -> Bet:
        """Return the bet that has won more."""
        return max(self.worse, self.better, key=lambda bet: bet.wealth)

    def against(self, believed: MeanWeights) -> Self:
        """Return the watch with what is believed now as its reference."""
        due = self.seen + max(FEWEST, GROWTH * self.seen)
        return replace(self, reference=believed.weights, doubt=believed.sd, due=due)

    def observe(self, context: Floats, reward: float, at_s: float) -> Self:
        """Return the watch after the first rating of one answer.

        shapes : context (d,)
        source : Shin, Ramdas and Rinaldo 2023, e-detectors; bets as in Waudby-Smith and Ramdas 2024
        """
        seen = self.seen + 1.0
        if not len(self.reference):
            return replace(self, seen=seen)
        worse, better = self._winnings(context, reward)
        return replace(
            self,
            seen=seen,
            worse=self.worse.settled(worse, context, reward, at_s),
            better=self.better.settled(better, context, reward, at_s),
        )

    def counted(self, context: Floats, reward: float, at_s: float) -> Self:
        """Return the watch after a reward that no bet is on, but that is evidence."""
        told = context, reward, at_s
        return replace(self, worse=self.worse.counted(*told), better=self.better.counted(*told))

    def returned(
        self, context: Floats, reward: float, at_s: float, weight: float, *, bet: bool
    ) -> Self:
        """Return the watch after a reward of that moment was taken back: what is left of it.

        Where a `bet` was on it, its winnings go too: those against the reference of now, which may
        be a newer one.
        """
        is_won = bet and len(self.reference) > 0
        worse, better = self._winnings(context, reward) if is_won else (0.0, 0.0)
        told = context, reward, at_s, -weight
        return replace(
            self,
            worse=self.worse.counted(*told, won=worse),
            better=self.better.counted(*told, won=better),
        )

    def _winnings(self, context: Floats, reward: float) -> tuple[float, float]:
        """Return what the bet that the arm is worse wins on an outcome, and that it is better."""
        expected, slack = float(context @ self.reference), SLACK + 2.0 * self.doubt
        return _won(1.0 - expected + slack, 1.0 - reward), _won(expected + slack, reward)

    def scaled(self, factor: float) -> Self:
        """Return the watch with what was seen counted `factor` times, as that of the belief."""
        return replace(self, worse=self.worse.scaled(factor), better=self.better.scaled(factor))

    def to_arrays(self) -> dict[str, Floats]:
        """Return all that must be remembered, as arrays for a snapshot."""
        return {
            "reference": self.reference,
            "state": np.array([self.doubt, self.seen, self.due]),
            "changes": np.array([astuple(each) for each in self.changes]).reshape(-1, 2),
            **self.worse.to_arrays("worse"),
            **self.better.to_arrays("better"),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> Self:
        """Return the watch that `to_arrays` gave.

        >>> Watch.from_arrays(Watch.new().changed(5.0).to_arrays()).changes
        (Change(at_s=5.0, since_s=0.0),)
        """
        changes = tuple(Change(*each) for each in arrays["changes"].tolist())
        worse, better = (Bet.from_arrays(arrays, name) for name in ("worse", "better"))
        doubt, seen, due = arrays["state"].tolist()
        return cls(arrays["reference"], doubt, seen, due, worse, better, changes)

    def changed(self, at_s: float) -> Self:
        """Return the watch after an alarm: it starts anew and remembers when that was."""
        change = Change(at_s, self.boldest.since_s)
        return replace(self.new(), changes=(*self.changes, change))

    def counts(self, at_s: float) -> bool:
        """Return whether an outcome of that moment still says something of the arm."""
        return all(at_s >= each.since_s for each in self.changes)

    def counts_eval(self, at_s: float) -> bool:
        """Return whether an eval imported at that moment does: no change was found since then."""
        return all(at_s > each.at_s for each in self.changes)

    def left_at(self, at_s: float, hour: int) -> float:
        """Return what part of an outcome of that moment is left at an hour since the epoch."""
        return self.counts(at_s) * self.faded(int(at_s // HOUR_S), hour)

    def faded(self, from_hour: int, to_hour: int) -> float:
        """Return what part of its evidence an arm keeps from one hour to a later one.

        >>> Watch.new().changed(0.0).faded(24, 48)
        0.25
        """
        unsettled_s = sum(
            max(
                min(to_hour * HOUR_S, each.at_s + UNSETTLED_S) - max(from_hour * HOUR_S, each.at_s),
                0.0,
            )
            for each in self.changes
        )
        return float(2.0 ** (-unsettled_s / HALVED_S))


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
