"""The loop that serves: what would hold it up runs beside it, on a thread of its own."""

from collections.abc import Callable
from typing import TypeVar

from gevent import get_hub, monkey

T = TypeVar("T")


def beside(work: Callable[[], T]) -> T:
    """Return what the work gives; while it waits for the disk, the loop serves others.

    Where no loop serves, as in a command, the work is simply done.
    """
    if not monkey.is_module_patched("threading"):
        return work()
    done: T = get_hub().threadpool.apply(work)
    return done
