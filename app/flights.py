"""One call for requests that are the same at the same time: the first asks, the others wait."""

import threading

WAIT_S = 30.0


class Flights:
    """Who is asking what at the moment; safe for many threads."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._under_way: dict[bytes, threading.Event] = {}

    def join(self, key: bytes) -> bool:
        """Return True at once for the first, who must `land`; False to others when it has landed.

        Nobody waits longer than `wait_s`: who has no answer by then asks alone.
        """
        with self._lock:
            landed = self._under_way.get(key)
            if landed is None:
                self._under_way[key] = threading.Event()
                return True
        landed.wait(self._wait_s)
        return False

    def land(self, key: bytes) -> None:
        """Let the others go on, whether or not there is an answer."""
        with self._lock:
            self._under_way.pop(key).set()
