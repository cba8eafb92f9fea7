"""Opening the SQLite file: who may write it, which files are refused, how a connection is set.

One process writes, through one connection: SQLite 3.7.0 to 3.51.2 can lose commits when two
connections write and checkpoint a WAL at once, so a lock of the operating system keeps a second
writer out. Readers may be many, in any process.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database
from structlog import get_logger

from policy.errors import ConfigError
from storage.migrations import MIGRATIONS, migrate, unknown
from storage.mounts import remote
from storage.parcel import PRIVATE, is_taken
from storage.place import is_there
from storage.sqlite_sql import SqliteWriter, is_busy, kind_of, said

LOGGER = get_logger()
BUSY_TIMEOUT_S = 1.0
LOOK_EVERY_S = 0.1
START_WITHIN_S = 30.0
"""How long a start waits for another program to let go of the file."""
WAL_LIMIT_BYTES = 64 * 1024 * 1024
CHECKPOINT_PAGES = 4_000
"""So many pages are written before they are copied into the file: one that many commits have
written is copied once."""

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
)

DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
RESTORE = "restore it from a backup, or give another path"
LOOK = "see that its disk has room and its folder may be written, then start again"

REMOTE_LOSES = (
    "SQLite can lose commits on a network's file system; put it on a disk of this machine, or use "
    "PostgreSQL"
)
WAL_RESET_FIXED = (3, 51, 3)


def open_writer(path: Path, patience_s: float = 0.0) -> SqliteWriter:
    """Return the one writing connection, with the schema brought up to date.

    Another process that writes has so long to end.

    raises : ConfigError if another process writes this file, or it is not a log we can write
    """
    _refuse_no_file(path)
    if kind := remote(path.resolve()):
        LOGGER.warning(f"the log {path} lies on {kind}: {REMOTE_LOSES}")
    with ExitStack() as held:
        held.callback(os.close, _lock(path, patience_s))
        with _explained(path):
            _refuse_foreign(path)
            path.touch(PRIVATE)  # what SQLite makes beside it gets the same mode
            db = _connect(path, "rwc")
            held.callback(db.close)
            db.execute(_busy_timeout(START_WITHIN_S))
            for pragma in PRAGMAS:
                db.execute(pragma)
            migrate(db)
            db.execute(_busy_timeout(BUSY_TIMEOUT_S))
        return SqliteWriter(db, path, held.pop_all().close)


def open_reader(path: Path) -> Database:
    """Return a connection that can only read; it may wander between threads, one at a time.

    raises : ConfigError if there is no log at this path, or it is of another version
    """
    if not is_there(path):
        raise ConfigError(f"there is no log at {path}: start the service once, or correct the path")
    _refuse_no_file(path)
    with _explained(path), ExitStack() as held:
        _refuse_foreign(path)
        db = _connect(path, "rw")
        held.callback(db.close)
        db.execute("PRAGMA query_only = ON")
        if pending := MIGRATIONS.pending(db):
            raise ConfigError(
                f"the log {path} lacks {pending[0].name}: start the service once to bring it up "
                "to date"
            )
        held.pop_all()
        return db


def _connect(path: Path, mode: str) -> Database:
    # isolation_level None leaves BEGIN to us: Python's own is deferred, and a deferred transaction
    # that turns from reading to writing fails at once instead of waiting.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        return Database(connection, execute_plugins=False)
    except sqlite3.Error:
        connection.close()
        raise


def _busy_timeout(seconds: float) -> str:
    return f"PRAGMA busy_timeout = {round(1000 * seconds)}"


def _lock(path: Path, patience_s: float) -> int:
    name = path.resolve().with_name(path.resolve().name + "-lock")
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write beside the log {path}: {error.strerror}; "
            "give a path in a folder this user may write"
        ) from error
    give_up_at = time.monotonic() + patience_s
    while is_taken(lock):
        if time.monotonic() > give_up_at:
            pid = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise ConfigError(
                f"the log {path} is being written by process {pid}: stop that one first, "
                "or give this one another database"
            )
        time.sleep(LOOK_EVERY_S)
    with suppress(OSError):  # on a full disk nobody can read who has it
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _refuse_no_file(path: Path) -> None:
    exists = is_there(path)
    if path.is_dir():
        raise ConfigError(
            f"the log {path} is a folder: give a file, such as {path / 'turnpike.db'}"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"the folder of the log {path} does not exist: create it first")
    if exists and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigError(
            f"the log {path} may not be written by this user: change its owner or mode"
        )


def _refuse_foreign(path: Path) -> None:
    """Look through a read-only connection, so that a refused file keeps every byte."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with _connect(path, "ro") as db:
        newer = unknown(db)
        ours = bool(MIGRATIONS.applied(db))
        tables = db.table_names()
    if newer:
        raise ConfigError(
            f"the log {path} was written by a newer Turnpike (it has {newer[-1]}): "
            "use that version, or another database"
        )
    if tables and not ours:
        raise ConfigError(
            f"{path} is another program's database (it has a table {tables[0]}): give another path"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise ConfigError(f"cannot open the log {path}: {said(error)}") from error
        remedy = RESTORE if kind_of(error) in DAMAGED else LOOK
        raise ConfigError(f"cannot open the log {path}: {error}; {remedy}") from error


def sqlite_version() -> str:
    """Return the version of SQLite in use."""
    return sqlite3.sqlite_version


def has_wal_reset_race() -> bool:
    """Return whether this SQLite can lose commits of a second writer when the WAL starts over.

    source : sqlite.org, change logs of 3.51.3 and 3.53.0; 3.7.0 brought the WAL
    """
    return sqlite3.sqlite_version_info < WAL_RESET_FIXED
