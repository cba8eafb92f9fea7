"""When something is left alone: a circuit breaker whose every moment is an argument.

Closed, the arm is asked. Open, it is left alone until a moment. After that it is half-open: one
request tries it out, and what comes of that closes it, or opens it again for longer.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from policy.errors import UpstreamBusy, UpstreamError, UpstreamUnauthorised
from upstream.refusals import FORBIDDEN, GONE

State = Literal["closed", "open", "half-open"]

IN_A_ROW = 3
WINDOW = 20
OF_THE_WINDOW = 10
FIRST_OPEN_S, LONGEST_OPEN_S = 5.0, 15.0
CALM_S = 60.0
REFUSED_S = 60.0
# No money, no such model: like a refused key, nothing that the next second mends.
LASTING = frozenset({402, 404})


@dataclass(slots=True)
class Breaker:
    """The breaker of one arm, or of the arms that share a quota.

    `until_s` is when it may be tried out, `waits` whether the provider itself named that moment,
    `next_open_s` how long it will be left alone the next time, `trials` how many calls that try it
    out are under way. Not safe for many threads by itself.

    units  : every moment in seconds of one clock that never goes back

    >>> breaker = Breaker()
    >>> for moment_s in (1.0, 2.0, 3.0):
    ...     breaker.fail(UpstreamError("it broke", arm="a"), begun_s=moment_s, now_s=moment_s)
    >>> breaker.state(4.0), breaker.state(8.0)
    ('open', 'half-open')
    """

    results: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    failures_in_a_row: int = 0
    next_open_s: float = FIRST_OPEN_S
    opened_s: float = -math.inf
    closed_s: float = -math.inf
    until_s: float = -math.inf
    waits: bool = False
    trials: int = 0
    why: str = ""

    def state(self, now_s: float) -> State:
        """Return whether it is asked, left alone, or to be tried out."""
        if not self.why:
            return "closed"
        return "open" if now_s < self.until_s else "half-open"

    def answer(self, *, begun_s: float, now_s: float) -> None:
        """Record that content has come, whatever becomes of the rest: it lives.

        A call from before the breaker opened proves nothing about the time since.
        """
        if self.why and begun_s >= self.opened_s:
            self.why, self.waits = "", False
            self.closed_s, self.until_s = now_s, -math.inf

    def succeed(self) -> None:
        """Record that an answer has come to its end."""
        self.results.append(True)
        self.failures_in_a_row = 0

    def fail(
        self, error: UpstreamError, *, begun_s: float, now_s: float, at_once: bool = False
    ) -> None:
        """Record a failure; open if it is one too many, or the first when `at_once`."""
        self.results.append(False)
        self.failures_in_a_row += 1
        if self.why and begun_s < self.opened_s:
            return  # every call that was under way when it opened brings the same news
        if self.why or at_once or _is_plain(error) or self._has_failed_too_often:
            self._open(error, now_s)

    def _open(self, error: UpstreamError, now_s: float) -> None:
        """Leave it alone for as long as the failure says, else longer each time, up to a limit."""
        if not self.why and now_s - self.closed_s > CALM_S:
            self.next_open_s = FIRST_OPEN_S
        wait_s = _lasts_s(error) or self.next_open_s
        self.next_open_s = min(2 * self.next_open_s, LONGEST_OPEN_S)
        self.opened_s, self.until_s = now_s, max(self.until_s, now_s + wait_s)
        self.waits = isinstance(error, UpstreamBusy) and bool(error.retry_after_s)
        self.why = self._told(error)

    @property
    def _has_failed_too_often(self) -> bool:
        return self.failures_in_a_row >= IN_A_ROW or self._failures >= OF_THE_WINDOW

    @property
    def _failures(self) -> int:
        return len(self.results) - sum(self.results)

    def _told(self, error: UpstreamError) -> str:
        """Return what has opened it."""
        if isinstance(error, UpstreamBusy):
            return "the provider asked us to slow down"
        if _is_plain(error):
            return f"{error.code}, status {error.http_status or 'none'}"
        if self.failures_in_a_row >= IN_A_ROW:
            return f"{self.failures_in_a_row} calls in a row failed"
        if self._failures >= OF_THE_WINDOW:
            return f"{self._failures} of the last {len(self.results)} calls failed"
        return (
            "it failed once more" if self.why else "a call failed while the retry budget was spent"
        )


def _is_plain(error: UpstreamError) -> bool:
    """Return whether one such failure says enough: a wish to be left alone, or a closed door."""
    return isinstance(error, UpstreamBusy) or _lasts_s(error) is not None


def _lasts_s(error: UpstreamError) -> float | None:
    """Return for how long a failure is to be believed; None when nothing says so."""
    is_forbidden = error.http_status == FORBIDDEN
    is_refused = isinstance(error, UpstreamUnauthorised) and not is_forbidden
    if is_refused or error.http_status in LASTING or error.code == GONE:
        return REFUSED_S
    return error.retry_after_s or None
