"""The log on SQLite: one writer thread with group commit, any number of readers."""

from dataclasses import replace
from pathlib import Path

from policy.errors import ConfigError, StoreUnavailable
from storage.database import open_writer
from storage.feed import Feed
from storage.log import Log
from storage.spool import LogStanding, Spool, Spooling
from storage.sqlite_reader import SqliteReader
from storage.sqlite_sql import SqliteSql
from storage.writer import Committing, GroupWriter, here


class SqliteLog(Log, SqliteReader):
    """The log of the one process that writes it; another that still does has `patience_s` to end.

    raises : ConfigError if the file is no log of ours, or another process writes it
    """

    def __init__(
        self,
        path: Path,
        commit: Committing = here,
        spooling: Spooling | None = None,
        patience_s: float = 0.0,
    ) -> None:
        super().__init__(path)
        self._file = open_writer(path, patience_s)
        self._spool = Spool.beside(path, spooling)
        self._feed = Feed(self.ask)
        self._writer = GroupWriter(self._file, self._feed.hand_on, commit, self._spool)

    @property
    def standing(self) -> LogStanding:
        """Return how the log stands: whether it is written, and what waits to be."""
        standing = super().standing
        if self._file.is_there:
            return standing
        return replace(standing, is_gone=True, why=self._file.gone)

    def close(self) -> None:
        """Record everything still waiting, then close."""
        self._writer.close()
        super().close()
        self._spool.close()
        self._file.close()

    def _open(self) -> SqliteSql:
        if not self._file.is_there:  # with our WAL beside it, another file would be damaged
            raise StoreUnavailable(f"the log cannot be read: {self._file.gone}")
        try:
            return super()._open()
        except ConfigError as error:  # it was there, and right, when we opened it
            raise StoreUnavailable(error.message) from error
