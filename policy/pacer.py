"""The price of a dollar: one mechanism and three ways to set it.

A ring of recent prompts with what was predicted of each arm answers "if the willingness to pay were
this, what would we spend and get?" (`policy/ring.py`). A budget and a floor of quality are solved
on it; spend is corrected by what has really been booked. There is no learning rate to tune.

A budget per hour or day is a ceiling too: what a call may cost at most is reserved before it and
settled after it, and an arm that would not fit into what is left is not asked.
"""

from dataclasses import dataclass, field, replace
from math import exp
from typing import Literal, Self

from policy.books import Books, Elsewhere, Hold
from policy.exploration import Control
from policy.ring import HIGHEST_USD, Forecast, Ring
from policy.types import DAY_S, HOUR_S

HORIZON = 100.0
"""Requests over which what is above or below a budget per request is made up for, and their worth
at which the price may be an e-fold off for it; what is left unspent beyond that worth is gone:
nobody wanted to spend it."""
MADE_UP = 30.0
"""Requests over which what is below a floor of quality is made up for."""
SAVED = 3.0
"""Thumbs above a floor of quality that the next requests may be below it."""
KNOWN = 30.0
"""Outcomes of an arm before a floor of quality is held against what is believed of it."""
SOLVED_EVERY = 16
"""Decisions that one solution serves, once the ring is full; sooner while it fills."""

Per = Literal["request", "hour", "day"]
SECONDS: dict[Per, float] = {"hour": HOUR_S, "day": DAY_S}


@dataclass(frozen=True, slots=True)
class WillingnessToPay:
    """Dollars that one more thumbs-up is worth."""

    usd: float


@dataclass(frozen=True, slots=True)
class Budget:
    """Dollars to be spent per request on average, or in every hour or day (UTC)."""

    usd: float
    per: Per


@dataclass(frozen=True, slots=True)
class QualityFloor:
    """The least spend that keeps mean quality at this share of one arm's."""

    share: float
    baseline: str


Goal = WillingnessToPay | Budget | QualityFloor


def ceiling_of(goal: Goal, cap: Budget | None = None) -> Budget | None:
    """Return the budget that is a ceiling: one per hour or day, whether or not it sets the price.

    >>> ceiling_of(Budget(5.0, "request")), ceiling_of(WillingnessToPay(1.0), Budget(5.0, "day"))
    (None, Budget(usd=5.0, per='day'))
    """
    budget = cap or goal
    return budget if isinstance(budget, Budget) and budget.per in SECONDS else None


def control_of(goal: Goal, usual: Control | None) -> Control | None:
    """Return which arm is asked whatever looks best: a floor has to know what it is held against.

    >>> control_of(QualityFloor(0.98, "dear"), Control(0.01))
    Control(share=0.01, arm='dear', first=30.0)
    """
    if not isinstance(goal, QualityFloor):
        return usual
    return Control(usual.share if usual else 0.0, goal.baseline, KNOWN)


def window_of(goal: Goal | None) -> float | None:
    """Return the seconds of a budget's hour or day, None where there is neither.

    >>> window_of(Budget(5.0, "hour"))
    3600.0
    """
    return SECONDS.get(goal.per) if isinstance(goal, Budget) else None


@dataclass(frozen=True, slots=True, eq=False)
class Pacer:
    """A goal, the recent prompts and the books: together they set the willingness to pay."""

    goal: Goal
    ring: Ring
    books: Books = field(default_factory=Books)
    willingness_to_pay_usd: float = HIGHEST_USD
    solved_at: int = 0
    cap: Budget | None = None

    @classmethod
    def of(
        cls,
        goal: Goal,
        ring: Ring,
        now_s: float,
        settled_usd: float = 0.0,
        cap: Budget | None = None,
    ) -> Self:
        """Return a pacer that starts with these prompts and this spend of the window.

        `cap` is a budget that is a ceiling and does not set the price: another goal does.
        """
        pacer = cls(goal, ring, cap=cap)
        books = replace(pacer.at(now_s).books, settled_usd=settled_usd)
        return replace(pacer, books=books)._solved(now_s)

    @property
    def ceiling(self) -> Budget | None:
        """Return the budget that is never exceeded, None where nothing is a ceiling."""
        return ceiling_of(self.goal, self.cap)

    def at(self, now_s: float) -> Self:
        """Return the pacer at this moment: a new hour or day starts with nothing spent.

        A clock that comes back to a window finds what has been spent of it. One that is set back
        a little, to where that is not known or of a piece that others count on, starts none again.
        """
        window_s, books = window_of(self.ceiling), self.books
        window = 0 if window_s is None else int(now_s // window_s)
        is_known = books.allotted_usd is None and window in dict(books.before)
        if window == books.window or (window == books.window - 1 and not is_known):
            return self
        return replace(self, books=books.moved(window))

    def allotted(self, usd: float, elsewhere: Elsewhere) -> Self:
        """Return the pacer with a piece of the budget, where others have taken theirs."""
        return replace(self, books=replace(self.books, allotted_usd=usd, elsewhere=elsewhere))

    def decided(self, forecast: Forecast | None, hold: Hold, now_s: float) -> Self:
        """Return the pacer after a decision whose call is now under way.

        `forecast` None is a decision at a price that another goal has set.
        """
        if self._keeps_no_books:
            return self
        pacer = self.at(now_s)
        books = replace(
            pacer.books,
            expected_usd=pacer.books.expected_usd + hold.expected_usd,
            reserved_usd=pacer.books.reserved_usd + hold.reserved_usd,
            requests=pacer.books.requests + 1,
        )
        if isinstance(self.goal, Budget) and self.goal.per == "request":
            late = books.spare_usd(self.goal.usd) - HORIZON * self.goal.usd
            books = replace(books, forgone_usd=books.forgone_usd + max(late, 0.0))
        if forecast is not None:
            books = replace(books, short=max(books.short - self._above_floor(forecast), -SAVED))
        ring = self.ring if forecast is None else self.ring.add(forecast)
        pacer = replace(pacer, books=books, ring=ring)
        serves = 1 + len(pacer.ring.forecasts) // SOLVED_EVERY
        is_due = books.requests >= self.solved_at + min(serves, SOLVED_EVERY)
        return pacer._solved(now_s) if is_due else pacer

    def settled(self, hold: Hold, usd: float, now_s: float) -> Self:
        """Return the pacer after a call has ended; it counts in the window in which it ends."""
        if self._keeps_no_books:
            return self
        pacer = self.at(now_s)
        books = replace(
            pacer.books,
            settled_usd=pacer.books.settled_usd + usd,
            expected_usd=pacer.books.expected_usd - hold.expected_usd,
            reserved_usd=pacer.books.reserved_usd - hold.reserved_usd,
        )
        return replace(pacer, books=books)

    def left_usd(self, now_s: float) -> float | None:
        """Return what may still be reserved in this window, None where nothing is a ceiling."""
        if self.ceiling is None:
            return None
        books = self.at(now_s).books
        most = self.ceiling.usd
        if books.allotted_usd is not None:  # a piece of it, which may be of one that was higher
            most = min(books.allotted_usd, most - books.elsewhere.taken_usd)
        return max(most - books.settled_usd - books.reserved_usd, 0.0)

    def unspent_usd(self, now_s: float) -> float | None:
        """Return what is left for all who share it; None without a ceiling."""
        if self.ceiling is None:
            return None
        books = self.at(now_s).books
        gone = books.settled_usd + books.reserved_usd + books.elsewhere.gone_usd
        return max(self.ceiling.usd - gone, 0.0)

    def target_usd(self, now_s: float) -> float | None:
        """Return what the next requests should cost each, None without a budget."""
        if not isinstance(self.goal, Budget):
            return None
        budget, books, window_s = self.goal.usd, self.at(now_s).books, window_of(self.goal)
        if window_s is None:
            return budget * max(1.0 + self._ahead(budget), 0.0)
        left_s = (books.window + 1) * window_s - now_s
        rate_hz = self.ring.rate_hz(now_s) + books.elsewhere.rate_hz
        left_usd = budget - books.spent_usd - books.elsewhere.gone_usd
        return max(left_usd, 0.0) / max(rate_hz * left_s, 1.0)

    @property
    def _keeps_no_books(self) -> bool:
        return isinstance(self.goal, WillingnessToPay) and self.ceiling is None

    def _solved(self, now_s: float) -> Self:
        price = self._price(now_s)
        return replace(self, willingness_to_pay_usd=price, solved_at=self.books.requests)

    def _price(self, now_s: float) -> float:
        if isinstance(self.goal, WillingnessToPay):
            return self.goal.usd
        if isinstance(self.goal, QualityFloor):
            more = max(self.books.short, 0.0) / MADE_UP
            return self.ring.for_share(self.goal.share, self.goal.baseline, more)
        target = self.target_usd(now_s)
        if target is None or not self.ring.forecasts:
            return self.goal.usd  # nothing is predicted yet; tight enough to start with
        usual = self.ring.for_spend(self.goal.usd) if self.goal.per == "request" else HIGHEST_USD
        if usual >= HIGHEST_USD:
            return self.ring.for_spend(target)
        ahead = self._ahead(self.goal.usd)
        least, most = usual * exp(min(ahead, 0.0)), usual * exp(max(ahead, 0.0))
        return self.ring.for_spend(target, least, min(most, HIGHEST_USD))

    def _above_floor(self, forecast: Forecast) -> float:
        """Return how far quality is above a floor where a lower one could have been avoided."""
        if not isinstance(self.goal, QualityFloor):
            return 0.0
        alone, price = replace(self.ring, forecasts=(forecast,)), self.willingness_to_pay_usd
        held = alone.quality_of(self.goal.baseline)
        if held is None:
            return 0.0
        above = alone.quality(price) - self.goal.share * held
        return above if price < HIGHEST_USD else max(above, 0.0)

    def _ahead(self, budget_usd: float) -> float:
        """Return what a budget per request leaves to be made up for, in horizons' worth of it."""
        return self.books.spare_usd(budget_usd) / (HORIZON * budget_usd)
