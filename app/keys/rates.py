"""How often a key may ask, and how often an address may come with a wrong one; kept in memory."""

import time
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.keys.holder import Holder
from policy.errors import RateLimited

MOST = 100_000
"""Requests in one window: each is remembered until the window has passed it."""
WRONG_KEYS = parse("20/minute")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands against its limit."""

    limit: int
    left: int
    reset_s: float


class Rates:
    """Moving windows: at no moment more than the limit within the time before it."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, holder: Holder) -> Standing | None:
        """Return how a key stands after one more request; None where it has no limit.

        raises : RateLimited with the seconds until there is room again
        """
        if holder.rate_limit is None or holder.key_id is None:
            return None
        limit = parsed(holder.rate_limit)
        if not self._limiter.hit(limit, holder.key_id):
            raise RateLimited(
                f"the key may ask {limit.amount} times in {limit.get_expiry()} s, and has; ask "
                f"again in {ceil(self._reset_s(limit, holder.key_id))} s",
                retry_after_s=self._reset_s(limit, holder.key_id),
            )
        return self.standing(holder)

    def standing(self, holder: Holder) -> Standing | None:
        """Return how a key stands now; None where it has no limit."""
        if holder.rate_limit is None or holder.key_id is None:
            return None
        limit = parsed(holder.rate_limit)
        stats = self._limiter.get_window_stats(limit, holder.key_id)
        return Standing(limit.amount, stats.remaining, max(stats.reset_time - time.time(), 0.0))

    def wrong_key(self, address: str) -> None:
        """Count a wrong key from an address.

        raises : RateLimited for one that has sent too many; a right key is served all the same
        """
        if not self._limiter.hit(WRONG_KEYS, "wrong", address):
            raise RateLimited(
                f"{WRONG_KEYS.amount} wrong keys came from your address within a minute; send a "
                "right one",
                retry_after_s=self._reset_s(WRONG_KEYS, "wrong", address),
            )

    def _reset_s(self, limit: RateLimitItem, *whose: str) -> float:
        return max(self._limiter.get_window_stats(limit, *whose).reset_time - time.time(), 0.0)


@lru_cache(maxsize=1_024)
def parsed(rate: str) -> RateLimitItem:
    """Return a rate such as `60/minute`.

    raises : ValueError if it is none, or of more requests than are remembered

    >>> parsed("5 per 2 minutes").get_expiry()
    120
    """
    wrong = f"{rate!r} is no rate; it must be like 60/minute or 5/second, of at most {MOST}"
    try:
        limit = parse(rate)
    except ValueError as error:
        raise ValueError(wrong) from error
    if not 0 < limit.amount <= MOST:
        raise ValueError(wrong)
    return limit
