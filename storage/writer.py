"""The writer thread: gathers what many threads submit and commits it together.

One durable commit costs a disk flush of some milliseconds, whatever it holds; so everything that
arrives during one flush goes into the next. A unit that is refused gets its error and its
neighbours in the group do not notice: they are done again, each behind a savepoint of its own, for
which a group that is taken whole need not pay. What the log cannot take waits in the spool, and is
brought before anything else once it can.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from policy.errors import StoreUnavailable, TurnpikeError
from storage.abandoning import bring
from storage.inbox import Inbox, Unit
from storage.spool import Spare, Spool
from storage.sql import Failed, Sql, WritingSql
from storage.writes import ALREADY_RECORDED

T = TypeVar("T")

Committing = Callable[[Callable[[], bool]], bool]

GROUP_LIMIT = 256
WAITING_LIMIT = 10_000
ADMIT_WITHIN_S = 2.0
WIPE_AGAIN_AFTER_S = 0.4
LOCK_WITHIN_S = 5.0
MANY = 16
"""After a group of so many, whoever waited for it has one turn to write again: fewer flushes."""


def here(commit: Callable[[], bool]) -> bool:
    """Return what the commit gives, on the thread that asks for it."""
    return commit()


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
                if len(group) >= MANY:
                    time.sleep(0)
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
            waiting = [Unit(partial(bring, spare), spare) for spare in self._spool.waiting()]
            self._transact([*waiting, *group])
        except (Failed, OSError) as error:
            self._set_aside(group, str(error))
            return False
        self._take_leave(waiting)
        self._scrub(group)
        for unit in group:
            unit.confirm()
        return True

    def _transact(self, group: list[Unit[Any]]) -> None:
        """Do a group in one piece; where one is refused, each in a piece of its own."""
        patience_s = LOCK_WITHIN_S if self._spool.is_patient else 0.0
        try:
            self._db.transact(partial(self._run_all, group), patience_s)
        except TurnpikeError:
            self._db.transact(partial(self._run_apart, group), patience_s)

    def _run_all(self, group: list[Unit[Any]]) -> None:
        for unit in group:
            unit.run(self._db)

    def _run_apart(self, group: list[Unit[Any]]) -> None:
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
        """Empty the spool, whose rows the log has; one that was there as it is is no fault."""
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
