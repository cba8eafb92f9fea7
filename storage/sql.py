"""One SQL for every store: what a connection does for it, and how it says no.

Parameters are named (`:name`) and rows are mappings. SQLite and PostgreSQL each have one thin
driver of this form; every query and every unit of work is written once, in their common language.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from storage.rows import Row, SqlValue

Values = Mapping[str, SqlValue]
NOTHING: Values = {}

AskLog = Callable[[str, Mapping[str, Any]], Sequence[Row]]
"""Asks a query of whatever connection is free, and gives its rows."""


class Refused(Exception):
    """The store refused one statement: its parent is `missing`, its key `taken`, or it is `wrong`.

    Never leaves this room; whatever else a driver raises means that the store failed.
    """

    def __init__(self, why: Literal["missing", "taken", "wrong"], message: str) -> None:
        super().__init__(message)
        self.why = why


class Failed(Exception):
    """The store could not do it now: it is away, full or busy. Never leaves this room."""


class Sql(Protocol):
    """A connection to a store."""

    def query(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Return the rows that a statement gives.

        raises : Refused
        """
        ...

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        """Do what a statement says, and return how many rows it changed.

        raises : Refused
        """
        ...


class WritingSql(Sql, Protocol):
    """The connection of a log's writer."""

    def transact(self, work: Callable[[], None], patience_s: float) -> None:
        """Do the work, all of it or none; it is durable when this returns.

        A store that is busy or away is asked again as long as the patience lasts. The work may be
        done again from its beginning where the store lost the first try. Nobody else appends to
        the log meanwhile, so what the work reads first is still so when it writes.

        raises : Failed; and whatever the work raises, with nothing of it done
        """
        ...

    def scrub(self) -> bool:
        """Leave nothing in the files of what was deleted; False if somebody still reads it.

        Between transactions only.
        """
        ...

    def close(self) -> None:
        """Let another process write."""
        ...
