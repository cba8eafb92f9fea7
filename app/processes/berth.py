"""A folder of its own for each process that serves beside others: the first that is free.

What one process alone may write lies in it: its spool and the answers it has stored. A process that
is started again takes the folder of one that has ended, with all that still waits in it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

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


def is_taken(lock: int) -> bool:
    """Return whether another process holds the lock of an open file; if not, it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
