"""How a PostgreSQL server stands: what its operator should know before trusting a log to it."""

from dataclasses import dataclass

import psycopg

from policy.errors import StoreUnavailable
from storage.place import shown
from storage.postgres_schema import HAS_CHANGES
from storage.postgres_sql import PostgresSql, connect
from storage.rows import Row

# What makes a commit survive a crash; `synchronous_commit` we set ourselves in every session.
NEEDED = ("fsync", "full_page_writes")

STATE = """
SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    CAST(current_setting('max_connections') AS BIGINT)
        - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS free
"""


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server's version, which of its settings lose commits, and its free connections."""

    version: str
    unsafe: tuple[str, ...]
    connections_left: int


def state(url: str) -> ServerState:
    """Return how the server stands.

    raises : StoreUnavailable if it cannot be asked; ConfigError if the URL is none
    """
    row = _asked(url, STATE)
    unsafe = tuple(name for name in NEEDED if row[name] != "on")
    return ServerState(row["version"], unsafe, int(row["free"]))


def has_log(url: str) -> bool:
    """Return whether a log was ever opened there.

    raises : StoreUnavailable if it cannot be asked; ConfigError if the URL is none
    """
    return bool(_asked(url, HAS_CHANGES)["found"])


def _asked(url: str, sql: str) -> Row:
    try:
        with connect(url) as connection:
            return PostgresSql(connection).query(sql)[0]
    except psycopg.Error as error:
        raise StoreUnavailable(f"the log {shown(url)} cannot be reached: {error}") from error
