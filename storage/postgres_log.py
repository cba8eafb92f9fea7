"""The log on PostgreSQL: every process has a writer thread, and hears what the others commit."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import psycopg
from structlog import get_logger

from policy.errors import StoreUnavailable
from storage.feed import Feed
from storage.log import Log
from storage.postgres_reader import PostgresReader
from storage.postgres_sql import SOON_S, connect
from storage.postgres_writer import PostgresWriter
from storage.spool import Spool
from storage.writer import GroupWriter

LOGGER = get_logger()
LISTEN = "LISTEN turnpike"
WAKE = "SELECT pg_notify('turnpike', '')"
LOOK_EVERY_S = 0.5
AGAIN_AFTER_S = 1.0


class PostgresLog(Log, PostgresReader):
    """The log of one process among others that read and write the same database.

    raises : ConfigError if the database is no log that we can write; StoreUnavailable
    """

    def __init__(self, url: str, spool: Spool | None = None) -> None:
        with ExitStack() as undo:
            self._own = PostgresWriter(url)
            undo.callback(self._own.close)
            super().__init__(url)
            undo.pop_all()
        self._spool = Spool() if spool is None else spool
        # Whoever waits for a commit waits until it was handed on, too.
        self._feed = Feed(partial(self._asked, within_s=SOON_S))
        self._writer = GroupWriter(self._own, self._hand_on, spool=self._spool)
        self._listener = Listener(url, self._hand_on, self._writer.stop)
        self._listener.start()

    def close(self) -> None:
        """Record everything still waiting, then close."""
        self._listener.stop(self._wake)
        self._writer.close()
        super().close()
        self._spool.close()
        self._own.close()

    def _wake(self) -> None:
        with suppress(StoreUnavailable):
            self.ask(WAKE, {})

    def _hand_on(self) -> None:
        try:
            self._feed.hand_on()
        except StoreUnavailable as error:
            # What was committed stays so; the listener hands it on once the store is back.
            LOGGER.warning("the log cannot be followed for now", reason=error.message)


class Listener(threading.Thread):
    """Waits for the commits of others, and looks for them by itself where no word comes.

    If handing on fails, what follows the log in memory would no longer agree with it: then `stop`
    is called, so that nothing is written on a false belief.
    """

    def __init__(self, url: str, hand_on: Callable[[], None], stop: Callable[[], None]) -> None:
        super().__init__(name="log-listener", daemon=True)
        self._url = url
        self._hand_on = hand_on
        self._stop_log = stop
        self._stopping = threading.Event()

    def run(self) -> None:
        """Listen until stopped; a connection that is lost is made again, for ever."""
        try:
            while not self._stopping.is_set():
                try:
                    self._listen()
                except psycopg.Error as error:
                    LOGGER.warning("the log's connection was lost", reason=str(error).strip())
                    self._stopping.wait(AGAIN_AFTER_S)
        finally:
            if not self._stopping.is_set():
                self._stop_log()

    def stop(self, wake: Callable[[], None]) -> None:
        """End the thread; woken, it does not wait for its next look."""
        self._stopping.set()
        wake()
        if self.is_alive():
            self.join()

    def _listen(self) -> None:
        with connect(self._url) as connection:
            connection.execute(LISTEN)
            while not self._stopping.is_set():
                self._hand_on()
                for _ in connection.notifies(timeout=LOOK_EVERY_S, stop_after=1):
                    pass
