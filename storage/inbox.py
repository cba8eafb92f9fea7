"""The units of work that wait for a log's writer, and the tickets for them."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from policy.errors import StoreUnavailable, TurnpikeError
from storage.spool import Durable, Spare
from storage.sql import Sql

T = TypeVar("T")

DURABLE_WITHIN_S = 20.0


class Unit(Generic[T]):
    """One unit of work and the ticket for it; `durable` tells where it is, once it is.

    `error` is what has refused it.
    """

    def __init__(
        self, work: Callable[[Sql], T], spare: Spare[T] | None = None, *, scrubs: bool = False
    ) -> None:
        self.spare = spare
        self.scrubs = scrubs
        self.durable: Durable = "log"
        self._work = work
        self._waiting = threading.Lock()
        self._waiting.acquire()
        self._found: T
        self.error: TurnpikeError | None = None
        # Until the commit says otherwise: whatever ends the writer early, nobody is told a lie.
        self._is_kept = False
        self._is_released = False

    def run(self, db: Sql) -> None:
        """Do the work, perhaps not for the first time, and keep what it found for the ticket."""
        self.error = None
        self._found = self._work(db)

    def refuse(self, error: TurnpikeError) -> None:
        """Keep the error for the holder of the ticket."""
        self.error = error

    def confirm(self) -> None:
        """Keep that the work is durable, unless it was refused."""
        self._is_kept = True

    def set_aside(self, spare: Spare[T], durable: Durable) -> None:
        """Keep that the work is left to its row, which is not in the log yet."""
        self._found, self.durable, self._is_kept = spare.found, durable, True

    def release(self) -> None:
        """Let the holder of the ticket go on, with what is known by now."""
        self._is_released = True
        self._waiting.release()

    def wait(self, timeout_s: float = DURABLE_WITHIN_S) -> T:
        """Return what the work found, once it is durable.

        raises : StoreUnavailable if it is not durable in time; else whatever refused the unit
        """
        if not self._is_released:
            self._await(timeout_s)
        if self.error is not None:
            raise self.error
        if not self._is_kept:
            raise StoreUnavailable(
                "the log's writer has stopped, so nothing can be recorded: restart the service"
            )
        return self._found

    def _await(self, timeout_s: float) -> None:
        if not self._waiting.acquire(timeout=timeout_s):
            raise StoreUnavailable(
                f"the log did not confirm within {timeout_s:g} s; it may still record this, so ask "
                "again with the same id"
            )
        self._waiting.release()


class Inbox:
    """The units that wait for the writer: bounded, so that a slow disk slows its callers down."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._units: deque[Unit[Any]] = deque()
        self._open = True
        lock = threading.Lock()
        self._filled = threading.Condition(lock)
        self._emptied = threading.Condition(lock)

    def put(self, unit: Unit[Any], timeout_s: float) -> None:
        """Record that a unit waits.

        raises : StoreUnavailable if there is no room in time, or the log is closed
        """
        with self._emptied:
            admitted = self._admits() or self._emptied.wait_for(self._admits, timeout_s)
            if not self._open:
                raise StoreUnavailable("the log is closed: nothing can be recorded any more")
            if not admitted:
                raise StoreUnavailable(
                    f"{len(self._units)} writes wait for the disk, the limit; try again later"
                )
            self._units.append(unit)
            if len(self._units) == 1:  # the writer waits for the first only
                self._filled.notify()

    def take(self, limit: int) -> list[Unit[Any]]:
        """Return what waits, at least one and at most `limit`; nothing once closed and empty."""
        with self._filled:
            self._filled.wait_for(lambda: self._units or not self._open)
            group = [self._units.popleft() for _ in range(min(limit, len(self._units)))]
            self._emptied.notify_all()
            return group

    def __len__(self) -> int:
        return len(self._units)

    @property
    def is_open(self) -> bool:
        """Return whether units are still admitted."""
        return self._open

    def close(self) -> None:
        """Admit nothing more; what waits can still be taken."""
        with self._filled:
            self._open = False
            self._filled.notify_all()
            self._emptied.notify_all()

    def _admits(self) -> bool:
        return not self._open or len(self._units) < self._limit
