"""How often a key may ask, and how often an address may come with a wrong one; kept in memory."""

import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import NamedTuple

from app.keys.holder import Holder
from policy.errors import RateLimited
from policy.types import DAY_S, HOUR_S

MOST = 100_000
"""Requests in one window: each is remembered until the window has passed it."""
UNITS_S = {
    "second": 1.0,
    "minute": 60.0,
    "hour": HOUR_S,
    "day": DAY_S,
    "month": 30 * DAY_S,
    "year": 365 * DAY_S,
}
RATE = re.compile(
    rf"(\d{{1,6}}) *(?:/|per) *(\d{{1,6}})? *({'|'.join(UNITS_S)})s?", re.ASCII | re.IGNORECASE
)
LOOKED_AT = 2


class RateLimit(NamedTuple):
    """So many requests within any stretch of so many seconds."""

    amount: int
    within_s: float


WRONG_KEYS = RateLimit(20, 60.0)


@dataclass(frozen=True, slots=True)
class RateStanding:
    """How a key stands against its limit."""

    limit: int
    left: int
    reset_s: float


@dataclass(slots=True)
class _Window:
    """When somebody came, the first before the last, as far back as the rate looks."""

    rate: RateLimit
    came_s: deque[float] = field(default_factory=deque)

    def standing(self, now_s: float) -> RateStanding:
        while self.came_s and self.came_s[0] < now_s - self.rate.within_s:
            self.came_s.popleft()
        reset_s = self.rate.within_s - (now_s - self.came_s[0]) if self.came_s else 0.0
        return RateStanding(self.rate.amount, self.rate.amount - len(self.came_s), reset_s)


class Rates:
    """Moving windows: at no moment more than the limit within the time before it.

    Each who comes looks at two others and forgets those whose time is over, so that what is kept,
    and what a request costs, follows who has come lately. Safe for many threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows = OrderedDict[str, _Window]()

    def __len__(self) -> int:
        """Return how many keys and addresses are remembered."""
        return len(self._windows)

    def hit(self, holder: Holder) -> RateStanding | None:
        """Return how a key stands after one more request; None where it has no limit.

        raises : RateLimited with the seconds until there is room again
        """
        if holder.rate_limit is None or holder.key_id is None:
            return None
        rate = parsed(holder.rate_limit)
        standing, is_let_in = self._come(rate, f"key {holder.key_id}")
        if not is_let_in:
            raise RateLimited(
                f"the key's limit is {holder.rate_limit}, and is reached; ask again in "
                f"{ceil(standing.reset_s)} s",
                retry_after_s=standing.reset_s,
            )
        return standing

    def standing(self, holder: Holder) -> RateStanding | None:
        """Return how a key stands now; None where it has no limit."""
        if holder.rate_limit is None or holder.key_id is None:
            return None
        with self._lock:
            rate = parsed(holder.rate_limit)
            window = self._windows.get(f"key {holder.key_id}") or _Window(rate)
            return window.standing(self._clock())

    def wrong_key(self, address: str) -> None:
        """Count a wrong key from an address.

        raises : RateLimited for one that has sent too many; a right key is served all the same
        """
        standing, is_let_in = self._come(WRONG_KEYS, f"address {address}")
        if not is_let_in:
            raise RateLimited(
                f"{WRONG_KEYS.amount} wrong keys came from your address within a minute; send a "
                "right one",
                retry_after_s=standing.reset_s,
            )

    def _come(self, rate: RateLimit, who: str) -> tuple[RateStanding, bool]:
        """Return how somebody stands who comes now, and whether there was room."""
        with self._lock:
            now_s = self._clock()
            self._forget(now_s)
            window = self._windows.get(who)
            if window is None or window.rate != rate:
                window = self._windows[who] = _Window(rate)
            if window.standing(now_s).left <= 0:
                return window.standing(now_s), False
            window.came_s.append(now_s)
            return window.standing(now_s), True

    def _forget(self, now_s: float) -> None:
        """Look at those who were not looked at for longest: keep who has come within their time."""
        for _ in range(min(LOOKED_AT, len(self._windows))):
            who, window = self._windows.popitem(last=False)
            if window.standing(now_s).left < window.rate.amount:
                self._windows[who] = window


@lru_cache(maxsize=1_024)
def parsed(rate: str) -> RateLimit:
    """Return a rate such as `60/minute`.

    raises : ValueError if it is none, or of more requests than are remembered

    >>> parsed("5 per 2 minutes")
    RateLimit(amount=5, within_s=120.0)
    """
    found = RATE.fullmatch(rate.strip())
    amount, times = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
    if found is None or not 0 < amount <= MOST or times == 0:
        raise ValueError(
            f"{rate!r} is no rate; it must be like 60/minute or 5/second, of at most {MOST}"
        )
    return RateLimit(amount, times * UNITS_S[found[3].lower()])
