"""Our SQL on SQLite: a thin driver over sqlite-utils."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sqlite_utils import Database
from structlog import get_logger

from storage.parcel import identity
from storage.rows import Row
from storage.sql import NOTHING, Failed, Refused, Values

LOGGER = get_logger()
ASIDE = ".of-another"

# A disk that has failed to flush may have dropped what it was given: to ask again proves nothing.
UNFLUSHED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

REFUSALS: dict[int, Literal["missing", "taken"]] = {
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: "missing",
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: "taken",
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: "taken",
}


class SqliteSql:
    """A connection to a SQLite file."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def query(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Return the rows that a statement gives."""
        cursor = self._run(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        """Do what a statement says, and return how many rows it changed."""
        return self._run(sql, values).rowcount

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def _run(self, sql: str, values: Values) -> sqlite3.Cursor:
        try:
            return self.db.conn.execute(sql, values)
        except (sqlite3.IntegrityError, sqlite3.DataError) as error:
            raise Refused(REFUSALS.get(error.sqlite_errorcode, "wrong"), str(error)) from error


class SqliteWriter(SqliteSql):
    """The one connection that may write; `release` lets another process have the file.

    What is written to a file that was deleted, or whose place another has taken, is found by no
    restart: so nothing is. Its WAL is emptied then, into the file that it belongs to: SQLite would
    leave it, and replay it onto whatever file is there at the next start.
    """

    def __init__(self, db: Database, path: Path, release: Callable[[], None]) -> None:
        super().__init__(db)
        self._release = release
        self._path = path.absolute()
        real = path.resolve()  # SQLite keeps the WAL beside what a link leads to
        self._wal, self._index = (real.with_name(f"{real.name}-{end}") for end in ("wal", "shm"))
        self._opened = self._found()

    @property
    def is_there(self) -> bool:
        """Return whether the file at its path is the one that was opened, and its WAL too."""
        return self._found() == self._opened

    def transact(self, work: Callable[[], None], patience_s: float) -> None:
        """Do the work, all of it or none; it is durable when this returns."""
        try:
            self._begin(patience_s)
            work()
            if not self.is_there:
                self.db.execute("ROLLBACK")
                self.scrub()
                raise Failed(self.gone)
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) in UNFLUSHED:
                raise
            raise Failed(said(error)) from error
        finally:
            if self.db.conn.in_transaction:
                self.db.execute("ROLLBACK")

    @property
    def gone(self) -> str:
        """Return what is told of a file that is not there any more."""
        return (
            f"its file {self._path} (or the -wal of it) was deleted, moved or replaced while it is "
            "written: put it back, or stop the service, see that the right file is there without "
            "-wal and -shm of another, and start"
        )

    def scrub(self) -> bool:
        """Empty the WAL, which holds pages as they were; pages of the file itself are wiped."""
        [patience] = self.query("PRAGMA busy_timeout")
        self.db.execute("PRAGMA busy_timeout = 0")  # whoever writes next must not wait for readers
        try:
            return not self.query("PRAGMA wal_checkpoint(TRUNCATE)")[0]["busy"]
        except sqlite3.DatabaseError:
            return False
        finally:
            self.db.execute(f"PRAGMA busy_timeout = {patience['timeout']}")

    def close(self) -> None:
        """Close the connection, then let another process write; no file meets another's WAL."""
        try:
            if not self.is_there and not self.scrub():
                self._set_aside()
        finally:
            self._release()

    def _set_aside(self) -> None:
        ours = identity(self._wal)
        if ours is None or ours != self._opened[1]:
            return
        aside = f"{ASIDE}-{ours[1]}"  # of two logs that were there, each keeps its own
        self._wal.replace(self._wal.with_name(self._wal.name + aside))
        self._index.unlink(missing_ok=True)
        LOGGER.warning(
            f"{self._wal} belongs to a log that is not at {self._path} any more: it is "
            f"{self._wal.name}{aside} now; put back that log, it needs this under its old name"
        )

    def _found(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        return identity(self._path), identity(self._wal)

    def _begin(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self.db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() > deadline:
                    raise
            else:
                return


def kind_of(error: sqlite3.Error) -> int:
    """Return the primary code of an error, which is its low byte; the rest says of which kind."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether SQLite could not have a lock that somebody else holds."""
    return kind_of(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def said(error: sqlite3.Error) -> str:
    """Return what went wrong, in words that say what to do about a lock."""
    if is_busy(error):
        return "another program holds the lock of its file: close what else has it open"
    return str(error)
