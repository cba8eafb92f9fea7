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
    logs = [at] if isinstance(at, Path) else [each / "log" for each in berths(beside_log(settings))]
    return sum(waiting_in(spool_path(log)) for log in logs)
