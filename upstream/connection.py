"""One HTTP/1.1 connection to a provider: every wait on its socket obeys a deadline.

The protocol is read by llhttp, the parser of Node; what is here is the socket, the deadlines, and
when a connection may be used again.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Self

import httptools
import httpx2

from upstream.deadlines import LOOK_EVERY_S, Deadline

Headers = Sequence[tuple[bytes, bytes]]

MAX_HEAD_BYTES = 64 * 1024
_BLOCK = 64 * 1024
_TURN, _NEXT_S = 16 * 1024, 1e-6
"""After so many bytes of an answer others have their turn, which takes so long at least."""
_FIRST_FINAL = 200


class Connection:
    """A connection that carries one call after the other."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reading = _Reading()

    @classmethod
    def to(
        cls, place: str, port: int, host: str, tls: ssl.SSLContext | None, within_s: float
    ) -> Self:
        """Return a new connection to an address; over TLS it must prove to be the host.

        raises : httpx2.ConnectTimeout, httpx2.ConnectError
        """
        try:
            until_s = time.monotonic() + within_s
            connected = socket.create_connection((place, port), _some(within_s))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                connected.settimeout(_some(until_s - time.monotonic()))
                connected = tls.wrap_socket(connected, server_hostname=host)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error
        return cls(connected)

    @property
    def is_reusable(self) -> bool:
        """Return whether the answer has been read to its end and another call may follow."""
        return self._reading.is_whole and self._reading.keeps_alive

    @property
    def has_heard(self) -> bool:
        """Return whether anything has come since the last request was sent."""
        return self._reading.size > 0

    @property
    def is_quiet(self) -> bool:
        """Return whether nothing has come unasked: idle connections only speak to say goodbye."""
        try:
            self._socket.settimeout(0)
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def call(self, request: bytes, deadline: Deadline) -> tuple[int, Headers]:
        """Send a request and return the status and the headers of the answer.

        raises : httpx2.ReadTimeout, httpx2.NetworkError, httpx2.RemoteProtocolError, CallerGone
        """
        self._reading = reading = _Reading()
        self._send(request, deadline)
        while not reading.has_head:
            self._receive(deadline)
            if not reading.has_head and reading.size > MAX_HEAD_BYTES:
                raise httpx2.RemoteProtocolError(f"headers of more than {MAX_HEAD_BYTES} bytes")
        return reading.status, reading.headers

    def body(self, deadline: Deadline) -> Iterator[bytes]:
        """Yield the body of the answer as it comes.

        raises : as `call`
        """
        reading = self._reading
        while True:
            if reading.pieces:
                yield b"".join(reading.pieces)
                reading.pieces.clear()
            elif reading.is_whole:
                return
            else:
                self._receive(deadline)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _send(self, request: bytes, deadline: Deadline) -> None:
        try:
            for start in range(0, len(request), _BLOCK):
                self._socket.settimeout(_some(deadline.left_s()))
                self._socket.sendall(request[start : start + _BLOCK])
        except TimeoutError as error:
            raise httpx2.WriteTimeout("the request was not taken in time") from error
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error

    def _receive(self, deadline: Deadline) -> None:
        """Read what has come; look now and then whether anybody still waits for more."""
        received = None
        while received is None:
            deadline.require_caller()
            try:
                self._socket.settimeout(min(_some(deadline.left_s()), LOOK_EVERY_S))
                received = self._socket.recv(_TURN)
            except TimeoutError as error:
                if deadline.left_s() <= 0:
                    raise httpx2.ReadTimeout("nothing came in time") from error
            except OSError as error:
                raise httpx2.ReadError(str(error)) from error
        turns = self._reading.size // _TURN
        self._reading.take(received)
        if self._reading.size // _TURN > turns:
            # A socket that has more to read never waits, and a loop that serves would serve nobody
            # else. No time at all would not do: of such waits it takes fifty before it looks round.
            time.sleep(_NEXT_S)


class _Reading:
    """One answer as llhttp reads it, by calling the `on_` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.size = 0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.has_head = False
        self.is_whole = False
        self.keeps_alive = False

    def take(self, received: bytes) -> None:
        """Read on; nothing received means that the provider has closed.

        raises : httpx2.RemoteProtocolError
        """
        if not received:
            self._take_end()
            return
        self.size += len(received)
        try:
            self._parser.feed_data(received)
        except httptools.HttpParserUpgrade as error:
            raise httpx2.RemoteProtocolError("another protocol, which was not asked for") from error
        except httptools.HttpParserError as error:
            raise httpx2.RemoteProtocolError(f"no HTTP: {error}") from error

    def on_message_begin(self) -> None:
        if self.is_whole:
            # More than was asked for: whatever it is, no later call may take it for its answer.
            self.keeps_alive = False
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.is_whole:
            self.status = self._parser.get_status_code()
            self.has_head = self.status >= _FIRST_FINAL

    def on_body(self, body: bytes) -> None:
        if not self.is_whole:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_whole:
            self.is_whole = True
            self.keeps_alive = self._parser.should_keep_alive()

    def _take_end(self) -> None:
        """End a body whose length nobody has told; any other is cut short."""
        names = {name.lower() for name, _ in self.headers}
        is_told = names & {b"content-length", b"transfer-encoding"}
        if not self.has_head or is_told:
            what = "the answer was whole" if self.has_head else "any answer"
            raise httpx2.RemoteProtocolError(f"closed before {what}")
        self.is_whole = True


def _some(left_s: float) -> float:
    if left_s <= 0:
        raise TimeoutError
    return left_s
