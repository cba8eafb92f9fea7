"""Moving a log from SQLite to PostgreSQL: every row of every table, in one transaction.

What belongs to one machine stays behind: where its snapshots lie, and who holds a lease.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlite_utils import Database

from policy.errors import ConfigError, StoreUnavailable
from storage.database import open_writer
from storage.place import shown
from storage.postgres_schema import migrate
from storage.postgres_sql import PostgresConnection, connect, unhurried

ROWS = 1_000
STAYS = {"log_position", "snapshots", "leases", "fenced", "allotments"}
# What others refer to comes before them.
FIRST = ("decisions", "keys", "attempts")
TYPES = {"INTEGER": "int8", "REAL": "float8", "TEXT": "text", "BLOB": "bytea"}

Moved = Callable[[int], None]
"""Is told how many more rows have been copied."""


def rows_in(path: Path) -> int:
    """Return how many rows there are to move.

    raises : ConfigError if a service writes this log
    """
    with _source(path) as db:
        return sum(db[name].count for name in _tables(db))


def move(path: Path, url: str, moved: Moved) -> None:
    """Copy a log into an empty database, all of it or nothing.

    raises : ConfigError if the source is written by a service, or the target is not empty;
        StoreUnavailable if the server fails meanwhile
    """
    with _source(path) as db:
        try:
            with connect(url) as connection:
                migrate(url, connection)
                with unhurried(connection):
                    _require_empty(url, connection)
                    for name in _tables(db):
                        _copy(db, connection, name, moved)
                    [(seq,)] = db.execute("SELECT seq FROM log_position").fetchall()
                    connection.execute("UPDATE log_position SET seq = %s", [seq])
        except psycopg.Error as error:
            raise StoreUnavailable(f"moving to {shown(url)} failed: {error}") from error


@contextmanager
def _source(path: Path) -> Iterator[Database]:
    """Yield the log that is moved, held so that nobody writes it meanwhile."""
    writer = open_writer(path)
    try:
        yield writer.db
    finally:
        writer.close()


def _tables(db: Database) -> list[str]:
    ours = [name for name in db.table_names() if not name.startswith(("sqlite_", "_"))]
    rest = sorted(name for name in ours if name not in {*STAYS, *FIRST})
    return [*FIRST, *rest]


def _require_empty(url: str, connection: PostgresConnection) -> None:
    found = connection.execute("SELECT id FROM decisions UNION SELECT batch FROM evals LIMIT 1")
    if found.fetchone() is not None:
        raise ConfigError(f"the log at {shown(url)} is not empty: give a new database or schema")
    # What a service that has only just started there has made of nothing makes way.
    for made in ("policies", "states", "latest"):
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(made)))


def _copy(db: Database, connection: PostgresConnection, name: str, moved: Moved) -> None:
    columns = db[name].columns
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)
    into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(name), names)
    # In the order in which they were written: a decision may name an earlier one.
    listed = ", ".join(f'"{column.name}"' for column in columns)
    found = db.execute(f'SELECT {listed} FROM "{name}" ORDER BY rowid')  # noqa: S608  our schema
    with connection.cursor() as cursor, cursor.copy(into) as copying:
        copying.set_types([TYPES[column.type] for column in columns])
        while rows := found.fetchmany(ROWS):
            for row in rows:
                copying.write_row(row)
            moved(len(rows))
    # Its plans go by what is known of a table, which by itself it learns minutes later.
    connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))
