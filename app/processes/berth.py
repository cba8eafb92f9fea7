"""A folder of its own for each process that serves beside others: the first that is free.

What one process alone may write lies in it: its spool and the answers it has stored. A process that
is started again takes the folder of one that has ended, with all that still waits in it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from app.mode import beside_log
from app.settings import Settings
from storage.parcel import is_taken
from storage.spool import spool_path
from storage.spool_file import waiting_in

LOCK = "lock"


@contextmanager
def berth(folder: Path) -> Iterator[Path]:
    """Yield the first free folder, held until the end.

    raises : OSError if none can be made
    """
    for n in count():
        mine = folder / f"process-{n}"
        mine.mkdir(parents=True, exist_ok=True)
        lock = os.open(mine / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if is_taken(lock):
                continue
            yield mine
            return
        finally:
            os.close(lock)


def berths(folder: Path) -> list[Path]:
    """Return the folders that processes have, or have had."""
    return sorted(folder.glob("process-*"))


def waiting_beside(settings: Settings) -> int:
    """Return how many rows wait beside the log, in the spool of whichever process."""
    at = settings.database
    spools = [spool_path(at)] if isinstance(at, Path) else _spools(beside_log(settings))
    return sum(map(waiting_in, spools))


def left_behind(folder: Path) -> Iterator[Path]:
    """Yield the spools in which rows of a process wait that has ended; each is held by us.

    It may never come again: fewer processes may be wanted than there were.

    raises : OSError if one cannot be opened
    """
    for spool in filter(Path.exists, _spools(folder)):
        lock = os.open(spool.with_name(LOCK), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not is_taken(lock) and waiting_in(spool):
                yield spool
        finally:
            os.close(lock)


def _spools(folder: Path) -> list[Path]:
    """Return the spools of processes; an earlier version had their folders one folder higher."""
    ours = berths(folder)
    return [spool_path(each / "log") for each in [*ours, *(berths(folder.parent) if ours else [])]]
