"""Answers that are given again: which requests may have one, which answers are kept, and for whom.

A cache that fails is a cache that misses: the request goes on, and the lines of the service say so.
"""

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Literal, Self

from structlog import get_logger

from app.ask import Ask
from app.flights import Flights
from app.request_key import RequestKey, is_repeatable
from app.turn import Completion
from policy.errors import StoreUnavailable
from policy.types import Usage
from storage.cache_file import CacheFile, StoredAnswer
from upstream.recall import Said

LOGGER = get_logger()

CacheMode = Literal["off", "asked", "exact"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set: who uses the cache, and how old an answer may be.

    `asked` is for requests that say `cache`, `exact` for all that do not say no. An answer older
    than `fresh_s` but not than `stale_s` is only given where nobody answers.
    """

    mode: CacheMode
    fresh_s: float
    stale_s: float


@dataclass(slots=True)
class Counted:
    """How often the cache was asked since the start, and what it said."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    evicted: int = 0


class Cache:
    """The stored answers as requests see them; safe for many threads. Without a file it is off."""

    def __init__(self, rules: Rules, file: CacheFile | None) -> None:
        self.rules = rules
        self.flights = Flights()
        self._file = file
        self._lock = threading.Lock()
        self._counted = Counted()

    def visit(self, ask: Ask, tenant: str, arms: Collection[str]) -> "Visit":
        """Return the dealings of one request with the cache, which must be left in any case.

        Of requests that are the same at the same time all but the first wait here until the first
        has left. Only an answer of one of `arms` is found.
        """
        served = self._file is not None and ask.cache != "off" and is_repeatable(ask)
        if not served or (ask.cache is None and self.rules.mode == "asked"):
            return Visit(self, None, tenant, arms)
        visit = Visit(self, RequestKey.of(ask, tenant), tenant, arms)
        if ask.cache != "refresh":
            visit.look()
        return visit

    def find(self, key: RequestKey, arms: Collection[str], age_s: float) -> StoredAnswer | None:
        """Return an answer that is at most so old, None without one.

        One from the future is not given: the clock was set back, and nobody knows its age.
        """
        with self._or_nothing() as file:
            stored, now_s = file.get(key.key), time.time()
            if stored and stored.arm in arms and 0 <= now_s - stored.created_at_s <= age_s:
                file.touch(stored.key, now_s)
                return stored
        return None

    def keep(self, answer: StoredAnswer) -> None:
        """Record an answer that may be given again."""
        with self._or_nothing() as file:
            file.put(answer)

    def evict(self, decision_id: str, tenant: str) -> None:
        """Forget the answer of a decision, which somebody did not like."""
        if self._file is not None:
            with self._or_nothing() as file:
                self.count("evicted", len(file.evict(decision_id, tenant)))

    def clear(self) -> int:
        """Forget every answer, and return how many there were.

        raises : StoreUnavailable
        """
        return 0 if self._file is None else self._file.clear()

    def count(self, what: Literal["hits", "misses", "stale", "evicted"], n: int = 1) -> None:
        """Add to what is counted since the start."""
        with self._lock:
            setattr(self._counted, what, getattr(self._counted, what) + n)

    def figures(self) -> dict[str, Any]:
        """Return what is held, and what has been counted since the start."""
        counted = asdict(self._counted)
        asked = counted["hits"] + counted["misses"]
        held = None if self._file is None else self._file.held
        return {
            "mode": self.rules.mode,
            "answers": 0 if held is None else held.answers,
            "bytes": 0 if held is None else held.bytes,
            "since_start": {**counted, "hit_rate": counted["hits"] / asked if asked else None},
        }

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @contextmanager
    def _or_nothing(self) -> Iterator[CacheFile]:
        """Yield the file; where it fails, what was to be done with it is left undone and told."""
        if self._file is None:
            raise AssertionError("a cache that is off was asked")
        try:
            yield self._file
        except StoreUnavailable as error:
            LOGGER.warning("the cache failed", reason=error.message)


class Visit:
    """One request's dealings with the cache: what it finds there, and what it leaves."""

    def __init__(
        self, cache: Cache, key: RequestKey | None, tenant: str, arms: Collection[str]
    ) -> None:
        self.found: StoredAnswer | None = None
        self._cache = cache
        self._key = key
        self._tenant = tenant
        self._arms = arms
        self._leads = False

    def look(self) -> None:
        """Find a fresh answer, once nobody else is getting the same."""
        if self._key is None:
            return
        self._leads = self._cache.flights.join(self._key.key)
        self.found = self._cache.find(self._key, self._arms, self._cache.rules.fresh_s)
        self._cache.count("misses" if self.found is None else "hits")
        if self.found is not None:
            self.leave()

    def stale(self) -> StoredAnswer | None:
        """Return an answer for want of a better one, which may be old; None without one."""
        found = self._old()
        if found is not None:
            self._cache.count("stale")
        return found

    def has_stale(self) -> bool:
        """Return whether there is an answer for want of a better one."""
        return self._old() is not None

    def _old(self) -> StoredAnswer | None:
        if self._key is None:
            return None
        return self._cache.find(self._key, self._arms, self._cache.rules.stale_s)

    def keep(self, completion: Completion) -> None:
        """Leave an answer for others, if it is whole and fresh."""
        if self._key is not None and _is_whole(completion):
            self._cache.keep(_stored(self._key, self._tenant, completion))

    def leave(self) -> None:
        """Let those who wait for the same go on."""
        if self._leads and self._key is not None:
            self._leads = False
            self._cache.flights.land(self._key.key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()


def said(stored: StoredAnswer) -> Said:
    """Return a stored answer as it is sent again."""
    usage = Usage(
        stored.input_tokens, stored.output_tokens, stored.cached_tokens, stored.usage_estimated
    )
    return Said(stored.text, stored.model, usage, stored.created_at_s)


def _is_whole(completion: Completion) -> bool:
    """Return whether an answer came from a provider, to its own end, and is nothing but a text."""
    ended = completion.ended
    choices = completion.data.get("choices") or [{"message": {}}]
    acts = {"tool_calls", "function_call", "refusal", "audio"} & {
        name for name, value in choices[0]["message"].items() if value
    }
    whole = ended.status == "ok" and ended.finish_reason == "stop"
    asked = completion.turn.cache == "miss"
    return whole and asked and not acts and bool(completion.text.strip())


def _stored(key: RequestKey, tenant: str, completion: Completion) -> StoredAnswer:
    turn, usage = completion.turn, completion.ended.usage
    return StoredAnswer(
        key=key.key,
        kin=key.kin,
        likeness=b"",
        tenant=tenant,
        decision_id=turn.decision.id,
        arm=turn.arm.name,
        model=completion.model,
        text=completion.text,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        usage_estimated=usage.estimated,
        cost_usd=completion.cost_usd,
        created_at_s=time.time(),
    )
