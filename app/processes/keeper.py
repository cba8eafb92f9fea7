"""The service's chores, twice a second: take what jobs hand over, follow keys and arms, save."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from structlog import get_logger

from app.answers.cache import CLOCKS_APART_S, Cache
from app.answers.clearing import NOTHING, follow
from app.keys.keyring import Keyring
from app.monitoring.traffic import Following
from app.processes.berth import left_behind
from app.routing.live import Live
from jobs.intake import FORGET, records
from jobs.requests import busy_s
from policy.errors import StoreUnavailable, TurnpikeError
from storage.handover import take
from storage.log import Log
from upstream.catalogue import Catalogue

LOGGER = get_logger()
EVERY_S = 0.5
ABANDON_EVERY_S = 60.0
COUNT_EVERY_S = 10.0
SET_AHEAD_S = 5.0
"""A clock that is corrected bit by bit gains less between two looks."""


def abandon(log: Log, now_s: float, before_s: float) -> None:
    """Record an end for decisions made before a moment that will get none."""
    lost = log.abandon(before_s, now_s)
    if lost:
        LOGGER.warning("decisions without an end were abandoned", count=lost)


class Keeper(threading.Thread):
    """Looks after the log's intake, keys, the catalogue, snapshots and stored answers."""

    def __init__(
        self,
        data: Path,
        log: Log,
        live: Live,
        catalogue: Callable[[], Catalogue],
        cache: Cache,
        traffic: Following,
        keyring: Keyring,
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._data = data
        self._log = log
        self._live = live
        self._catalogue = catalogue
        self._cache = cache
        self._traffic = traffic
        self._counted_at_s = -COUNT_EVERY_S
        self._stopping = threading.Event()
        self._abandoned_s = 0.0
        self._ahead_s, self._not_before_s = time.time() - time.monotonic(), 0.0
        self._erased_s = 0.0
        self._failing: set[str] = set()
        self._heard = NOTHING
        self._chores: dict[str, Callable[[float], None]] = {
            "take over spools": self._take_over,
            "bring back": self._bring_back,
            "take handovers": self._take,
            "abandon": self._abandon,
            "follow keys": lambda _now_s: keyring.follow(),
            "share budgets": live.share,
            "follow the catalogue": lambda now_s: live.follow(catalogue().arms.values(), now_s),
            "save": lambda _now_s: live.snapshot_when_due(),
            "prune stored answers": lambda _now_s: cache.prune(),
            "follow erasures": self._follow_erasures,
            "follow clearing": self._follow_clearing,
            "count": self._count,
        }

    def run(self) -> None:
        """Do the chores until stopped."""
        while not self._stopping.wait(EVERY_S):
            self.round()

    def round(self) -> None:
        """Do every chore once; one that fails keeps no other from being done, and is told once."""
        for name, chore in self._chores.items():
            if self._stopping.is_set():
                return
            try:
                chore(time.time())
            except (TurnpikeError, OSError, MemoryError):
                if name not in self._failing:
                    LOGGER.exception("chore not done, is tried again until it is", chore=name)
                self._failing.add(name)
            else:
                self._failing.discard(name)

    def _take_over(self, _now_s: float) -> None:
        for spool in left_behind(self._data):
            self._log.take_over(spool)

    def _bring_back(self, _now_s: float) -> None:
        with suppress(StoreUnavailable):  # it has told so itself
            if self._log.standing.is_behind or self._log.unwiped:
                self._log.bring_back()

    def _take(self, now_s: float) -> None:
        for taken in take(self._data / "handover", self._log, records, now_s):
            tell = LOGGER.error if taken.status == "rejected" else LOGGER.info
            tell("handover", status=taken.status, parcel=taken.path.name, reason=taken.reason)

    def _count(self, now_s: float) -> None:
        if now_s - self._counted_at_s >= COUNT_EVERY_S:
            # A piece each round, until who opens a page finds nearly all of it added up.
            more = self._traffic.advance()
            self._counted_at_s = now_s - COUNT_EVERY_S if more else now_s

    def _follow_erasures(self, _now_s: float) -> None:
        """Add up anew what was added up of somebody who is forgotten, by tenant."""
        erased_s = self._log.received_at_s(FORGET)
        if erased_s > self._erased_s:
            self._traffic.begin_anew(erased_s + CLOCKS_APART_S)
            self._erased_s = erased_s

    def _follow_clearing(self, _now_s: float) -> None:
        self._heard = follow(self._cache, self._log, self._heard)

    def _abandon(self, now_s: float) -> None:
        """Give an end to decisions that no request can be busy with any more; once a minute.

        A clock that is set ahead makes those old that are under way: they have their time first.
        """
        if abs(now_s - self._abandoned_s) < ABANDON_EVERY_S:
            return
        lasts_s, steady_s = busy_s(self._catalogue().arms.values()), time.monotonic()
        was_s, self._ahead_s = self._ahead_s, now_s - steady_s
        if self._ahead_s - was_s > SET_AHEAD_S:
            self._not_before_s = steady_s + lasts_s
        if steady_s < self._not_before_s:
            return
        self._abandoned_s, before_s = now_s, now_s - lasts_s
        self._live.forget(before_s, now_s)
        abandon(self._log, now_s, before_s)

    def stop(self) -> None:
        """End the thread, then save what has been learned."""
        self._stopping.set()
        if self.is_alive():
            self.join()
        steps = {
            "shares of budgets": lambda: self._live.share(time.time(), "none"),
            "what was learned": self._live.snapshot,
            "what was added up": self._traffic.save,
        }
        for name, step in steps.items():
            try:
                step()
            except (StoreUnavailable, OSError) as error:  # the next start does a little more
                LOGGER.warning("not kept at the end", what=name, reason=str(error))
