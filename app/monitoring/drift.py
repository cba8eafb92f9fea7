"""Arms whose provider answers with another model than was asked for: told hourly, and shown."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from structlog import get_logger

from app.routing.turn import Ended, Turn
from policy.types import HOUR_S, Arm
from upstream.naming import answering

LOGGER = get_logger()
TOLD_EVERY_S = HOUR_S


@dataclass(frozen=True, slots=True)
class Drift:
    """How an arm has answered as another model: which last, how often, since when, and when last.

    `billed_as` is the arm whose price is booked; without one in the catalogue, that of the arm. It
    is None where no price is, because the provider says what it bills.
    """

    model: str
    billed_as: str | None
    answers: int
    since_s: float
    last_at_s: float


class Drifts:
    """What has been noticed since the start; safe for many threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._drifts: dict[str, Drift] = {}
        self._told_at_s: dict[str, float] = {}

    def of(self, arm: str) -> Drift | None:
        """Return how an arm has drifted, None if it has not."""
        return self._drifts.get(arm)

    def follow(self, turn: Turn, ended: Ended) -> None:
        """Record an answer of another model; the service's lines tell of each arm once an hour."""
        if ended.model is None:
            return
        answered = answering(turn.arm, ended.model, turn.known.values())
        if answered is turn.arm:
            return
        billed_as: str | None = (answered or turn.arm).name
        price = "unknown, booked as asked" if answered is None else f"that of {billed_as}"
        if ended.usage.billed_usd is not None:
            billed_as, price = None, "as it is billed"
        if self._note(turn.arm, ended.model, billed_as):
            LOGGER.warning("another model answered", **_told(turn.arm, ended.model, price))

    def _note(self, arm: Arm, model: str, billed_as: str | None) -> bool:
        """Record it, and return whether it is to be told."""
        with self._lock:
            now_s, known = self._clock(), self._drifts.get(arm.name)
            answers, since_s = (0, now_s) if known is None else (known.answers, known.since_s)
            self._drifts[arm.name] = Drift(model, billed_as, answers + 1, since_s, now_s)
            is_due = now_s - self._told_at_s.get(arm.name, -TOLD_EVERY_S) >= TOLD_EVERY_S
            if is_due:
                self._told_at_s[arm.name] = now_s
            return is_due


def _told(arm: Arm, model: str, price: str) -> dict[str, Any]:
    return {
        "arm": arm.name,
        "asked": arm.model,
        "answered": model,
        "price": price,
        "remedy": "if that is right, say answers_as in its table of the catalogue",
    }
