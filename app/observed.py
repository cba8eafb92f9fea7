"""What the router writes to the log is told to whoever observes it: metrics and traces.

Counting where the log is written keeps the two alike, and nothing in the router knows of either.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from storage.log import Ticket
from storage.records import Attempt, Decision, Outcome, Rating, Round


class Observer(Protocol):
    """Is told of every row that goes to the log; it must be quick and must not fail."""

    def decided(self, decision: Decision) -> None:
        """Take notice of a decision."""
        ...

    def attempted(self, attempt: Attempt) -> None:
        """Take notice of an upstream call that has ended."""
        ...

    def settled(self, outcome: Outcome) -> None:
        """Take notice of how a decision ended."""
        ...

    def rated(self, rating: Rating) -> None:
        """Take notice of what a rating changed."""
        ...


class Recording(Protocol):
    """What the router asks of a log."""

    def decide(self, decision: Decision) -> Ticket[None]:
        """Record a decision."""
        ...

    def attempt(self, attempt: Attempt) -> Ticket[None]:
        """Record one upstream call."""
        ...

    def settle(self, outcome: Outcome) -> Ticket[int]:
        """Record how a decision ended."""
        ...

    def rate(
        self,
        decision_id: str,
        rater: str,
        reward: float | None,
        *,
        comment: str | None = None,
        at_s: float,
        tenant: str | None,
        window_s: float,
    ) -> Rating:
        """Record a reward, durably, and return what that changed; None withdraws."""
        ...

    def decision(self, decision_id: str, tenant: str | None = None) -> Round:
        """Return one decision with what came of it."""
        ...


class Observed:
    """The log of the router, observed."""

    def __init__(self, log: Recording, observers: Sequence[Observer]) -> None:
        self._log = log
        self._observers = observers

    def decide(self, decision: Decision) -> Ticket[None]:
        """Record a decision."""
        ticket = self._log.decide(decision)
        for each in self._observers:
            each.decided(decision)
        return ticket

    def attempt(self, attempt: Attempt) -> Ticket[None]:
        """Record one upstream call."""
        ticket = self._log.attempt(attempt)
        for each in self._observers:
            each.attempted(attempt)
        return ticket

    def settle(self, outcome: Outcome) -> Ticket[int]:
        """Record how a decision ended."""
        ticket = self._log.settle(outcome)
        for each in self._observers:
            each.settled(outcome)
        return ticket

    def rate(self, *asked: Any, **more: Any) -> Rating:
        """Record a reward, and return what that changed."""
        rating = self._log.rate(*asked, **more)
        for each in self._observers:
            each.rated(rating)
        return rating

    def decision(self, decision_id: str, tenant: str | None = None) -> Round:
        """Return one decision with what came of it."""
        return self._log.decision(decision_id, tenant)
