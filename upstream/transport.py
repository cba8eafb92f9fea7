"""The sockets under the openai client: deadlines on every wait, a cap on every body.

The client's own timeouts start again with every byte and its bodies have no bound. Both are put
right at the only place where bytes come in: a network backend for httpcore2's pool, below httpx2.
"""

import functools
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2
import httpx2

from upstream.deadlines import ACTIVE
from upstream.resolve import Lookup, Resolver, addresses

MAX_BODY_BYTES = 16 * 1024 * 1024
_KEEP_ALIVE = 64
_KEEP_ALIVE_S = 20.0
_BLOCK = 64 * 1024


class BodyTooLarge(httpx2.TransportError):
    """The provider sent more than any answer is long."""


class Transport(httpx2.BaseTransport):
    """HTTP/1.1 over a pool whose sockets obey the active deadline.

    Proxies of the environment are not used. The pool has no upper bound: how many calls there may
    be at once is decided where requests are admitted.
    """

    def __init__(self, lookup: Lookup = addresses) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_trust(),
            max_connections=None,
            max_keepalive_connections=_KEEP_ALIVE,
            keepalive_expiry=_KEEP_ALIVE_S,
            network_backend=_Backend(Resolver(lookup)),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response with its body unread."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        content = request.read()
        with _in_httpx2_words():
            response = self._pool.handle_request(
                httpcore2.Request(request.method, url, headers=request.headers.raw, content=content)
            )
        answer = httpx2.Response(response.status, headers=response.headers, stream=_Body(response))
        if "Content-Encoding" in answer.headers:
            # Not asked for, and the cap counts what comes in, not what it swells to.
            answer.close()
            raise httpx2.DecodingError("the body is compressed, which was not asked for")
        return answer

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        with _in_httpx2_words():
            for block in self._response.iter_stream():
                size += len(block)
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"more than {MAX_BODY_BYTES} bytes")
                yield block

    def close(self) -> None:
        self._response.close()


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, resolver: Resolver) -> None:
        self._backend = httpcore2.SyncBackend()
        self._resolver = resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection to the first address that takes one; each gets its share of time."""
        connect_at_s = time.monotonic() + ACTIVE.get().connect_s()
        places = self._places(host, connect_at_s)
        for waiting in range(len(places), 1, -1):
            share_s = (connect_at_s - time.monotonic()) / waiting
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return self._connect(places[-waiting], port, share_s)
        return self._connect(places[-1], port, connect_at_s - time.monotonic())

    def _places(self, host: str, until_s: float) -> list[str]:
        left_s = _or_late(until_s - time.monotonic(), httpcore2.ConnectTimeout)
        try:
            return self._resolver.resolve(host, left_s)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} was not found in time") from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error

    def _connect(self, place: str, port: int, within_s: float) -> "_Socket":
        left_s = _or_late(within_s, httpcore2.ConnectTimeout)
        return _Socket(self._backend.connect_tcp(place, port, left_s))


class _Socket(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = _or_late(ACTIVE.get().left_s(), httpcore2.ReadTimeout)
        return self._stream.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _BLOCK):
            left_s = _or_late(ACTIVE.get().left_s(), httpcore2.WriteTimeout)
            self._stream.write(buffer[start : start + _BLOCK], left_s)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left_s = _or_late(ACTIVE.get().connect_s(), httpcore2.ConnectTimeout)
        return _Socket(self._stream.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@functools.cache
def _trust() -> ssl.SSLContext:
    """Return the certificates of the machine, read once because that takes long."""
    return httpx2.create_ssl_context()


def _or_late(left_s: float, late: type[httpcore2.TimeoutException]) -> float:
    if left_s <= 0:
        raise late("the deadline has passed")
    return left_s


@contextmanager
def _in_httpx2_words() -> Iterator[None]:
    try:
        yield
    except httpcore2.ConnectTimeout as error:
        raise httpx2.ConnectTimeout(str(error)) from error
    except httpcore2.TimeoutException as error:
        raise httpx2.ReadTimeout(str(error)) from error
    except httpcore2.NetworkError as error:
        raise httpx2.NetworkError(str(error)) from error
    except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.ProtocolError(str(error)) from error
