"""The end of the service: what is under way may finish for a while, then it is cut off honestly."""

import time
from collections.abc import Callable

from flask import Flask, request

from app.api.access import SAFE
from policy.errors import Draining
from upstream.deadlines import REQUIRE_TIME


class Drain:
    """Whether the service is ending, and until when what is under way may go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cut_at: float | None = None

    @property
    def is_begun(self) -> bool:
        """Return whether the service is ending."""
        return self._cut_at is not None

    def begin(self, within_s: float) -> None:
        """Let what is under way go on for so many seconds; to ask again changes nothing."""
        if self._cut_at is None:
            self._cut_at = self._clock() + within_s

    def require_time(self) -> None:
        """Refuse to go on once the time is over.

        raises : Draining
        """
        if self._cut_at is not None and self._clock() > self._cut_at:
            raise Draining("the service was stopped before this answer was whole; ask again")


def install(app: Flask, drain: Drain) -> None:
    """Refuse new requests once the service is ending, and let every call know when to end."""

    def admit() -> None:
        REQUIRE_TIME.set(drain.require_time)
        if drain.is_begun and request.method not in SAFE:
            raise Draining("the service is being stopped and takes no new requests; ask again")

    app.before_request(admit)
