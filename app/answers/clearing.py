"""Stored answers that are to be forgotten by every process: all were cleared, or somebody erased.

One process is asked, the log tells the others; one that is not running is told at its start.
"""

import time

from app.answers.cache import CLOCKS_APART_S, Cache
from jobs.intake import FORGET
from policy.errors import StoreUnavailable
from storage.latest import Latest
from storage.log import Log

Heard = tuple[int, float]
"""How often all were cleared, and when somebody was last erased."""
NAME = "clearing"
NOTHING: Heard = (0, 0.0)


def clear(cache: Cache, log: Log) -> int:
    """Forget every stored answer, and return how many this process had.

    raises : StoreUnavailable if not all processes could be told; what was here is gone all the same
    """
    evicted = cache.clear()
    try:
        while not _told(log):
            continue  # another cleared at the same time, maybe before an answer that was here
    except StoreUnavailable as error:
        raise StoreUnavailable(
            "what this process had stored is forgotten, but others that share the log cannot be "
            f"told: {error.message}; try again"
        ) from error
    return evicted


def _told(log: Log) -> bool:
    return log.replace(Latest.after(log.latest(NAME), NAME, time.time(), {})).wait()


def follow(cache: Cache, log: Log, heard: Heard = NOTHING) -> Heard:
    """Forget what is to be forgotten since something else was heard, and return what is heard now.

    raises : StoreUnavailable
    """
    cleared, erased_s = log.latest(NAME), log.received_at_s(FORGET)
    version, at_s = (0, 0.0) if cleared is None else (cleared.version, cleared.at_s)
    if (version, erased_s) != heard:
        cache.forget(max(at_s, erased_s) + CLOCKS_APART_S)
    return version, erased_s
