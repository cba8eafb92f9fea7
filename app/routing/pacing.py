"""What one goal may spend: its pacer, and what is held for every call under way."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, Self

import numpy as np
from structlog import get_logger

from jobs.learned import Learned
from policy.books import Elsewhere, Hold
from policy.decide import DRAWS_KEPT, Question, Verdict, seeded
from policy.pacer import Budget, Goal, Pacer, WillingnessToPay, ceiling_of, window_of
from policy.ring import Forecast, Ring
from policy.thompson import Thompson
from policy.types import Floats
from storage.allotments import Allotment, Wish
from storage.records import Decision

LOGGER = get_logger()
Piece = Literal["some", "all", "none"]
"""How much of what nobody has is wanted."""
PIECES: dict[Piece, float] = {"some": 0.1, "all": 1.0, "none": 0.0}
SOON_S = 5.0
"""When to ask again for what calls under way hold."""
UNHELD = Hold(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the time before: the last prompts, and the spend of this hour or day.

    `is_shared` says that other processes spend from the same budget.
    """

    decisions: Iterable[Decision] = ()
    spent_usd: float = 0.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    hold: Hold
    since_s: float


class Pacing:
    """The pacer of the service, a key or an arm; its calls are made one at a time."""

    def __init__(self, pacer: Pacer, before_usd: float = 0.0) -> None:
        self.pacer = pacer
        self._before = pacer.books.window, before_usd
        self._held: dict[str, _Held] = {}
        self._is_short = False

    @classmethod
    def start(
        cls, goal: Goal, cap: Budget | None, past: Past, learned: Learned, now_s: float
    ) -> Self:
        """Return the pacing of a goal that is taken up again where it was left."""
        ring = Ring(learned.hyper.explored_share)
        if not isinstance(goal, WillingnessToPay):
            for decision in filter(learned.knows, past.decisions):
                ring = ring.add(_forecast(decision, learned))
        if not past.is_shared or window_of(ceiling_of(goal, cap)) is None:
            return cls(Pacer.of(goal, ring, now_s, past.spent_usd, cap))
        before = Elsewhere(past.spent_usd, past.spent_usd, past.spent_usd)
        return cls(Pacer.of(goal, ring, now_s, 0.0, cap).allotted(0.0, before), past.spent_usd)

    @property
    def is_shared(self) -> bool:
        """Return whether other processes spend from this budget too."""
        return self.pacer.books.allotted_usd is not None

    @property
    def is_alone(self) -> bool:
        """Return whether no call is under way that counts in this budget, here or elsewhere."""
        return not self._held and self.pacer.books.elsewhere.taken_usd == 0

    def capped(self, cap: Budget) -> None:
        """Take another ceiling beside the goal."""
        self.pacer = replace(self.pacer, cap=cap)

    def short(self) -> None:
        """Ask for all that others leave when the piece is next looked at: it was too small."""
        self._is_short = True

    def wish(self, budget: str, process: str, piece: Piece, now_s: float) -> Wish:
        """Return what is wanted of a shared budget; what is given back is no longer spent from."""
        self.pacer = self.pacer.at(now_s)
        if self._is_short and piece == "some":
            self._is_short, piece = False, "all"
        books, limit_usd = self.pacer.books, self.pacer.ceiling.usd if self.pacer.ceiling else 0.0
        used_usd = books.settled_usd + books.reserved_usd
        usd = used_usd + PIECES[piece] * max(limit_usd - used_usd - books.elsewhere.taken_usd, 0.0)
        if usd < (books.allotted_usd or 0.0):
            self.pacer = self.pacer.allotted(usd, books.elsewhere)
        window, before_usd = self._before
        return Wish(
            budget=budget,
            process=process,
            span=books.window,
            usd=usd,
            limit_usd=limit_usd,
            # Others plan with it, who may be asked all that was asked here once.
            rate_hz=self.pacer.ring.rate_hz(now_s, goes_on=False),
            spent_usd=books.spent_usd,
            before_usd=before_usd if window == books.window else 0.0,
        )

    def allot(self, allotment: Allotment, window: int) -> None:
        """Spend from this piece, unless its hour or day is over."""
        if self.pacer.books.window == window:
            self.pacer = self.pacer.allotted(allotment.usd, allotment.elsewhere)

    def left_usd(self, now_s: float) -> float:
        """Return what may still be reserved, without end where nothing is a ceiling."""
        left_usd = self.pacer.left_usd(now_s)
        return inf if left_usd is None else left_usd

    def limited(self, question: Question, says: str, now_s: float) -> Question:
        """Return the question with what is left of the budget, if nothing else leaves less.

        `says` is what is told of the budget where an arm could cost more, {} the amount.
        """
        left_usd, demand = self.left_usd(now_s), question.demand
        if left_usd == inf:
            return question
        known_usd = demand.left_usd
        # Alone in the budget of its key, it may not be so in that of the service.
        is_alone = self.is_alone and (known_usd is None or demand.is_alone)
        demand = replace(demand, is_alone=is_alone)
        if known_usd is None or left_usd < known_usd:
            demand = replace(demand, left_usd=left_usd, budget_says=says)
        return replace(question, demand=demand)

    def decided(
        self, decision_id: str, verdict: Verdict, now_s: float, *, is_priced_here: bool
    ) -> None:
        """Hold what the call may cost, whoever has set the price of a dollar for it."""
        self._held[decision_id] = _Held(verdict.hold, now_s)
        forecast = verdict.forecast(now_s) if is_priced_here else None
        self.pacer = self.pacer.decided(forecast, verdict.hold, now_s)

    def settled(self, decision_id: str, usd: float, now_s: float) -> None:
        """Book what the call has cost, also where nothing is held for it any more."""
        held = self._held.pop(decision_id, None)
        self.pacer = self.pacer.settled(UNHELD if held is None else held.hold, usd, now_s)

    def leaves_in_s(self, usd: float, now_s: float) -> float | None:
        """Return the seconds until so much may be left, None where nothing is a ceiling.

        That is soon where calls under way hold what is missing: most cost less, and give it back;
        so do others who share it, within seconds, with most of what they have not spent.
        """
        ceiling, books = self.pacer.ceiling, self.pacer.at(now_s).books
        window_s = window_of(ceiling)
        if ceiling is None or window_s is None:
            return None
        is_there = usd <= ceiling.usd - books.settled_usd - books.elsewhere.gone_usd
        return SOON_S if is_there else window_s - now_s % window_s

    def forget(self, before_s: float, now_s: float) -> None:
        """Give back what is held for calls of before a moment: they ended, and nobody heard."""
        while self._held:
            oldest, held = next(iter(self._held.items()))
            if held.since_s >= before_s:
                return
            LOGGER.warning("a call never ended, so its reservation is given back", id=oldest)
            self.settled(oldest, 0.0, now_s)


def _forecast(decision: Decision, learned: Learned) -> Forecast:
    """Return what is predicted now of the arms of an earlier prompt."""
    cost_usd: Floats = np.array(decision.cost_usd_predicted)
    context, arms, rng = learned.context(decision), decision.eligible, seeded(decision.id)
    said = learned.beliefs.quality.predict(context, arms)
    policy = Thompson(learned.beliefs.quality, learned.hyper)
    drawn = policy.draws(said, rng)[:DRAWS_KEPT]
    drawn_usd = policy.prices(learned.beliefs.offer(context, arms, cost_usd, 1.0), rng)[:DRAWS_KEPT]
    return Forecast(arms, said.mean, cost_usd, drawn, drawn_usd, said.doubt, decision.decided_at_s)
