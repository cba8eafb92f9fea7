"""One call for requests that are the same at the same time: the first asks, the others wait."""

import threading

WAIT_S = 30.0


class Flights:
    """Who is asking what at the moment; safe for many threads."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._under_way: dict[bytes, threading.Event] = {}

    def join(self, key: bytes) -> threading.Event | None:
        """Return a flight for the first, who must `land` it; None to others when it has.

        Nobody waits longer than `wait_s`: who has no answer by then is the first of a new flight.
        """
        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is None:
                return self._begin(key)
        if under_way.wait(self._wait_s):
            return None
        with self._lock:
            return self._begin(key) if self._under_way.get(key) is under_way else None

    def land(self, key: bytes, flight: threading.Event) -> None:
        """Let the others go on, whether or not there is an answer."""
        with self._lock:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
        flight.set()

    def _begin(self, key: bytes) -> threading.Event:
        self._under_way[key] = threading.Event()
        return self._under_way[key]
