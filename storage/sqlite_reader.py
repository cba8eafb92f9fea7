"""The reading half of the log on SQLite: for the service's threads and for every other process.

Each question borrows an idle read-only connection, so no reader ever waits for the writer or for
another reader.
"""

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.errors import StoreUnavailable
from storage.database import open_reader
from storage.reader import LogReader
from storage.rows import Row
from storage.sqlite_sql import SqliteSql, said


class SqliteReader(LogReader):
    """A log in a file of SQLite's that can be asked, by any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[SqliteSql] = deque()
        self._closed = False

    def close(self) -> None:
        """Close every idle connection; one that is in use closes when its question is answered."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of one query."""
        if self._closed:
            raise StoreUnavailable("the log is closed: nothing can be read any more")
        db = self._borrow()
        try:
            return db.query(sql, values)
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(f"the log cannot be read: {said(error)}") from error
        finally:
            if self._closed:
                db.close()
            else:
                self._idle.append(db)

    def faults(self) -> list[str]:
        """Return what SQLite finds wrong with the file, nothing if it is whole."""
        try:
            found = [row["integrity_check"] for row in self.ask("PRAGMA integrity_check", {})]
        except StoreUnavailable as error:  # the damage ends the check itself
            return [error.message]
        parents = self.ask("PRAGMA foreign_key_check", {})
        orphans = [f"a row of {row['table']} has no {row['parent']}" for row in parents]
        return [each for each in found if each != "ok"] + orphans

    def _borrow(self) -> SqliteSql:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> SqliteSql:
        return SqliteSql(open_reader(self._path))
