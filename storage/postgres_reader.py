"""The reading half of the log on PostgreSQL: a pool of connections, and patience with the server.

A question that meets a server which restarts is asked again for some seconds: reading changes
nothing, so asking twice is the same as asking once.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from policy.errors import ConfigError, StoreUnavailable
from storage.place import shown
from storage.postgres_schema import pending
from storage.postgres_sql import (
    LATE_S,
    PostgresConnection,
    PostgresSql,
    connect,
    conninfo,
    is_away,
    prepare,
)
from storage.reader import LogReader
from storage.rows import Row

CONNECTIONS = 8
AGAIN_WITHIN_S = 5.0
AGAIN_AFTER_S = 0.1


class PostgresReader(LogReader):
    """A log in a PostgreSQL database that can be asked, by any number of threads.

    raises : ConfigError if there is no log, or it is of another version; StoreUnavailable
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._require_log()
        self._pool = ConnectionPool(
            conninfo(url),
            connection_class=PostgresConnection,
            kwargs={"autocommit": True, "row_factory": dict_row},
            configure=prepare,
            min_size=1,
            max_size=CONNECTIONS,
            num_workers=1,
            reconnect_timeout=AGAIN_WITHIN_S,
            open=True,
        )

    def close(self) -> None:
        """Close every connection; one that is in use closes when its question is answered."""
        self._pool.close()

    def ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of one query."""
        return self._asked(sql, values, LATE_S)

    def _asked(self, sql: str, values: Mapping[str, Any], within_s: float) -> Sequence[Row]:
        give_up_at = time.monotonic() + AGAIN_WITHIN_S
        while True:
            try:
                with self._pool.connection(timeout=AGAIN_WITHIN_S) as connection:
                    connection.answers_within_s = within_s
                    return PostgresSql(connection).query(sql, values)
            except psycopg.Error as error:
                if self._pool.closed:
                    raise StoreUnavailable(
                        "the log is closed: nothing can be read any more"
                    ) from error
                if not is_away(error) or time.monotonic() > give_up_at:
                    raise StoreUnavailable(f"the log cannot be read: {error}") from error
            time.sleep(AGAIN_AFTER_S)

    def _require_log(self) -> None:
        try:
            with connect(self._url) as connection:
                lacking = pending(self._url, connection)
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"the log {shown(self._url)} cannot be reached: {error}"
            ) from error
        if lacking:
            raise ConfigError(
                f"the log {shown(self._url)} lacks {lacking[0]}: start the service "
                "once to bring it up to date"
            )
