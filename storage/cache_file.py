"""The answers that may be given again, in a SQLite file beside the log; losing it loses nothing.

It belongs to the process that writes the log, so the log's lock is its lock. Rows are found by the
hash of a whole request; prompts are not in it. A file that cannot be used is made anew.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from structlog import get_logger

from policy.errors import ConfigError, StoreUnavailable
from storage.parcel import PRIVATE
from storage.rows import columns, restore, text
from storage.sqlite_sql import kind_of

LOGGER = get_logger()
VERSION = 2
ROW_BYTES = 512
FAILED = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_size_limit = 4194304",
)

TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY,
    kin BLOB NOT NULL,
    likeness BLOB NOT NULL,
    tenant TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    arm TEXT NOT NULL,
    model TEXT NOT NULL,
    text TEXT NOT NULL,
    thoughts TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usage_estimated INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    created_at_s REAL NOT NULL,
    used_at_s REAL NOT NULL,
    bytes INTEGER NOT NULL
) STRICT
"""

INDEXES = (
    "CREATE INDEX IF NOT EXISTS answers_by_use ON answers (used_at_s)",
    "CREATE INDEX IF NOT EXISTS answers_by_decision ON answers (decision_id)",
    "CREATE INDEX IF NOT EXISTS answers_by_age ON answers (created_at_s)",
)

INSERT = """
INSERT INTO answers VALUES (:key, :kin, :likeness, :tenant, :decision_id, :arm, :model,
    :text, :thoughts, :input_tokens, :cached_tokens, :output_tokens, :usage_estimated, :cost_usd,
    :created_at_s, :used_at_s, :bytes)
"""

TOTALS = "SELECT count(*) AS answers, COALESCE(sum(bytes), 0) AS bytes FROM answers"

# What was used longest ago goes first, until both bounds are kept.
OLDEST = """key IN (SELECT key FROM (
    SELECT key, row_number() OVER newest AS n, sum(bytes) OVER newest AS total
    FROM answers WINDOW newest AS (ORDER BY used_at_s DESC, key)
) WHERE n > :answers OR total > :bytes)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer with what it takes to give it again.

    `key` is the hash of the whole request, `kin` of all of it but the wording of the question, and
    `likeness` what a similar wording is recognised by; empty where only the same will do.
    `thoughts` are those beside the text by their names, as JSON.
    """

    key: bytes
    kin: bytes
    likeness: bytes
    tenant: str
    decision_id: str
    arm: str
    model: str
    text: str
    thoughts: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usage_estimated: bool
    cost_usd: float
    created_at_s: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many answers are kept, how many bytes of them, and for how long."""

    answers: int
    bytes: int
    age_s: float


@dataclass(frozen=True, slots=True)
class CacheSize:
    """How much there is."""

    answers: int
    bytes: int


class CacheFile:
    """Stored answers by key; safe for many threads.

    raises : ConfigError at the start if it is in a wrong place; StoreUnavailable where the disk
             fails or is full, then and later
    """

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._lock = threading.Lock()
        self._db = _opened(path)
        self._held = self._count()

    def get(self, key: bytes) -> StoredAnswer | None:
        """Return the answer to a request, however old."""
        with self._working() as db:
            row = next(iter(db.query("SELECT * FROM answers WHERE key = ?", [key])), None)
        return None if row is None else restore(StoredAnswer, row)

    def put(self, answer: StoredAnswer) -> list[bytes]:
        """Record an answer, and return the keys of those that had to make room for it.

        One that alone is larger than all of the room is passed over.
        """
        values: dict[str, Any] = {name: getattr(answer, name) for name in columns(StoredAnswer)}
        values |= {name: text(value) for name, value in values.items() if isinstance(value, str)}
        values["used_at_s"] = answer.created_at_s
        said = values["text"] + values["thoughts"]
        values["bytes"] = ROW_BYTES + len(answer.likeness) + len(said.encode())
        if values["bytes"] > self._bounds.bytes * 9 // 10:
            return []
        with self._working() as db:
            self._delete("key = :key", values)
            db.execute(INSERT, values)
            self._held = CacheSize(self._held.answers + 1, self._held.bytes + values["bytes"])
            return self._make_room(answer.created_at_s)

    def touch(self, key: bytes, at_s: float) -> None:
        """Record that an answer was given again, so that it is among the last to make room."""
        with self._working() as db:
            db.execute("UPDATE answers SET used_at_s = ? WHERE key = ?", [at_s, key])

    def prune(self, now_s: float) -> list[bytes]:
        """Forget what is older than the bound, and return the keys."""
        with self._working():
            return self._too_old(now_s)

    def evict(self, decision_id: str, tenant: str) -> list[bytes]:
        """Forget what a decision had answered, and return its keys."""
        with self._working():
            return self._delete("decision_id = ? AND tenant = ?", [decision_id, tenant])

    def forget(self, until_s: float) -> list[bytes]:
        """Forget everything up to a moment, also on the disk, and return the keys."""
        with self._working() as db:
            forgotten = self._delete("created_at_s <= ?", [until_s])
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return forgotten

    def clear(self) -> list[bytes]:
        """Forget everything, also on the disk, and return the keys there were."""
        with self._working() as db:
            cleared = self._delete("TRUE", [])
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return cleared

    def likenesses(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield key, kin and likeness of what can be recognised by similarity."""
        with self._working() as db:
            rows = list(db.query("SELECT key, kin, likeness FROM answers WHERE likeness <> x''"))
        yield from ((row["key"], row["kin"], row["likeness"]) for row in rows)

    def oldest_s(self) -> float | None:
        """Return when the oldest of the answers was made."""
        with self._working() as db:
            [row] = db.query("SELECT min(created_at_s) AS at_s FROM answers")
        return None if row["at_s"] is None else float(row["at_s"])

    def made_by(self) -> dict[str, str]:
        """Return the decisions that made the answers, each with its tenant."""
        with self._working() as db:
            rows = list(db.query("SELECT decision_id, tenant FROM answers"))
        return {row["decision_id"]: row["tenant"] for row in rows}

    @property
    def held(self) -> CacheSize:
        """Return how much there is."""
        with self._lock:
            return self._held

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _working(self) -> Iterator[Database]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise StoreUnavailable(f"the cache {self._path} failed: {error}") from error

    def _make_room(self, now_s: float) -> list[bytes]:
        gone = self._too_old(now_s)
        if self._held.answers > self._bounds.answers or self._held.bytes > self._bounds.bytes:
            # A tenth more than needed, so that not every answer has to make room.
            kept = {
                "answers": self._bounds.answers * 9 // 10,
                "bytes": self._bounds.bytes * 9 // 10,
            }
            gone += self._delete(OLDEST, kept)
        return gone

    def _too_old(self, now_s: float) -> list[bytes]:
        return self._delete("created_at_s < ?", [now_s - self._bounds.age_s])

    def _delete(self, where: str, values: Any) -> list[bytes]:
        sql = f"DELETE FROM answers WHERE {where} RETURNING key"  # noqa: S608  our own words
        keys = [row["key"] for row in self._db.query(sql, values)]
        if keys:
            self._held = self._count()
        return keys

    def _count(self) -> CacheSize:
        [row] = self._db.query(TOTALS)
        return CacheSize(**row)


def remove(path: Path) -> None:
    """Delete the file of a cache that is switched off, with all that SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _opened(path: Path) -> Database:
    try:
        return _connected(path)
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, sqlite3.Error) and kind_of(error) in FAILED:
            raise StoreUnavailable(f"the cache {path} failed: {error}") from error
        raise ConfigError(
            f"the cache {path} cannot be opened: {error}; its folder must be writable"
        ) from error
    except sqlite3.DatabaseError as error:
        LOGGER.warning("the cache is made anew", path=str(path), reason=str(error))
        remove(path)
        return _connected(path)


def _connected(path: Path) -> Database:
    path.touch(PRIVATE)
    # Autocommit: an answer is one statement, and nobody waits for the disk.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db = Database(connection, execute_plugins=False)
        for pragma in PRAGMAS:
            db.execute(pragma).fetchall()
        [(version,)] = db.execute("PRAGMA user_version").fetchall()
        if version not in {0, VERSION}:
            raise sqlite3.DatabaseError(f"it is of version {version}, and {VERSION} is needed")
        for statement in (TABLE, *INDEXES, f"PRAGMA user_version = {VERSION}"):
            db.execute(statement)
        db.execute(TOTALS).fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return db
