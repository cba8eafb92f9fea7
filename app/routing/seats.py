"""Where each conversation sits: the arm of its last turn, whose provider has most of it in cache.

Leaving has a price then, and it is put where prices are: into the cost expected of the arms. Nobody
is held against better knowledge, except by tools: their results go to the arm that called them.
Arms are tried out where conversations begin.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

from app.routing.ask import Ask
from app.routing.turn import Ended, Turn
from policy.tokens import LEAST_CACHED

# What large providers promise: a prompt that is long enough is kept so long after its use.
CACHED_S = 300.0
MOST = 100_000
MOST_CALLS = 256
"""Tool calls of one turn that are known again: more would take the seats of other conversations."""


@dataclass(frozen=True, slots=True)
class Seat:
    """The arm of a conversation's last turn, and how much of it that arm's provider has read."""

    arm: str
    tokens: int
    taken_at_s: float


@dataclass(frozen=True, slots=True)
class TurnKeys:
    """What a request is known by: `before` finds the turn it follows, the best key first.

    `after` is what the turn that follows it may look for. Keys are hashes; no text is kept.
    """

    before: tuple[bytes, ...]
    after: tuple[bytes, ...]

    @classmethod
    def of(cls, ask: Ask, tenant: str) -> Self:
        """Return the keys: by the tools that were called, the session, and what was said before.

        Two conversations that have begun with the same words sit together until they are told apart
        by a session or a tool call; their providers' caches do not tell them apart either.
        """
        whose = tenant_key(tenant)
        digest, before = blake2b(whose, digest_size=16), b""
        called: Sequence[str] = ()
        for message in ask.messages:
            if message.get("role") == "assistant":
                before, called = digest.digest(), called_in(message)
            digest.update(json.dumps(message, sort_keys=True).encode())
        named = () if ask.session is None else (_key(b"session", whose, ask.session),)
        heard = () if not before else (before,)
        calls = call_keys(called, (*named, *heard), whose)
        return cls((*calls, *named, *heard), (*named, digest.digest()))


class Seats:
    """The seats of the conversations that were answered last; safe for many threads.

    When there are more than `most`, those that have been quiet longest are forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._seats: OrderedDict[bytes, Seat] = OrderedDict()

    def find(self, keys: TurnKeys) -> Seat | None:
        """Return the seat of the turn that a request follows; no tokens when that is long ago."""
        with self._lock:
            found = next((self._seats[key] for key in keys.before if key in self._seats), None)
        if found is None or self._is_cached(found):
            return found
        return Seat(found.arm, 0, found.taken_at_s)

    def follow(self, turn: Turn, ended: Ended) -> None:
        """Remember who has answered a turn, unless it did not come to its end."""
        if ended.status == "ok":
            calls = call_keys(ended.called, turn.keys, tenant_key(turn.decision.tenant))
            self.take((*turn.keys, *calls), turn.arm.name, ended.usage.tokens)

    def take(self, keys: Collection[bytes], arm: str, tokens: int) -> None:
        """Remember who has answered, and the tokens of the prompt with its answer."""
        seat = Seat(arm, tokens, self._clock())
        with self._lock:
            for key in keys:
                self._seats[key] = seat
                self._seats.move_to_end(key)
            while len(self._seats) > self._most:
                self._seats.popitem(last=False)

    def __len__(self) -> int:
        return len(self._seats)

    def _is_cached(self, seat: Seat) -> bool:
        return seat.tokens >= LEAST_CACHED and self._clock() - seat.taken_at_s <= CACHED_S


def called_in(message: dict[str, Any]) -> tuple[str, ...]:
    """Return the id of every tool call in a message."""
    calls = message.get("tool_calls") or ()
    return tuple(str(call["id"]) for call in calls if call.get("id"))


def call_keys(ids: Sequence[str], keys: Sequence[bytes], whose: bytes) -> tuple[bytes, ...]:
    """Return the keys of the tool calls of these ids, the narrowest first.

    `keys` are those of the turn that called: its session, if it has one, and what was said until
    then. Some providers number the calls of each conversation anew, so an id counts within both;
    then within the session, and last within the tenant, for a client that shortens its history.
    """
    within = (b"".join(keys), *keys[:-1], whose)
    return tuple(_key(b"call", each, name) for each in within for name in ids[:MOST_CALLS])


def tenant_key(tenant: str) -> bytes:
    """Return the key within which all that a tenant asks is known."""
    return _key(b"tenant", b"", tenant)


def _key(kind: bytes, within: bytes, name: str) -> bytes:
    named = within + name.encode(errors="replace")
    return blake2b(named, digest_size=16, person=kind).digest()
