"""Clearing the stored answers of every process: one is asked, the log tells the others.

A process that is not running is told at its start.
"""

import time

from app.answers.cache import CLOCKS_APART_S, Cache
from policy.errors import StoreUnavailable
from storage.latest import Latest
from storage.log import Log

NAME = "clearing"


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
    before = log.latest(NAME)
    version = 1 if before is None else before.version + 1
    latest = Latest(name=NAME, at_s=time.time(), version=version, body={})
    return log.replace(latest).wait()


class Clearing:
    """What a process has heard of that."""

    def __init__(self, cache: Cache, log: Log) -> None:
        self._cache = cache
        self._log = log
        self._heard = 0

    def follow(self) -> None:
        """Forget what is to be forgotten since the last look.

        raises : StoreUnavailable
        """
        latest = self._log.latest(NAME)
        if latest is not None and latest.version != self._heard:
            self._cache.forget(latest.at_s + CLOCKS_APART_S)
            self._heard = latest.version
