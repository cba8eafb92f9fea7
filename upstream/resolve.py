"""Where a provider is: the addresses of a name, within a deadline.

The system's own look-up has no deadline and holds its thread for as long as a name server is
silent. It runs on a thread of its own, one for each name at a time, that nobody has to wait for.
"""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import ip_address

Lookup = Callable[[str], list[str]]


def addresses(host: str) -> list[str]:
    """Return the addresses of a name, in the order in which the system prefers them.

    raises : OSError when there are none

    >>> addresses("127.0.0.1")
    ['127.0.0.1']
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class Resolver:
    """Looks names up for many threads, which share a look-up that is under way."""

    def __init__(self, lookup: Lookup = addresses) -> None:
        self._lookup = lookup
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[list[str]]] = {}

    def resolve(self, host: str, within_s: float) -> list[str]:
        """Return the addresses of a name; an address is its own.

        raises : TimeoutError when they are not found in time, OSError when there are none
        """
        if _is_address(host):
            return [host]
        with self._lock:
            looking = self._under_way.get(host)
            if looking is None:
                looking = self._under_way[host] = Future()
                threading.Thread(target=self._look, args=(host, looking), daemon=True).start()
        return looking.result(within_s)

    def _look(self, host: str, looking: Future[list[str]]) -> None:
        try:
            found = self._lookup(host)
        except (OSError, UnicodeError) as error:
            self._end(host)
            looking.set_exception(OSError(f"{host} cannot be looked up: {error}"))
        else:
            self._end(host)
            looking.set_result(found)

    def _end(self, host: str) -> None:
        with self._lock:
            del self._under_way[host]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
