"""One call for requests that are the same at the same time: the first asks, the others wait."""

import threading

WAIT_S = 30.0


class Flight:
    """A request under way, which others who want the same wait for."""

    def __init__(self) -> None:
        self.landed = threading.Event()


class Flights:
    """Who is asking what at the moment; safe for many threads."""

    def __init__(self, wait_s: float = WAIT_S) -> None:
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._under_way: dict[bytes, Flight] = {}

    def join(self, key: bytes) -> Flight | None:
        """Return a flight for the first, who must `land` it; None to others when it has landed.

        Nobody waits longer than `wait_s`: who has no answer by then is the first of a new flight.
        """
        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is None:
                return self._begin(key)
        if under_way.landed.wait(self._wait_s):
            return None
        with self._lock:
            return self._begin(key) if self._under_way.get(key) is under_way else None

    def land(self, key: bytes, flight: Flight) -> None:
        """Let the others go on, whether or not there is an answer."""
        with self._lock:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
        flight.landed.set()

    def _begin(self, key: bytes) -> Flight:
        self._under_way[key] = Flight()
        return self._under_way[key]
