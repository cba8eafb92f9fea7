"""Our SQL on PostgreSQL: a thin driver over psycopg.

Named parameters are written in psycopg's way, numbers come back as Python's own, and a statement
that the store refuses is told apart from a store that fails.
"""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.numeric import FloatLoader

from policy.errors import ConfigError
from policy.types import HOUR_S
from storage.place import shown
from storage.rows import Row
from storage.sql import NOTHING, Refused, Values

# The server ends a statement after 30 s, and a wait for a lock after 8.
SOON_S, LATE_S = 10.0, 35.0
"""How long an answer is waited for from a connection that stands: by who holds up others, or not.

TCP cannot tell: a machine acknowledges what it has got also for a server that hangs.
"""

CONNECT_S = 3
"""How long a connection may take to be made, and once more until it is set up."""

T = TypeVar("T")

# A server that has gone without a word is given up after seconds, not after hours.
WAYS = {
    "application_name": "turnpike",
    "connect_timeout": str(CONNECT_S),
    "tcp_user_timeout": "5000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}

# A writer that hangs inside a transaction must not hold up the others. What we read are pages that
# an index leads to, for each of which PostgreSQL would start processes and read whole tables.
LOCK_WITHIN = "8s"
SESSION = f"""
SET max_parallel_workers_per_gather = 0;
SET statement_timeout = '30s';
SET lock_timeout = '{LOCK_WITHIN}';
SET idle_in_transaction_session_timeout = '8s';
SET synchronous_commit = on;
SET client_encoding = 'UTF8'
"""

PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


class PostgresConnection(psycopg.Connection[DictRow]):
    """A connection that is given up when the server does not answer in time."""

    answers_within_s = LATE_S

    def wait(
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        """Return what the server answers.

        raises : psycopg.OperationalError if it does not in time; the connection is closed then
        """
        until = time.monotonic() + self.answers_within_s
        try:
            return super().wait(
                gen, interval, self.answers_within_s if timeout is None else timeout
            )
        except psycopg.OperationalError as error:
            if timeout is not None or time.monotonic() < until:
                raise
            self.close()  # a late answer would be taken for that to another question
            raise psycopg.OperationalError(
                f"the server has not answered for {self.answers_within_s:g} s"
            ) from error


class PostgresSql:
    """A connection to a PostgreSQL database."""

    def __init__(self, connection: PostgresConnection) -> None:
        self.connection = connection

    def query(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Return the rows that a statement gives."""
        return list(self._run(sql, values).fetchall())

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        """Do what a statement says, and return how many rows it changed."""
        return self._run(sql, values).rowcount

    def _run(self, sql: str, values: Values) -> psycopg.Cursor[DictRow]:
        try:
            return self.connection.execute(psycopgs(sql), values)
        except errors.ForeignKeyViolation as error:
            raise Refused("missing", _told(error)) from error
        except errors.UniqueViolation as error:
            raise Refused("taken", _told(error)) from error
        # Of a value of another type than its column's it says that it has no operator for the two.
        except (psycopg.IntegrityError, psycopg.DataError, errors.UndefinedFunction) as error:
            raise Refused("wrong", _told(error)) from error


@lru_cache(maxsize=500)
def psycopgs(sql: str) -> str:
    """Return our SQL with its parameters named as psycopg names them.

    >>> psycopgs("SELECT '100%' WHERE a::text = :a_1")
    "SELECT '100%%' WHERE a::text = %(a_1)s"
    """
    # The statements are our own words; what comes from outside is only ever a parameter.
    return PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))


def connect(url: str) -> PostgresConnection:
    """Return a new connection that commits each statement by itself.

    raises : psycopg.OperationalError if the server is away or does not let us in
    """
    connection = PostgresConnection.connect(conninfo(url), autocommit=True, row_factory=dict_row)
    try:
        prepare(connection)
    except psycopg.Error:
        connection.close()
        raise
    return connection


@contextmanager
def unhurried(connection: PostgresConnection) -> Iterator[None]:
    """Let the statements of one transaction take as long as a long log needs."""
    usual_s = connection.answers_within_s
    connection.answers_within_s = HOUR_S
    try:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = 0")
            yield
    finally:
        connection.answers_within_s = usual_s


def prepare(connection: PostgresConnection) -> None:
    """Set what every session of ours has.

    raises : psycopg.OperationalError if the server does not answer at once: others wait for this
    """
    connection.answers_within_s = CONNECT_S
    connection.execute(SESSION)
    connection.answers_within_s = LATE_S
    # Sums of whole numbers come as numeric; nothing of ours has more digits than a float.
    connection.adapters.register_loader("numeric", FloatLoader)


def conninfo(url: str) -> str:
    """Return what libpq connects by: the URL, with our time limits where it gives none.

    raises : ConfigError if it is no URL of a PostgreSQL database
    """
    try:
        given: Mapping[str, Any] = conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        why = str(error).partition('"')[0].strip(" :")  # it quotes the password, or the whole URL
        raise ConfigError(
            f"{shown(url)} is no database that can be used: {why}; "
            "it must look like postgresql://user:password@host:5432/database"
        ) from error
    return make_conninfo("", **{**WAYS, **given})


def is_away(error: psycopg.Error) -> bool:
    """Return whether the same may succeed later: the server is away, busy, full or in conflict."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def _told(error: psycopg.Error) -> str:
    return error.diag.message_primary or str(error)
