"""What is known beside the log, to hold it against: what clients, providers and files tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jobs.learned import Arrays
from policy.exploration import Control
from storage.events import Event, FeedbackEvent
from storage.reader import LogReader
from storage.records import Attempt, Round

Thumb = tuple[str, str, int]
"""Whose vote: the decision, the rater and the revision that was acknowledged."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What clients were told: outcomes and thumbs that were acknowledged, answers that are none.

    `thumbs` maps each to its reward, None for a withdrawal; `malformed` are answers that were
    neither valid JSON nor a stream that ends as one must.
    """

    outcomes: frozenset[str] = frozenset()
    thumbs: Mapping[Thumb, float | None] = field(default_factory=dict)
    malformed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What is known beside the log, as far as it is known.

    `live` are the arrays of the state that serves, which has learned up to `live_seq`. `asked` is
    how many calls the provider counted. `is_quiet` says that nothing is under way: every decision
    has its end then, and nothing is held or waits. `held` maps what a process uses (memory,
    descriptors) to how much before the load and after it.
    """

    journal: Journal = Journal()
    live: Arrays | None = None
    live_seq: int = 0
    control: Control | None = None
    asked: int | None = None
    reserved_usd: float = 0.0
    secrets: tuple[bytes, ...] = ()
    files: tuple[Path, ...] = ()
    database: Path | None = None
    held: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    is_quiet: bool = True


@dataclass(frozen=True)
class Audit:
    """A log as it is read for one audit."""

    log: LogReader
    witness: Witness

    @cached_property
    def rounds(self) -> list[Round]:
        """Return every decision with what came of it, oldest first."""
        return list(self.log.decisions())[::-1]

    @cached_property
    def events(self) -> list[Event]:
        """Return every learning event in order."""
        return list(self.log.events())

    @cached_property
    def attempts(self) -> dict[str, list[Attempt]]:
        """Return the calls of every decision."""
        return {each.decision.id: self.log.attempts(each.decision.id) for each in self.rounds}

    @cached_property
    def votes(self) -> dict[tuple[str, str], list[FeedbackEvent]]:
        """Return what every rater has said of every decision, in order."""
        found: dict[tuple[str, str], list[FeedbackEvent]] = {}
        for event in self.events:
            if isinstance(event, FeedbackEvent):
                found.setdefault((event.decision_id, event.rater), []).append(event)
        return found
