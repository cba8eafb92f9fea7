"""A TCP connection between us and a store that can be cut in the middle of what is said."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

PIECE = 65_536
ANSWERED_WITHIN_S = 0.5
Moment = Literal["before it is heard", "after it is answered"]


class Between:
    """Hands on every byte, until it is told to cut the connection on which a word is said.

    While it `swallows`, every connection stands and nobody hears the other.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._word = b""
        self._moment: Moment = "before it is heard"
        self._last_word = b""
        self.cuts = 0
        self.swallows = False

    @property
    def url(self) -> str:
        """Return where the store is, by way of us."""
        host, port = self._listening.getsockname()
        at = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{at}@{host}:{port}"))

    def cut_at(self, word: bytes, moment: Moment) -> None:
        """Cut the next connection on which the client says the word, once."""
        self._word, self._moment = word, moment

    def hang_at(self, word: bytes) -> None:
        """Hand on nothing more from the next connection on which the client says the word, once."""
        self._last_word = word

    def serve(self) -> None:
        """Take connections until closed."""
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            store = socket.create_connection((self._parts.hostname, self._parts.port))
            for one, other in ((client, store), (store, client)):
                threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one, other:
            while said := one.recv(PIECE):
                if self._word and self._word in said:
                    self._word = b""
                    self.cuts += 1
                    if self._moment == "after it is answered":
                        one.shutdown(socket.SHUT_WR)  # so that the answer reaches nobody
                        other.sendall(said)
                        time.sleep(ANSWERED_WITHIN_S)
                    for each in (one, other):
                        each.shutdown(socket.SHUT_RDWR)  # wakes whoever hands on the other way
                    return
                if self._last_word and self._last_word in said:
                    self._last_word = b""
                    while one.recv(PIECE):
                        pass
                    return
                if not self.swallows:
                    other.sendall(said)


@contextmanager
def between(url: str) -> Iterator[Between]:
    """Yield what stands between us and a store."""
    proxy = Between(url)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()
