"""The books of a budget: what is spent in a window, what is under way, what others have taken."""

from dataclasses import dataclass, replace
from typing import Self

REMEMBERED = 8
"""Windows that a clock may come back to, however far it was off meanwhile."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call under way is expected to cost, and what is reserved for it."""

    expected_usd: float
    reserved_usd: float


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What others who share a budget have taken of it in this window, and have spent of that.

    `gone_usd` is what they have spent, and all that those have taken who are heard of no more:
    nobody will spend the rest of it. `rate_hz` is how often the others are asked.
    """

    taken_usd: float = 0.0
    spent_usd: float = 0.0
    gone_usd: float = 0.0
    rate_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Books:
    """What was spent in this window, or since the start without one, and what is under way.

    `allotted_usd` is what we may spend of a budget that others share, None where nobody does.
    `forgone_usd` is what a budget per request would have paid for long ago, and nobody wanted.
    `short` is how many thumbs requests so far are believed to be below a floor of quality, in all.
    `before` is what was settled in the windows before, the last few: a clock may come back to one.
    """

    settled_usd: float = 0.0
    expected_usd: float = 0.0
    reserved_usd: float = 0.0
    requests: int = 0
    window: int = 0
    allotted_usd: float | None = None
    elsewhere: Elsewhere = Elsewhere()
    forgone_usd: float = 0.0
    short: float = 0.0
    before: tuple[tuple[int, float], ...] = ()

    def moved(self, window: int) -> Self:
        """Return the books of another window: nothing is spent in a new one."""
        known = {**dict(self.before), self.window: self.settled_usd}
        return replace(
            self,
            settled_usd=known.pop(window, 0.0),
            window=window,
            allotted_usd=None if self.allotted_usd is None else 0.0,
            elsewhere=Elsewhere(rate_hz=self.elsewhere.rate_hz),
            before=tuple(known.items())[-REMEMBERED:],
        )

    def spare_usd(self, budget_usd: float) -> float:
        """Return what a budget per request leaves to be made up for, below 0 what is overspent."""
        return budget_usd * self.requests - self.spent_usd - self.forgone_usd

    @property
    def spent_usd(self) -> float:
        """Return what is settled and what the calls under way are expected to cost."""
        return self.settled_usd + self.expected_usd
