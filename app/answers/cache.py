"""Answers that are given again: which requests may have one, which answers are kept, and for whom.

A cache that fails is a cache that misses: the request goes on, and the lines of the service say so.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from structlog import get_logger

from app.answers.flights import Flights
from app.answers.request_key import RequestKey, is_repeatable
from app.answers.similar import Similar
from app.answers.stored import as_stored, is_whole
from app.routing.ask import Ask
from app.routing.turn import Completion
from features.likeness import Likeness
from policy.errors import StoreUnavailable
from storage.cache_file import CacheFile, StoredAnswer
from storage.events import Event, FeedbackEvent
from storage.lookups import Lookups

LOGGER = get_logger()
PRUNE_EVERY_S = 60.0
DOWN = 0.5  # a lower reward says that the answer is not to be given again
CLOCKS_APART_S = 60.0  # between processes that share a log
LATE_THUMBS = 1_000  # of how many thumbs down it is known that their answer may still be streaming

CacheMode = Literal["off", "asked", "exact", "semantic"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set: who uses the cache, and how old an answer may be.

    `asked` is for requests that say `cache`, `exact` for all that do not say no, and `semantic`
    is `exact`, and gives an answer to the same question in other words too. An answer older than
    `fresh_s` but not than `stale_s` is only given where nobody answers.
    """

    mode: CacheMode
    fresh_s: float
    stale_s: float


class Cache:
    """The stored answers as requests see them; safe for many threads. Without a file it is off."""

    def __init__(self, rules: Rules, file: CacheFile | None, similar: Similar | None) -> None:
        self.rules = rules
        self.flights = Flights()
        self._file = file
        self._similar = similar
        if file is not None and similar is not None:
            similar.load(file.likenesses())
        self._lock = threading.Lock()
        self._counted = Counter(hits=0, misses=0, stale=0, evicted=0)
        self._disliked = deque[str](maxlen=LATE_THUMBS)
        self._pruned_s = 0.0

    def visit(self, ask: Ask, tenant: str, arms: Collection[str]) -> "Visit":
        """Return the dealings of one request with the cache, which must be left in any case.

        Of requests that are the same at the same time all but the first wait here until the first
        has left. Only an answer of one of `arms` is found.
        """
        served = self._file is not None and ask.cache != "off" and is_repeatable(ask)
        if not served or (ask.cache is None and self.rules.mode == "asked"):
            return Visit(self, None, tenant, arms)
        visit = Visit(self, SoughtAnswer(RequestKey.of(ask, tenant), self._similar), tenant, arms)
        if ask.cache != "refresh":
            with ExitStack() as left_early:
                left_early.callback(visit.leave)
                visit.look()
                left_early.pop_all()
        return visit

    def find(
        self, sought: "SoughtAnswer", arms: Collection[str], age_s: float
    ) -> StoredAnswer | None:
        """Return an answer that is at most so old, None without one.

        One from the future is not given: the clock was set back, and nobody knows its age.
        """
        with self._or_nothing() as file:
            for key in sought.candidates():
                stored, now_s = file.get(key), time.time()
                if stored and stored.arm in arms and 0 <= now_s - stored.created_at_s <= age_s:
                    file.touch(key, now_s)
                    return stored
        return None

    def keep(self, answer: StoredAnswer) -> None:
        """Record an answer that may be given again, unless it was disliked before it was whole."""
        with self._or_nothing() as file:
            self._forget(file.put(answer))
            if self._similar is not None:
                self._similar.add(answer)
        if answer.decision_id in self._disliked:  # looked at last: a thumb now finds it there
            self._evict(answer.decision_id, answer.tenant)

    def prune(self) -> None:
        """Forget what is too old for anybody; at most once a minute."""
        now_s = time.time()
        if self._file is not None and abs(now_s - self._pruned_s) > PRUNE_EVERY_S:
            self._pruned_s = now_s
            with self._or_nothing() as file:
                self._forget(file.prune(now_s))

    def follow(self, events: Sequence[Event]) -> None:
        """Forget each answer that somebody did not like, whichever process was told so."""
        for event in events:
            if not isinstance(event, FeedbackEvent):
                continue
            if event.reward is not None and event.reward < DOWN:
                disliked = event.answer_of or event.decision_id
                self._disliked.append(disliked)
                self._evict(disliked, event.tenant)

    def catch_up(self, log: Lookups) -> None:
        """Forget each answer that somebody did not like while nobody here was told.

        And each whose decision the log lacks, because an older copy was put in its place.

        raises : StoreUnavailable if the log cannot be read
        """
        oldest_s, made_by = None, dict[str, str]()
        with self._or_nothing() as file:
            oldest_s, made_by = file.oldest_s(), file.made_by()
        for lost in log.lacks(list(made_by)):
            self._evict(lost, made_by[lost])
        if oldest_s is not None:
            for each in log.disliked(oldest_s - CLOCKS_APART_S, DOWN):
                self._evict(each.decision_id, each.tenant)

    def _evict(self, decision_id: str, tenant: str) -> None:
        if self._file is not None:
            with self._or_nothing() as file:
                keys = file.evict(decision_id, tenant)
                self._forget(keys)
                self.count("evicted", len(keys))

    def forget(self, until_s: float) -> None:
        """Forget every answer up to a moment: somebody is forgotten, whose it may be.

        raises : StoreUnavailable
        """
        if self._file is not None:
            self._forget(self._file.forget(until_s))

    def clear(self) -> int:
        """Forget every answer, and return how many there were.

        raises : StoreUnavailable
        """
        if self._file is None:
            return 0
        keys = self._file.clear()
        self._forget(keys)
        return len(keys)

    def count(self, what: Literal["hits", "misses", "stale", "evicted"], n: int = 1) -> None:
        """Add to what is counted since the start."""
        with self._lock:
            self._counted[what] += n

    def figures(self) -> dict[str, Any]:
        """Return what is held, and what has been counted since the start."""
        counted = dict(self._counted)
        asked = counted["hits"] + counted["misses"]
        held = None if self._file is None else self._file.held
        return {
            "mode": self.rules.mode,
            "answers": 0 if held is None else held.answers,
            "bytes": 0 if held is None else held.bytes,
            "since_start": {**counted, "hit_rate": counted["hits"] / asked if asked else None},
        }

    def _forget(self, keys: list[bytes]) -> None:
        if self._similar is not None:
            self._similar.forget(keys)

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


class SoughtAnswer:
    """A request as it is looked for; what its question is like is worked out once, when needed."""

    def __init__(self, request: RequestKey, similar: Similar | None) -> None:
        self.request = request
        self._similar = similar

    @cached_property
    def likeness(self) -> Likeness | None:
        """Return what is compared of the question; None where only the very same will do."""
        if self._similar is None or not self.request.question:
            return None
        return self._similar.likeness(self.request.question)

    def candidates(self) -> Iterator[bytes]:
        """Yield the keys under which an answer may be, the best first."""
        yield self.request.key
        if self._similar is not None and self.likeness is not None:
            yield from self._similar.find(self.request.kin, self.likeness)


class Visit:
    """One request's dealings with the cache: what it finds there, and what it leaves."""

    def __init__(
        self, cache: Cache, sought: SoughtAnswer | None, tenant: str, arms: Collection[str]
    ) -> None:
        self.found: StoredAnswer | None = None
        self._cache = cache
        self._sought = sought
        self._tenant = tenant
        self._arms = arms
        self._flight: threading.Event | None = None

    def look(self) -> None:
        """Find a fresh answer, once nobody else is getting the same."""
        if self._sought is None:
            return
        self._flight = self._cache.flights.join(self._sought.request.key)
        self.found = self._cache.find(self._sought, self._arms, self._cache.rules.fresh_s)
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
        if self._sought is None:
            return None
        return self._cache.find(self._sought, self._arms, self._cache.rules.stale_s)

    def keep(self, completion: Completion) -> None:
        """Leave an answer for others, if it is whole and fresh, and let those who wait have it."""
        sought = self._sought
        if sought is not None and is_whole(completion):
            answer = as_stored(sought.request, sought.likeness, self._tenant, completion)
            self._cache.keep(answer)
        self.leave()

    def leave(self) -> None:
        """Let those who wait for the same go on."""
        if self._flight is not None and self._sought is not None:
            flight, self._flight = self._flight, None
            self._cache.flights.land(self._sought.request.key, flight)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.leave()
