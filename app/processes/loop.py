"""The loop that serves: what would hold it up runs beside it, on a thread of its own."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import gevent
from gevent import get_hub, monkey

T = TypeVar("T")


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


def _whole(work: Callable[[], T]) -> T:
    """Return what the work gives, after waking on the loop who waits for a lock that it let go.

    A lock that was waited for on this thread leaves that to this thread's own loop, which nobody
    runs: whoever waits for it would wait until the next work here.
    """
    try:
        return work()
    finally:
        gevent.sleep(0)
