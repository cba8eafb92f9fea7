"""What the running service may spend: the pacer, and what is held for every call under way."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from structlog import get_logger

from jobs.learned import Learned
from policy.decide import DRAWS_KEPT, Question, Verdict, seeded
from policy.errors import BudgetExceeded
from policy.pacer import Goal, Hold, Pacer, WillingnessToPay, window_of
from policy.ring import RING, Forecast, Ring
from policy.thompson import Thompson
from policy.types import Floats
from storage.log import Log
from storage.records import Decision

LOGGER = get_logger()
FORGOTTEN_AFTER_S = 3_600.0
"""A call under way for longer has ended without anybody hearing of it."""


@dataclass(frozen=True, slots=True)
class _Held:
    hold: Hold
    since_s: float


class Pacing:
    """The pacer of a service; its calls are made one at a time, under the lock of `Live`."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self._held: dict[str, _Held] = {}

    @classmethod
    def start(cls, goal: Goal, log: Log, learned: Learned, now_s: float) -> Self:
        """Return the pacing of a service that starts: with the log's prompts and its spend."""
        ring, window_s = Ring(learned.hyper.explored_share), window_of(goal)
        if isinstance(goal, WillingnessToPay):
            return cls(Pacer.of(goal, ring, now_s))
        for decision in log.recent(RING):
            if decision.kind != "cached":  # nobody was asked, so nothing was predicted
                ring = ring.add(_forecast(decision, learned))
        spent_usd = 0.0 if window_s is None else log.spend_usd(now_s - now_s % window_s)
        return cls(Pacer.of(goal, ring, now_s, spent_usd))

    def limited(self, question: Question, now_s: float) -> Question:
        """Return the question with what is left of the budget, where that is a ceiling."""
        left_usd = self.pacer.left_usd(now_s)
        if left_usd is None:
            return question
        return replace(
            question, demand=replace(question.demand, left_usd=left_usd, is_alone=not self._held)
        )

    def decided(self, decision_id: str, verdict: Verdict, now_s: float) -> None:
        """Hold what the call may cost."""
        self._forget(now_s)
        self._held[decision_id] = _Held(verdict.hold, now_s)
        self.pacer = self.pacer.decided(verdict.forecast(now_s), verdict.hold, now_s)

    def settled(self, decision_id: str, usd: float, now_s: float) -> None:
        """Book what the call has cost; a stored answer held nothing."""
        held = self._held.pop(decision_id, None)
        if held is not None:
            self.pacer = self.pacer.settled(held.hold, usd, now_s)

    def exceeded(self, error: BudgetExceeded, now_s: float) -> None:
        """Say in the error when the budget starts anew."""
        window_s = window_of(self.pacer.goal)
        if window_s is not None:
            error.retry_after_s = window_s - now_s % window_s

    def _forget(self, now_s: float) -> None:
        while self._held:
            oldest, held = next(iter(self._held.items()))
            if now_s - held.since_s < FORGOTTEN_AFTER_S:
                return
            LOGGER.warning("a call never ended, so its reservation is given back", id=oldest)
            self.settled(oldest, 0.0, now_s)


def _forecast(decision: Decision, learned: Learned) -> Forecast:
    """Return what is predicted now of the arms of an earlier prompt."""
    cost: Floats = np.array(decision.cost_usd_predicted)
    context = learned.context(decision)
    said = learned.beliefs.quality.predict(context, decision.eligible)
    drawn = Thompson(learned.beliefs.quality, learned.hyper).draws(said, seeded(decision.id))
    return Forecast(decision.eligible, said.mean, cost, drawn[:DRAWS_KEPT], decision.decided_at_s)
