"""The feed: hands committed learning events to whoever follows the log, in order, without gaps."""

import threading
from collections.abc import Callable, Sequence

from storage.event_rows import page, position, spans
from storage.events import Event
from storage.sql import AskLog

Subscriber = Callable[[Sequence[Event]], None]


class Feed:
    """Who follows the log, and up to which event each one has been told.

    Everything is read back from committed rows, never passed on from memory: what a subscriber
    folds live is by construction what a restart would fold.
    """

    def __init__(self, ask: AskLog) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._told: dict[Subscriber, int] = {}

    def subscribe(self, subscriber: Subscriber, after_seq: int | None) -> None:
        """Record a subscriber and hand it what is already committed after `after_seq`."""
        with self._lock:
            self._told[subscriber] = position(self._ask) if after_seq is None else after_seq
            self._hand_on()

    def hand_on(self) -> None:
        """Hand every subscriber the events committed since it was last told."""
        with self._lock:
            self._hand_on()

    def _hand_on(self) -> None:
        newest, read, events = position(self._ask), (0, 0), list[Event]()
        for subscriber, told in list(self._told.items()):
            for span in spans(told, newest):
                if span != read:  # most are told alike, and then it is read once for all
                    read, events = span, page(self._ask, *span)
                subscriber(events)
                self._told[subscriber] = span[1]
