"""The loop that serves: what would hold it up runs beside it, on a thread of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import gevent
from gevent import get_hub, monkey
from gevent.lock import BoundedSemaphore, Semaphore
from gevent.thread import LockType

T = TypeVar("T")
PIECE = 8_192
"""So many bytes are read at once: of chunks of one byte each that takes some fifty milliseconds."""


def keep_locks() -> None:
    """Have whoever waits for a lock woken through this loop, on whatever thread it is let go.

    A lock of gevent's belongs to the loop of the thread that took it last, if there is one: a
    thread beside the loop cannot wake who waits on it, who then waits until somebody on the loop
    has the same lock (gevent's issue 2013).
    """
    loop, acquire = get_hub(), LockType.acquire

    def made(lock: LockType) -> None:
        BoundedSemaphore.__init__(lock, 1, loop)

    def taken(lock: LockType, blocking: bool = True, timeout: float = -1) -> bool:
        while True:
            try:
                return bool(acquire(lock, blocking, timeout))
            except AssertionError:  # another thread took it between the waking and the taking
                continue

    def let_go(lock: LockType, *_: object) -> None:
        if lock.counter:
            raise RuntimeError("a lock was let go that nobody had")
        Semaphore.release(lock)

    LockType.__init__, LockType.acquire = made, taken
    LockType.release = LockType.__exit__ = let_go


def beside(work: Callable[[], T]) -> T:
    """Return what the work gives; while it waits for the disk, the loop serves others.

    Where no loop serves, as in a command, the work is simply done.
    """
    if not monkey.is_module_patched("threading"):
        return work()
    done: T = get_hub().threadpool.apply(work)
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
