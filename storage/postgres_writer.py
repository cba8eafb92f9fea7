"""The connection of a log's writer to PostgreSQL: it comes back for ever, and loses no commit.

All writers, in whatever process, take turns: each transaction first holds the log's position, so
`seq` has no gaps and rises in the order of the commits, and what a unit of work reads stays so
until it has written. A commit whose answer was lost is looked up before it is tried again.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress

import psycopg
from psycopg.pq import TransactionStatus

from policy.errors import StoreUnavailable, TurnpikeError
from storage.place import shown
from storage.postgres_schema import migrate
from storage.postgres_sql import SOON_S, PostgresSql, connect, is_away
from storage.rows import Row
from storage.sql import NOTHING, Failed, Values

AGAIN_AFTER_S = (0.05, 2.0)
IDLE = TransactionStatus.IDLE

HOLD = "SELECT seq FROM log_position FOR UPDATE"

COMMITTED = "SELECT n FROM commits WHERE writer = :writer"

MARK = """
INSERT INTO commits (writer, n, at) VALUES (:writer, :n, now())
ON CONFLICT (writer) DO UPDATE SET n = excluded.n, at = excluded.at
"""

FORGET = "DELETE FROM commits WHERE writer = :writer OR at < now() - interval '30 days'"


class PostgresWriter:
    """One of the connections that may write; the others wait while it does.

    raises : ConfigError if the database is no log that we can write; StoreUnavailable
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = uuid.uuid4().hex
        self._n = 0
        self._db: PostgresSql | None = None
        with ExitStack() as undo:
            undo.callback(self._drop)
            self._open()
            undo.pop_all()

    def query(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Return the rows that a statement gives."""
        return self._connected().query(sql, values)

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        """Do what a statement says, and return how many rows it changed."""
        return self._connected().execute(sql, values)

    def transact(self, work: Callable[[], None], patience_s: float) -> None:
        """Do the work, all of it or none; it is durable when this returns."""
        self._n += 1
        give_up_at = time.monotonic() + patience_s
        wait_s, most_s = AGAIN_AFTER_S
        again = False
        while True:
            try:
                self._once(work, again)
            except psycopg.Error as error:
                if not is_away(error) or time.monotonic() > give_up_at:
                    raise Failed(str(error)) from error
            else:
                return
            again = True
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, most_s)

    def scrub(self) -> bool:
        """Return at once: PostgreSQL's own vacuum clears what nobody can read any more."""
        return True

    def close(self) -> None:
        """Forget this writer, then close its connection."""
        with suppress(psycopg.Error):
            self.execute(FORGET, {"writer": self._name})
        self._drop()

    def _open(self) -> None:
        try:
            with connect(self._url) as connection:  # a change of the schema takes its time
                migrate(self._url, connection)
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"the log {shown(self._url)} cannot be opened: {error}"
            ) from error

    def _once(self, work: Callable[[], None], again: bool) -> None:
        try:
            db = self._connected()
            db.execute("BEGIN")
            db.query(HOLD)
            # Holding the position, we know that an earlier try of ours has ended by now.
            if again and self._is_committed(db):
                db.execute("ROLLBACK")
            else:
                db.execute(MARK, self._mark)
                _done(work, db)
                db.execute("COMMIT")
        finally:
            if self._db is not None and self._db.connection.info.transaction_status != IDLE:
                self._drop()

    def _is_committed(self, db: PostgresSql) -> bool:
        return [row["n"] for row in db.query(COMMITTED, self._mark)] == [self._n]

    @property
    def _mark(self) -> Values:
        return {"writer": self._name, "n": self._n}

    def _connected(self) -> PostgresSql:
        if self._db is None:
            self._db = PostgresSql(connect(self._url))
            self._db.connection.answers_within_s = SOON_S
        return self._db

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.connection.close()


def _done(work: Callable[[], None], db: PostgresSql) -> None:
    """Do the work; where it is refused, nothing of it is left, and the connection is."""
    try:
        work()
    except TurnpikeError:
        db.execute("ROLLBACK")
        raise
