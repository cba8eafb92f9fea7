"""What the openai client calls through: connections that are kept, and a cap on every body.

The client's own timeouts start again with every byte and its bodies have no bound. Both are put
right here, at the place the client offers for it: the `http_client` it is made with.
"""

import functools
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx2

from policy.errors import ConfigError
from upstream.connection import Connection, Headers
from upstream.deadlines import ACTIVE, Deadline
from upstream.resolve import Lookup, Resolver, addresses

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_STREAM_BYTES = 4 * MAX_BODY_BYTES
"""In a stream a frame of some 400 bytes stands around each token, and thoughts are many tokens."""
_KEPT = 256
_KEPT_S = 20.0
_PORTS = {"http": 80, "https": 443}


class BodyTooLarge(httpx2.TransportError):
    """The provider sent more than any answer is long."""


class Calls(httpx2.Client):
    """The client's calls as they are: no redirect, no cookie, no proxy, nothing added.

    The openai client has put everything into the request; merging settings that are empty into it
    takes longer than sending it.
    """

    def __init__(self, base_url: str, lookup: Lookup = addresses) -> None:
        self._calling = Transport(base_url, lookup)
        super().__init__(transport=self._calling, timeout=None, trust_env=False)

    def build_request(self, method: str, url: httpx2.URL | str, **given: Any) -> httpx2.Request:
        """Return the request with the headers and the content given."""
        headers, content = given.get("headers"), given.get("content")
        return httpx2.Request(method, read_once(str(url)), headers=headers, content=content)

    def send(self, request: httpx2.Request, **_given: Any) -> httpx2.Response:
        """Return the response with its body unread."""
        try:
            response = self._calling.handle_request(request)
        except httpx2.RequestError as error:
            error.request = request
            raise
        response.request = request
        return response


class Transport(httpx2.BaseTransport):
    """HTTP/1.1 to one provider; every wait obeys the active deadline.

    It has no upper bound: how many calls there may be at once is decided where requests are
    admitted.
    """

    def __init__(self, base_url: str, lookup: Lookup = addresses) -> None:
        url = httpx2.URL(base_url)
        self._resolver = Resolver(lookup)
        self._host = url.host
        self._port = url.port or _PORTS[url.scheme]
        self._tls = _trust() if url.scheme == "https" else None
        self._kept: deque[tuple[float, Connection]] = deque()
        self._lock = threading.Lock()
        self._is_closed = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response with its body unread."""
        deadline = ACTIVE.get()
        connection, status, headers = self._answered(_as_bytes(request), deadline)
        is_taken = httpx2.codes.is_success(status)
        if is_taken and _is_compressed(headers):
            connection.close()
            raise httpx2.DecodingError("the body is compressed, which was not asked for")
        body = (_Body if is_taken else _Refusal)(self, connection, deadline, _most_of(headers))
        response = httpx2.Response(status, headers=list(headers), stream=body)
        if _is_compressed(headers):
            response.close()
        return response

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next call, if it can carry one, else close it."""
        now, old = time.monotonic(), [connection]
        with self._lock:
            if connection.is_reusable and not self._is_closed:
                self._kept.append((now + _KEPT_S, old.pop()))
            while self._kept and (len(self._kept) > _KEPT or self._kept[0][0] < now):
                old.append(self._kept.popleft()[1])
        for each in old:
            each.close()

    def close(self) -> None:
        """Close every connection that is kept, and keep no more: calls under way end as usual."""
        with self._lock:
            self._is_closed = True
            old = [self._kept.pop()[1] for _ in range(len(self._kept))]
        for each in old:
            each.close()

    def _answered(self, request: bytes, deadline: Deadline) -> tuple[Connection, int, Headers]:
        """Return a connection on which an answer has begun, its status and its headers.

        A provider may close a connection that was kept just when it is used again. If it says not
        one byte, the request goes out once more, on a new connection. That it had begun to answer
        and was cut is far less likely, and would cost what asking another arm costs: one call.
        """
        kept = self._idle()
        if kept is not None:
            try:
                return _call(kept, request, deadline)
            except (httpx2.NetworkError, httpx2.RemoteProtocolError):
                if kept.has_heard:
                    raise
        return _call(self._connected(deadline), request, deadline)

    def _connected(self, deadline: Deadline) -> Connection:
        """Return a connection to the first address that takes one; each gets its share of time."""
        connect_at_s = time.monotonic() + deadline.connect_s()
        places = self._places(connect_at_s)
        for waiting in range(len(places), 1, -1):
            share_s = (connect_at_s - time.monotonic()) / waiting
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return self._at(places[-waiting], share_s)
        return self._at(places[-1], connect_at_s - time.monotonic())

    def _places(self, until_s: float) -> list[str]:
        try:
            return self._resolver.resolve(self._host, until_s - time.monotonic())
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"{self._host} was not found in time") from error
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error

    def _at(self, place: str, within_s: float) -> Connection:
        return Connection.to(place, self._port, self._host, self._tls, within_s)

    def _idle(self) -> Connection | None:
        """Return the connection used last, which is the likeliest to be alive."""
        while True:
            with self._lock:
                if not self._kept:
                    return None
                until, connection = self._kept.pop()
            if time.monotonic() < until and connection.is_quiet:
                return connection
            connection.close()


class _Body(httpx2.SyncByteStream):
    def __init__(
        self, transport: Transport, connection: Connection, deadline: Deadline, most: int
    ) -> None:
        self._transport = transport
        self._connection = connection
        self._deadline = deadline
        self._most = most
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._connection.body(self._deadline):
            size += len(piece)
            if size > self._most:
                raise BodyTooLarge(f"more than {self._most} bytes")
            yield piece

    def close(self) -> None:
        if self._open:
            self._open = False
            self._transport.keep(self._connection)


class _Refusal(_Body):
    """What comes with a status that is no success, as far as it comes: the status is enough."""

    def __iter__(self) -> Iterator[bytes]:
        with suppress(httpx2.TransportError):
            yield from super().__iter__()


def _call(
    connection: Connection, request: bytes, deadline: Deadline
) -> tuple[Connection, int, Headers]:
    with ExitStack() as failing:
        failing.callback(connection.close)
        status, headers = connection.call(request, deadline)
        failing.pop_all()
    return connection, status, headers


def _as_bytes(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join([*lines, b"", request.content])


@functools.lru_cache(maxsize=64)
def read_once(text: str) -> httpx2.URL:
    """Return a URL: a provider is asked at the same few for ever."""
    return httpx2.URL(text)


def _is_compressed(headers: Headers) -> bool:
    """Return whether it is, unasked for: the cap counts what comes in, not what it swells to."""
    return any(
        name.lower() == b"content-encoding" and value.strip().lower() not in (b"", b"identity")
        for name, value in headers
    )


def _most_of(headers: Headers) -> int:
    """Return how many bytes of a body are read."""
    kinds = (value for name, value in headers if name.lower() == b"content-type")
    is_stream = any(kind.lower().startswith(b"text/event-stream") for kind in kinds)
    return MAX_STREAM_BYTES if is_stream else MAX_BODY_BYTES


@functools.cache
def _trust() -> ssl.SSLContext:
    """Return the certificates of the machine, read once because that takes long.

    raises : ConfigError for an `SSL_CERT_FILE` that has none
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:  # as ssl.SSLError is, too
        raise ConfigError(
            f"SSL_CERT_FILE is {os.environ.get('SSL_CERT_FILE')!r}: {error.strerror or error}; "
            "it must name a file of the certificates to trust, in PEM"
        ) from error
