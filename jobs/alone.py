"""Doing what only one process may do at a time: under a lease that is kept while the work lasts."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from policy.errors import StoreUnavailable
from storage.recorder import LogRecorder
from storage.records import Fence

LEASE_S = 60.0
KEEP_EVERY_S = 15.0


@contextmanager
def alone(log: LogRecorder, name: str) -> Iterator[Fence | None]:
    """Yield what is to be shown with the result; None if another process is at it.

    A process that dies leaves its lease for at most a minute; one that sleeps for longer loses it,
    and what it then writes is refused.
    """
    holder = uuid.uuid4().hex
    token = log.lease(name, holder, LEASE_S)
    if token is None:
        yield None
        return
    ended = threading.Event()
    keeping = threading.Thread(target=_keep, args=(log, name, holder, ended), daemon=True)
    keeping.start()
    try:
        yield Fence(name=name, token=token)
    finally:
        ended.set()
        keeping.join()
        with suppress(StoreUnavailable):  # then it ends by itself
            log.give_back(Fence(name=name, token=token))


def _keep(log: LogRecorder, name: str, holder: str, ended: threading.Event) -> None:
    while not ended.wait(KEEP_EVERY_S):
        with suppress(StoreUnavailable):
            log.lease(name, holder, LEASE_S)
