"""The alarms: looked for every few seconds by one process, kept in the log, told to a webhook.

Each change of state is told once: that an alarm was raised, or is over. What could not be told yet
is kept with the alarms and tried again, more and more seldom, also after a restart. Nobody waits.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from math import inf
from typing import Any

from structlog import get_logger

from app.monitoring import webhook
from app.monitoring.lookout import KEPT_S, Alarm, AlarmKey, Lookout, Usual, away
from app.processes.loop import beside
from policy.errors import StoreUnavailable
from storage.latest import Latest
from storage.log import Log
from storage.records import Fence

LOGGER = get_logger()
NAME = "alarms"
LOOK_EVERY_S = 15.0
TELL_EVERY_S = 0.25
LEASE_S = 60.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 600.0
MOST_UNTOLD = 200
NEVER_KEPT = Latest(name=NAME, at_s=-inf, version=0, body={"open": (), "untold": ()})


class Alarms(threading.Thread):
    """Looks, keeps and tells a webhook. Of several processes the one that holds the lease does."""

    def __init__(self, lookout: Lookout, log: Log, url: str | None, holder: str) -> None:
        super().__init__(name="alarms", daemon=True)
        self._lookout = lookout
        self._log = log
        self._url = url
        self._holder = holder
        self._stopping = threading.Event()
        self._usual = -KEPT_S, Usual({}, {})
        self._looked_at_s = self._told_at_s = 0.0
        self._retry_s = 0.0
        self._is_ours: bool | None = None  # not known yet, and if that cannot be asked we tell
        self._token = self._version = 0
        self._untold: list[dict[str, Any]] = []
        self.open: tuple[Alarm, ...] = ()

    def run(self) -> None:
        """Look and tell until stopped; a store that is away is an alarm too."""
        while not self._stopping.wait(TELL_EVERY_S):
            self.round(time.time())

    def round(self, now_s: float) -> None:
        """Look if it is time, and tell one change that has not been told."""
        if not 0.0 <= now_s - self._looked_at_s < LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._look(now_s)
        waits = 0.0 <= now_s - self._told_at_s < self._retry_s
        if self._is_ours is not False and self._untold and not waits:
            self._tell(now_s)

    def stop(self) -> None:
        """End the thread, and let whoever comes next look at once."""
        self._stopping.set()
        if self.is_alive():
            self.join()
        if self._is_ours:
            with suppress(StoreUnavailable):  # then the lease ends by itself
                self._log.give_back(Fence(name=NAME, token=self._token))

    def _look(self, now_s: float) -> None:
        try:
            was_ours, self._is_ours = self._is_ours, self._may_look()
            if not (was_ours and self._is_ours):
                self._read()
            if self._is_ours:
                self._follow(beside(lambda: self._found(now_s)), now_s)
        except StoreUnavailable as error:
            self._follow([away(self._log.standing, error.message, now_s)], now_s, keeps=True)
        except MemoryError:
            LOGGER.exception("alarms not looked for, will be tried again")

    def _may_look(self) -> bool:
        token = self._log.lease(NAME, self._holder, LEASE_S)
        self._token = token or 0
        return token is not None

    def _found(self, now_s: float) -> list[Alarm]:
        if not 0.0 <= now_s - self._usual[0] < KEPT_S:
            self._usual = now_s, self._lookout.usual(now_s)
        were = {alarm.key for alarm in self.open}
        return list(self._lookout.found(now_s, self._usual[1], were))

    def _follow(self, found: Sequence[Alarm], now_s: float, *, keeps: bool = False) -> None:
        """Take what was found for the state; `keeps` what was open and could not be looked at."""
        were = {alarm.key: alarm for alarm in self.open}
        are = {alarm.key: _since(alarm, were) for alarm in found}
        if keeps:
            are = were | are
        raised = [alarm for alarm in are.values() if _is_news(alarm, were)]
        over = [alarm for key, alarm in were.items() if key not in are]
        self.open = tuple(are.values())
        for alarm in raised:
            self._note(alarm, "raised", now_s)
        for alarm in over:
            self._note(alarm, "over", now_s)
        if raised or over:
            self._keep(now_s)

    def _note(self, alarm: Alarm, state: str, now_s: float) -> None:
        tell = LOGGER.warning if state == "raised" else LOGGER.info
        tell(f"alarm {state}", alarm=alarm.name, arm=alarm.about or None, reason=alarm.says)
        if self._url is not None:
            self._untold = [*self._untold, _change(alarm, state, now_s)][-MOST_UNTOLD:]
            self._told_at_s, self._retry_s = 0.0, 0.0

    def _tell(self, now_s: float) -> None:
        """Tell the oldest change; the next try waits twice as long as the last."""
        if self._url is None:
            return
        problem = webhook.post(self._url, self._untold[0])
        self._told_at_s = now_s
        if problem is not None:
            self._retry_s = min(max(2 * self._retry_s, FIRST_RETRY_S), LONGEST_RETRY_S)
            LOGGER.warning("the webhook was not told", reason=problem, again_in_s=self._retry_s)
            return
        self._untold, self._retry_s = self._untold[1:], 0.0
        self._keep(now_s)

    def _read(self) -> None:
        """Take over what the last one to look has kept; and, to look, what it could not keep.

        That the log is away was told by whose turn it was; who comes next tells that it is over.
        """
        kept = self._log.latest(NAME) or NEVER_KEPT
        later = [alarm for alarm in self.open if self._is_ours and alarm.since_s > kept.at_s]
        self._version = kept.version
        self.open = (*(Alarm(**each) for each in kept.body["open"]), *later)
        self._untold = list(kept.body["untold"])

    def _keep(self, now_s: float) -> None:
        body = {"open": [asdict(alarm) for alarm in self.open], "untold": self._untold}
        latest = Latest(name=NAME, at_s=now_s, version=self._version + 1, body=body)
        try:
            if self._log.replace(latest).wait():
                self._version += 1
            else:
                self._is_ours = False  # another has taken over, and is read at the next look
        except StoreUnavailable as error:
            LOGGER.warning("the alarms are not kept", reason=error.message)


def _is_news(alarm: Alarm, were: Mapping[AlarmKey, Alarm]) -> bool:
    """Return whether an alarm is new, or graver or less grave than it was."""
    return alarm.key not in were or were[alarm.key].severity != alarm.severity


def _since(alarm: Alarm, were: Mapping[AlarmKey, Alarm]) -> Alarm:
    """Return the alarm with the moment at which it was first raised."""
    known = were.get(alarm.key)
    return alarm if known is None else replace(alarm, since_s=min(known.since_s, alarm.since_s))


def _change(alarm: Alarm, state: str, now_s: float) -> dict[str, Any]:
    """Return what the webhook is sent; `text` is what chat programs show."""
    about = f" {alarm.about}:" if alarm.about else ""
    text = f"Turnpike: {alarm.name} {state}:{about} {alarm.says}"
    if state == "raised":
        text += f" ({alarm.remedy})"
    identity = f"{alarm.name}:{alarm.about}:{state}:{now_s:.3f}"
    return {"id": identity, "state": state, "at_s": now_s, **asdict(alarm), "text": text}
