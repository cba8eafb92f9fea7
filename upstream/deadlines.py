"""How long one upstream call may still take: to connect, to begin, between chunks, in all.

A socket's own timeout starts again with every byte, so a provider that sends one byte now and then
is never late for it. These deadlines are points in time: every wait on a socket asks what is left.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from policy.errors import CallerGone
from policy.types import Timeouts

LOOK_EVERY_S = 0.5
_DRAIN_S = 0.25


class Deadline:
    """The deadlines of one call, counted from its making.

    `read_s` is how much of that time whoever reads what comes has taken, and not who sends it.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeouts = timeouts
        self._is_awaited = AWAITED.get()
        self._require_time = REQUIRE_TIME.get()
        self._clock = clock
        self._started = clock()
        self._total_at = self._started + timeouts.total_s
        self._next_at = self._started + timeouts.first_content_s
        self._look_at = self._started + LOOK_EVERY_S
        self._has_content = False
        self.read_s = 0.0

    def elapsed_s(self) -> float:
        """Return the seconds since the call began."""
        return self._clock() - self._started

    def left_s(self) -> float:
        """Return the seconds until the next deadline; 0 or less when it has passed."""
        return min(self._total_at, self._next_at) - self._clock()

    def connect_s(self) -> float:
        """Return the seconds a connection may take to be made now."""
        return min(self._timeouts.connect_s, self.left_s())

    def wait_for_more(self) -> None:
        """Record that content has come and the next wait begins, which may be `idle_s` long.

        raises : what REQUIRE_TIME raises once nothing may go on
        """
        self._require_time()
        self._next_at = self._clock() + self._timeouts.idle_s
        self._has_content = True

    def wait_no_shorter(self) -> None:
        """Record that something has come that is no content: another `idle_s` may follow.

        raises : what REQUIRE_TIME raises once nothing may go on
        """
        self._require_time()
        self._next_at = max(self._next_at, self._clock() + self._timeouts.idle_s)

    def wait_for_end(self) -> None:
        """Record that nothing more is needed: the connection may end, or be given up, soon.

        Then it does not matter any more whether anybody waits: the answer is there.
        """
        self._next_at = self._clock() + _DRAIN_S
        self._look_at = math.inf

    def require_caller(self) -> None:
        """Refuse to go on for nobody; asked before every wait, it looks now and then.

        raises : CallerGone; what REQUIRE_TIME raises once nothing may go on
        """
        now_s = self._clock()
        if now_s < self._look_at:
            return
        self._look_at = now_s + LOOK_EVERY_S
        self._require_time()
        if not self._is_awaited():
            raise CallerGone("the client has closed its connection, so nobody waits for an answer")

    def require_reader(self) -> None:
        """Refuse to blame a provider that was late, or hung up, for a reader who kept it waiting.

        raises : CallerGone if that was most of the time, and more than a provider may be silent
        """
        if self.read_s > max(self.elapsed_s() / 2, self._timeouts.idle_s):
            raise CallerGone(f"the client took {self.read_s:.3g} s to read what had come by then")

    def late(self) -> str:
        """Return in words which deadline comes first."""
        if self._total_at <= self._next_at:
            return f"not finished within {self._timeouts.total_s:g} s"
        if self._has_content:
            return f"no content for {self._timeouts.idle_s:g} s"
        return f"no content within {self._timeouts.first_content_s:g} s"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Hold every socket this thread waits on to this deadline."""
        token = ACTIVE.set(self)
        try:
            yield
        finally:
            ACTIVE.reset(token)


ACTIVE: ContextVar[Deadline] = ContextVar("ACTIVE")
AWAITED: ContextVar[Callable[[], bool]] = ContextVar("AWAITED", default=lambda: True)
"""Whether somebody still waits for what this thread does; asked during long waits."""
REQUIRE_TIME: ContextVar[Callable[[], None]] = ContextVar("REQUIRE_TIME", default=lambda: None)
"""Raises once this thread may not go on at all; called during long waits and between chunks."""
