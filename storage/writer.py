"""The writer thread: gathers what many threads submit and commits it together.

One durable commit costs a disk flush of some milliseconds, whatever it holds; so everything that
arrives during one flush goes into the next. A unit of work has its own savepoint: a refused one
gets its error, its neighbours in the group do not notice. What the log cannot take waits in the
spool, and is brought before anything else once it can.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from policy.errors import StoreUnavailable, TurnpikeError
from storage.spool import Durable, Spare, Spool
from storage.sql import Failed, Sql, WritingSql
from storage.ticket import DURABLE_WITHIN_S
from storage.writes import ALREADY_RECORDED, put_back

T = TypeVar("T")

Committing = Callable[[Callable[[], bool]], bool]

GROUP_LIMIT = 256
WAITING_LIMIT = 10_000
ADMIT_WITHIN_S = 2.0
WIPE_AGAIN_AFTER_S = 0.4
LOCK_WITHIN_S = 5.0


def here(commit: Callable[[], bool]) -> bool:
    """Return what the commit gives, on the thread that asks for it."""
    return commit()


class Unit(Generic[T]):
    """One unit of work and the ticket for it; `durable` tells where it is, once it is."""

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
        # Until the commit says otherwise: whatever ends the writer early, nobody is told a lie.
        self._error: TurnpikeError | None = StoreUnavailable(
            "the log's writer has stopped, so nothing can be recorded: restart the service"
        )
        self._refused = False

    def run(self, db: Sql) -> None:
        """Do the work, perhaps not for the first time, and keep what it found for the ticket."""
        self._refused = False
        self._found = self._work(db)

    def refuse(self, error: TurnpikeError) -> None:
        """Keep the error for the holder of the ticket."""
        self._error = error
        self._refused = True

    @property
    def error(self) -> TurnpikeError | None:
        """Return what has refused the work, None if nothing has."""
        return self._error if self._refused else None

    def confirm(self) -> None:
        """Keep that the work is durable, unless it was refused."""
        if not self._refused:
            self._error = None

    def set_aside(self, spare: Spare[T], durable: Durable) -> None:
        """Keep that the work is left to its row, which is not in the log yet."""
        self._found, self.durable, self._error = spare.found, durable, None

    def release(self) -> None:
        """Let the holder of the ticket go on, with what is known by now."""
        self._waiting.release()

    def wait(self, timeout_s: float = DURABLE_WITHIN_S) -> T:
        """Return what the work found, once it is durable.

        raises : StoreUnavailable if it is not durable in time; else whatever refused the unit
        """
        if not self._waiting.acquire(timeout=timeout_s):
            raise StoreUnavailable(
                f"the log did not confirm within {timeout_s:g} s; it may still record this, so ask "
                "again with the same id"
            )
        self._waiting.release()
        if self._error is not None:
            raise self._error
        return self._found


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
            admitted = self._emptied.wait_for(self._admits, timeout_s)
            if not self._open:
                raise StoreUnavailable("the log is closed: nothing can be recorded any more")
            if not admitted:
                raise StoreUnavailable(
                    f"{len(self._units)} writes wait for the disk, the limit; try again later"
                )
            self._units.append(unit)
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


class GroupWriter:
    """The thread that owns the writing connection.

    `commit` calls what it is given, which may wait for the disk, and returns its result.
    `after_commit` runs in it after each commit, before the tickets of that group are released. If
    it fails, the thread ends and every later write is refused: what follows the log in memory would
    no longer agree with it, and only a restart can repair that. `unwiped` says that something which
    was deleted can still be found in the files.
    """

    def __init__(
        self,
        db: WritingSql,
        after_commit: Callable[[], None],
        commit: Committing = here,
        spool: Spool | None = None,
    ) -> None:
        self._db = db
        self._spool = Spool() if spool is None else spool
        self._committing = commit
        self._after_commit = after_commit
        self.unwiped = False
        self._wipe_not_before = 0.0
        self._inbox = Inbox(WAITING_LIMIT)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(
        self, work: Callable[[Sql], T], spare: Spare[T] | None = None, *, scrubs: bool = False
    ) -> Unit[T]:
        """Return the ticket of a unit of work that is now in line; `spare` may wait in its place.

        What one that `scrubs` has deleted is wiped from the files too, after its commit.

        raises : StoreUnavailable if there is no room, or the log is closed
        """
        unit = Unit(work, spare, scrubs=scrubs)
        self._inbox.put(unit, ADMIT_WITHIN_S)
        return unit

    @property
    def waiting(self) -> int:
        """Return how many units are in line."""
        return len(self._inbox)

    @property
    def is_running(self) -> bool:
        """Return whether anything can still be written."""
        return self._inbox.is_open and self._thread.is_alive()

    def stop(self) -> None:
        """Admit nothing more; what waits is still committed."""
        self._inbox.close()

    def close(self) -> None:
        """Commit all that waits, then end the thread."""
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            while group := self._inbox.take(GROUP_LIMIT):
                self._write(group)
        finally:
            self._inbox.close()
            while group := self._inbox.take(GROUP_LIMIT):
                _release(group)

    def _write(self, group: list[Unit[Any]]) -> None:
        try:
            if self._committing(partial(self._commit, group)):
                self._after_commit()
        finally:
            _release(group)

    def _commit(self, group: list[Unit[Any]]) -> bool:
        if not self._spool.may_try():
            self._set_aside(group, self._spool.why)
            return False
        try:
            waiting = [Unit(partial(put_back, spare), spare) for spare in self._spool.waiting()]
            self._db.transact(
                partial(self._run_all, [*waiting, *group]),
                LOCK_WITHIN_S if self._spool.is_patient else 0.0,
            )
        except (Failed, OSError) as error:
            self._set_aside(group, str(error))
            return False
        self._take_leave(waiting)
        self._scrub(group)
        for unit in group:
            unit.confirm()
        return True

    def _run_all(self, group: list[Unit[Any]]) -> None:
        for unit in group:
            self._run_alone(unit)

    def _set_aside(self, group: list[Unit[Any]], why: str) -> None:
        """Leave to the spool what can wait, and refuse the rest."""
        rows = [(unit, unit.spare) for unit in group if unit.spare and unit.error is None]
        kept = self._spool.keep(why, [spare for _, spare in rows])
        for (unit, spare), durable in zip(rows, kept, strict=True):
            if durable is not None:
                unit.set_aside(spare, durable)
        for unit in group:
            if unit.error is None and unit.durable == "log":
                unit.refuse(StoreUnavailable(f"the log cannot be written: {why}"))

    def _take_leave(self, waiting: list[Unit[int]]) -> None:
        """Empty the spool, whose rows the log has; one that was there already is no fault."""
        faults = [(unit.spare, unit.error) for unit in waiting]
        self._spool.returned(
            len(waiting),
            [
                (spare, error)
                for spare, error in faults
                if spare and error and error.code != ALREADY_RECORDED
            ],
        )

    def _scrub(self, group: list[Unit[Any]]) -> None:
        """Wipe what was deleted; while somebody reads it, try again after a later commit."""
        self.unwiped = self.unwiped or any(unit.scrubs for unit in group)
        if self.unwiped and time.monotonic() >= self._wipe_not_before:
            self.unwiped = not self._db.scrub()
            self._wipe_not_before = time.monotonic() + WIPE_AGAIN_AFTER_S * self.unwiped

    def _run_alone(self, unit: Unit[Any]) -> None:
        # A fixed name lets SQLite keep the parsed statement: a third of the time of `atomic()`.
        self._db.execute("SAVEPOINT unit")
        try:
            unit.run(self._db)
        except TurnpikeError as error:
            self._db.execute("ROLLBACK TO unit")
            unit.refuse(error)
        self._db.execute("RELEASE unit")


def _release(group: list[Unit[Any]]) -> None:
    for unit in group:
        unit.release()
