"""What the router writes to the log is told to whoever observes it: metrics and traces.

Counting where the log is written keeps the two alike, and nothing in the router knows of either.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.routing.retention import Retention
from storage.inbox import Unit
from storage.log import Log
from storage.records import Attempt, Decision, Outcome, Rating
from storage.words import Part


@dataclass(frozen=True, slots=True)
class Vote:
    """What one rater says of one decision; a reward of None withdraws what was said before."""

    decision_id: str
    rater: str
    reward: float | None
    comment: str | None = None


class Observer(Protocol):
    """Is told of every row that goes to the log; it must be quick and must not fail."""

    def decided(self, decision: Decision, prompt: str) -> None:
        """Take notice of a decision; the prompt is for nobody who has not been asked to keep it."""
        ...

    def attempted(self, attempt: Attempt) -> None:
        """Take notice of an upstream call that has ended."""
        ...

    def settled(self, outcome: Outcome, answer: str) -> None:
        """Take notice of how a decision ended."""
        ...

    def rated(self, rating: Rating) -> None:
        """Take notice of what a rating changed."""
        ...


class Observed:
    """The log of the router, observed; of what was said it gets what is to be kept.

    A decision is rated within `window_s` of it.
    """

    def __init__(
        self, log: Log, retention: Retention, observers: Sequence[Observer], window_s: float
    ) -> None:
        self._log = log
        self._retention = retention
        self._observers = observers
        self._window_s = window_s

    def decide(self, decision: Decision, prompt: str) -> Unit[None]:
        """Record a decision, and of the prompt what is to be kept."""
        ticket = self._log.decide(decision)
        self._keep(decision.id, "prompt", decision.decided_at_s, prompt)
        for each in self._observers:
            each.decided(decision, prompt)
        return ticket

    def attempt(self, attempt: Attempt) -> Unit[None]:
        """Record one upstream call."""
        ticket = self._log.attempt(attempt)
        for each in self._observers:
            each.attempted(attempt)
        return ticket

    def settle(self, outcome: Outcome, answer: str) -> Unit[int]:
        """Record how a decision ended, and before that of the answer what is to be kept."""
        self._keep(outcome.decision_id, "answer", outcome.at_s, answer)
        ticket = self._log.settle(outcome)
        for each in self._observers:
            each.settled(outcome, answer)
        return ticket

    def rate(self, vote: Vote, tenant: str | None) -> Rating:
        """Return what a vote changed, durably; `tenant` None may rate whosever decision it is.

        raises : UnknownDecision, also where it is another tenant's; FeedbackClosed, InvalidInput,
                 StoreUnavailable
        """
        rating = self._log.rate(
            vote.decision_id,
            vote.rater,
            vote.reward,
            comment=vote.comment,
            at_s=time.time(),
            tenant=tenant,
            window_s=self._window_s,
        )
        for each in self._observers:
            each.rated(rating)
        return rating

    def _keep(self, decision_id: str, part: Part, at_s: float, text: str) -> None:
        """Record a text; it comes before the outcome: whoever waits for that waits for it too."""
        transcript = self._retention.transcript(decision_id, part, at_s, text)
        if transcript is not None:
            self._log.keep(transcript)
