"""Row parity: as many whole answers in the log as clients have got."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.sqlite_reader import SqliteReader

ANSWERED = "SELECT count(*) AS answered FROM outcomes WHERE status IN ('ok', 'filtered')"


class RowsDiffer(AssertionError):
    """The log has more or fewer answers than clients have got."""


class Received:
    """What clients have got while a log was watched; whoever asks adds to `answered`."""

    def __init__(self) -> None:
        self.answered = 0

    def add(self, answered: int) -> int:
        """Record answers that came whole, and return how many they are."""
        self.answered += answered
        return answered


@contextmanager
def parity(database: Path | None) -> Iterator[Received]:
    """Yield a count of answers, and hold it against the log's when the block ends.

    raises : RowsDiffer
    """
    counted = Received()
    if database is None:
        yield counted
        return
    before = answered(database)
    yield counted
    found = answered(database) - before
    if found != counted.answered:
        raise RowsDiffer(f"clients got {counted.answered} answers, and the log has {found} more")


def answered(database: Path) -> int:
    """Return how many answers a log has that came whole."""
    with SqliteReader(database) as log:
        return int(log.ask(ANSWERED, {})[0]["answered"])
