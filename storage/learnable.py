"""What a retrain asks of a log: what to fold, and what to judge a candidate by."""

from collections.abc import Iterator
from typing import Protocol

from storage.events import Event
from storage.records import Counts, Decision, PolicyVersion, Round


class LearnableLog(Protocol):
    """What a retrain asks of a log: what to fold, and what to judge a candidate by."""

    def position(self) -> int:
        """Return the seq of the newest learning event, 0 for none."""
        ...

    def events(self, after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Event]:
        """Yield the events with after_seq < seq <= upto_seq in seq order, in bounded memory."""
        ...

    def decisions(self, *, rated_only: bool = False, limit: int | None = None) -> Iterator[Round]:
        """Yield decisions, newest first."""
        ...

    def recent(self, n: int) -> list[Decision]:
        """Return the last n decisions that asked an arm, oldest first: the pacer's ring."""
        ...

    def counts(self) -> Counts:
        """Return how much the log holds."""
        ...

    def latest_policy(self) -> PolicyVersion | None:
        """Return the policy version that serves, None before the first."""
        ...
