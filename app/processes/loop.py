"""The loop that serves: what would hold it up runs beside it, on a thread of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import gevent
from gevent import get_hub, monkey

T = TypeVar("T")
PIECE = 8_192
"""So many bytes are read at once: of chunks of one byte each that takes some fifty milliseconds."""


def beside(work: Callable[[], T]) -> T:
    """Return what the work gives; while it waits for the disk, the loop serves others.

    Where no loop serves, as in a command, the work is simply done.
    """
    if not monkey.is_module_patched("threading"):
        return work()
    done: T = get_hub().threadpool.apply(_whole, (work,))
    return done


def within(seconds: float, error: type[Exception]) -> AbstractContextManager[object]:
    """Return what raises the error in whatever waits in it for longer than so.

    Where no loop serves there is nobody to give it up, and it waits.
    """
    if not monkey.is_module_patched("threading"):
        return nullcontext()
    deadline: AbstractContextManager[object] = gevent.Timeout(seconds, error)
    return deadline


def in_turns(read: Callable[[int], bytes], most: int) -> Iterator[bytes]:
    """Yield at most so many bytes of what is read, piece by piece, and let others be served.

    A socket that has more to read never waits: whoever sends on would have the loop for itself.
    """
    while most > 0 and (piece := read(min(most, PIECE))):
        yield piece
        most -= len(piece)
        if len(piece) == PIECE:  # of waits of no time at all it takes fifty before it looks round
            time.sleep(1e-6)


def _whole(work: Callable[[], T]) -> T:
    """Return what the work gives, after waking on the loop who waits for a lock that it let go.

    A lock that was waited for on this thread leaves that to this thread's own loop, which nobody
    runs: whoever waits for it would wait until the next work here.
    """
    try:
        return work()
    finally:
        gevent.sleep(0)
