"""What becomes of rows while the log cannot be written: they wait in the spool, and follow later.

While anything waits, whatever comes goes behind it, so that rows reach the log in the order in
which they were made. Every row has its own key in the log, so one that is brought twice is there
once.
"""

import base64
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from structlog import get_logger

from policy.errors import ConfigError, TurnpikeError
from storage.parcel import flush_folder, private
from storage.records import UNASSIGNED, Attempt, Decision, Outcome
from storage.rows import SqlValue, defaults, plain
from storage.spool_file import SpoolFile
from storage.words import Transcript

T = TypeVar("T")

Durable = Literal["log", "spool", "none"]
"""Where a row is safe: in the log, beside it, or nowhere."""

SPOOL: Durable = "spool"

LOGGER = get_logger()
AGAIN_AFTER_S = 1.0
ROOM = 0.9
REST = 5.0

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Decision, Attempt, Outcome, Transcript)
}


@dataclass(frozen=True, slots=True)
class Spare(Generic[T]):
    """One row in a form that can wait beside the log; `found` is what its unit then has found."""

    kind: type[Any]
    values: dict[str, SqlValue]
    found: T

    @classmethod
    def of(cls, record: Decision | Attempt | Outcome | Transcript, found: T) -> "Spare[T]":
        """Return the row of a record.

        raises : InvalidInput if a value cannot be stored
        """
        return cls(type(record), plain(record), found)

    def to_bytes(self) -> bytes:
        """Return the row as an entry of the spool."""
        return json.dumps([self.kind.__name__, self.values], default=_packed).encode()

    @staticmethod
    def from_bytes(entry: bytes) -> "Spare[int]":
        """Return the row that an entry holds; a version that had fewer columns may have put it."""
        name, values = json.loads(entry, object_hook=_unpacked)
        return Spare(KINDS[name], {**defaults(KINDS[name]), **values}, UNASSIGNED)


@dataclass(frozen=True, slots=True)
class LogStanding:
    """How the log stands: since when it cannot be written, what waits, and what is lost by choice.

    Once it is stopped, nothing is written any more: only a restart can tell what is there. One that
    is gone was deleted or replaced under us: until somebody has looked, no traffic should come.

    units  : away_since_s in seconds since 1970, None while all is well
    """

    away_since_s: float | None
    why: str
    waiting: int
    waiting_bytes: int
    spool_bytes: int
    unrecorded: int
    is_stopped: bool = False
    is_gone: bool = False

    @property
    def takes_rows(self) -> bool:
        """Return whether answers can be recorded: in the log, or in a spool that has room."""
        room = self.away_since_s is None or self.waiting_bytes < ROOM * self.spool_bytes
        return room and not self.is_stopped and not self.is_gone

    @property
    def is_behind(self) -> bool:
        """Return whether the log cannot be written, or does not have all yet."""
        return self.away_since_s is not None or self.waiting > 0 or self.is_gone


@dataclass(frozen=True, slots=True)
class Spooling:
    """How large the spool is; `goes_on` is that a row may be lost where it does not fit either.

    `rest` is how many times longer than it has taken an attempt in vain is not made again,
    None what suits a file.
    """

    size_bytes: int
    goes_on: bool = False
    rest: float | None = None


class Spool:
    """Decides when the log is tried, and keeps what it did not take; for the writer's thread.

    Without a file nothing can wait. Where rows may be lost, whoever brings one that the spool does
    not take either is told `none`, and gets no error.
    """

    def __init__(
        self, file: SpoolFile | None = None, *, goes_on: bool = False, rest: float | None = None
    ) -> None:
        self._file = file
        self._rest = rest
        self._goes_on = goes_on
        self._away_since_s: float | None = None
        self._not_before = 0.0
        self._began = 0.0
        self._unrecorded = 0
        self.why = ""

    @classmethod
    def beside(cls, path: Path, spooling: Spooling | None) -> Self:
        """Return the spool of the log at a path; none if rows are to be refused at once.

        raises : ConfigError if its space cannot be reserved
        """
        if spooling is None:
            return cls()
        file = SpoolFile(spool_path(path), spooling.size_bytes)
        return cls(file, goes_on=spooling.goes_on, rest=spooling.rest)

    @property
    def standing(self) -> LogStanding:
        """Return how the log stands now."""
        file = self._file
        return LogStanding(
            self._away_since_s,
            self.why,
            waiting=0 if file is None else file.waiting,
            waiting_bytes=0 if file is None else file.used_bytes,
            spool_bytes=0 if file is None else file.size_bytes,
            unrecorded=self._unrecorded,
        )

    @property
    def is_patient(self) -> bool:
        """Return whether a lock is waited for: once in vain, rows wait in the spool instead."""
        return self._file is None or self._away_since_s is None

    def may_try(self) -> bool:
        """Return whether the log is to be tried now; after a failure rows wait for a while."""
        self._began = time.monotonic()
        return self._file is None or self._began >= self._not_before

    def waiting(self) -> list[Spare[int]]:
        """Return the rows that must come before any other.

        raises : OSError if they cannot be read now
        """
        if self._file is None or not self._file.waiting:
            return []
        return [Spare.from_bytes(entry) for entry in self._file.read()]

    def returned(self, count: int, rejected: Sequence[tuple[Spare[int], TurnpikeError]]) -> None:
        """Record that the log has taken all that waited, but for the rejected, which are kept."""
        if self._away_since_s is not None or count:
            LOGGER.info("the log is written again", from_spool=count, rejected=len(rejected))
        self._away_since_s, self.why, self._not_before = None, "", 0.0
        if self._file is not None and count:
            try:
                _set_aside(self._file.path, rejected)
                self._file.clear()
            except OSError as error:  # they are brought once more, which changes nothing
                LOGGER.error("the spool cannot be emptied", reason=error.strerror)  # noqa: TRY400

    def keep(self, why: str, spares: Sequence[Spare[Any]]) -> list[Durable | None]:
        """Return where each row is safe now that the log has not taken it; None: it is refused."""
        self._leave(why)
        kept = 0
        if self._file is not None and spares:
            try:
                kept = self._file.append([spare.to_bytes() for spare in spares])
            except OSError as error:
                LOGGER.error("the spool cannot be written", reason=error.strerror)  # noqa: TRY400
        lost = len(spares) - kept
        if lost and self._goes_on:
            self._unrecorded += lost
            LOGGER.error("not recorded at all", rows=lost, since_start=self._unrecorded)
        rest: Durable | None = "none" if self._goes_on else None
        return [*(SPOOL for _ in range(kept)), *(rest for _ in range(lost))]

    def take_over(self, path: Path) -> None:
        """Let what waits in another file wait here; whoever asks holds it, and it is gone then.

        What waits here already comes first: until it is in the log, nothing is taken over.

        raises : ConfigError if it cannot be opened or moved
        """
        if self._file is None or self._file.waiting:
            return
        theirs = SpoolFile(path, self._file.size_bytes)
        if not theirs.waiting:
            theirs.close()
            return
        try:
            theirs.move(self._file.path)
        except OSError as error:
            theirs.close()
            raise ConfigError(
                f"cannot move the spool {path} to {self._file.path}: {error.strerror}; "
                "let this user write in both folders"
            ) from error
        ours, self._file = self._file, theirs
        ours.close()

    def close(self) -> None:
        """Close the file; what waits in it is brought into the log after the next start."""
        if self._file is not None:
            self._file.close()

    def _leave(self, why: str) -> None:
        now = time.monotonic()
        rest = REST if self._rest is None else self._rest
        if now >= self._not_before:
            self._not_before = now + max(AGAIN_AFTER_S, rest * (now - self._began))
        if self._away_since_s is None:
            self._away_since_s = time.time()
            LOGGER.error("the log cannot be written", reason=why)
        self.why = why


def spool_path(path: Path) -> Path:
    """Return where the spool of the log at a path lies."""
    return path.with_name(path.name + "-spool")


def _set_aside(path: Path, rejected: Sequence[tuple[Spare[int], TurnpikeError]]) -> None:
    """Write what no log takes beside the spool, durably, where somebody can look at it."""
    if not rejected:
        return
    with open(f"{path}-rejected", "ab", opener=private) as file:
        for spare, error in rejected:
            LOGGER.error("a row from the spool was rejected", reason=error.message)
            file.write(spare.to_bytes() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    flush_folder(path.parent)


def _packed(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


def _unpacked(packed: dict[str, Any]) -> Any:
    # The values of a row are never mappings, so a lone `base64` can only be bytes of ours.
    return base64.b64decode(packed["base64"]) if packed.keys() == {"base64"} else packed
