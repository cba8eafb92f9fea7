"""Connections to a provider: used again when that is safe, and never otherwise."""

import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest

from policy.types import Timeouts
from upstream.deadlines import Deadline
from upstream.transport import Calls

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


class Answering:
    """A provider that answers each request with the next of its bytes; it counts connections."""

    def __init__(self, answers: list[bytes], *, hangs_up: bool = False) -> None:
        self.connections = 0
        self._answers = iter(answers)
        self._hangs_up = hangs_up
        self.hung_up = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        for answer in self._answers:
            if self.connections == 0 or self._is_closed():
                self._connection, _ = self._listener.accept()
                self._connection.settimeout(5)
                self.connections += 1
                self._connection.recv(65_536)
            self._connection.sendall(answer)
            if self._hangs_up:
                self._connection.close()
                self.hung_up.release()
        self._connection.close()

    def _is_closed(self) -> bool:
        """Wait for the next request; return whether the client closed instead."""
        try:
            is_closed = self._hangs_up or not self._connection.recv(65_536)
        except ConnectionResetError:  # it had not read all that was said
            is_closed = True
        if is_closed:
            self._connection.close()
        return is_closed

    def say(self, words: bytes) -> None:
        """Send what nobody has asked for."""
        self._connection.sendall(words)

    def close(self) -> None:
        self._thread.join(timeout=5)
        self._listener.close()


@contextmanager
def answering(*answers: bytes, hangs_up: bool = False) -> Iterator[tuple[Answering, Calls]]:
    made = Answering(list(answers), hangs_up=hangs_up)
    calls = Calls(made.url)
    try:
        yield made, calls
    finally:
        calls.close()
        made.close()


def call(calls: Calls, url: str) -> tuple[int, bytes]:
    with Deadline(Timeouts(1, 1, 1, 2)).active():
        response = calls.send(calls.build_request("POST", url, content=b"{}", headers={}))
    body = b"".join(response.iter_raw())
    response.close()
    return response.status_code, body


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["by length", "by chunks"])
def test_a_connection_read_to_its_end_is_used_again(answer: bytes) -> None:
    with answering(answer, answer, answer) as (made, calls):
        assert [call(calls, made.url) for _ in range(3)] == [(200, b"ok")] * 3
        assert made.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        WHOLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        WHOLE + WHOLE,
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["it closes", "it sends more", "it is old"],
)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(answer: bytes) -> None:
    with answering(answer, answer) as (made, calls):
        assert [call(calls, made.url) for _ in range(2)] == [(200, b"ok")] * 2
        assert made.connections == 2


def test_a_connection_closed_while_idle_is_noticed_before_it_is_used() -> None:
    with answering(WHOLE, WHOLE, hangs_up=True) as (made, calls):
        for _ in range(2):
            assert call(calls, made.url) == (200, b"ok")
            assert made.hung_up.acquire(timeout=5)
        assert made.connections == 2


def test_what_a_provider_says_unasked_is_no_answer_to_the_next_call() -> None:
    with answering(WHOLE, WHOLE) as (made, calls):
        assert call(calls, made.url) == (200, b"ok")
        made.say(WHOLE.replace(b"ok", b"no"))
        assert call(calls, made.url) == (200, b"ok")
        assert made.connections == 2


def test_a_call_under_way_when_all_is_closed_is_read_to_its_end_and_its_connection_not_kept() -> (
    None
):
    with answering(WHOLE, WHOLE) as (made, calls):
        with Deadline(Timeouts(1, 1, 1, 2)).active():
            response = calls.send(calls.build_request("POST", made.url, content=b"{}", headers={}))
            calls.close()
            assert b"".join(response.iter_raw()) == b"ok"
        response.close()
        assert call(calls, made.url) == (200, b"ok")
        assert made.connections == 2


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def no_more(_connection: socket.socket) -> None:
    """Leave it to the end of the connection."""


def a_word(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 O")


@contextmanager
def leaving(leave: Callable[[socket.socket], None]) -> Iterator[tuple[list[bytes], Calls, str]]:
    """Yield what a provider is asked that ends every connection once it is asked again on it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answers in (True, False), (True,):
                try:
                    connection, _ = listener.accept()
                except OSError:  # the test is over, and made no other
                    return
                with connection:
                    for answer in answers:
                        asked.append(connection.recv(65_536))
                        connection.sendall(WHOLE) if answer else leave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/"
        calls = Calls(url)
        yield asked, calls, url
        calls.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("leave", [reset, no_more])
def test_a_connection_that_ends_just_when_it_is_used_again_costs_no_answer(
    leave: Callable[[socket.socket], None],
) -> None:
    with leaving(leave) as (asked, calls, url):
        assert [call(calls, url) for _ in range(2)] == [(200, b"ok")] * 2
        assert len(asked) == 3
        assert len(set(asked)) == 1


def test_what_has_begun_to_be_answered_is_not_asked_again() -> None:
    with leaving(a_word) as (asked, calls, url):
        assert call(calls, url) == (200, b"ok")
        with pytest.raises(httpx2.RemoteProtocolError, match="before any answer"):
            call(calls, url)
        assert len(asked) == 2


def test_a_new_connection_that_ends_is_an_error_at_once() -> None:
    with (
        answering(b"", hangs_up=True) as (made, calls),
        pytest.raises(httpx2.RemoteProtocolError, match="before any answer"),
    ):
        call(calls, made.url)


def test_an_interim_answer_is_passed_over() -> None:
    with answering(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + WHOLE) as (made, calls):
        assert call(calls, made.url) == (200, b"ok")


def test_a_body_of_untold_length_ends_with_the_connection() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\nok and more", hangs_up=True) as (made, calls):
        assert call(calls, made.url) == (200, b"ok and more")


def test_headers_without_end_after_a_body_take_no_memory() -> None:
    trailers = b"X-A: b\r\n" * 50_000
    with answering(CHUNKED.removesuffix(b"\r\n") + trailers + b"\r\n") as (made, calls):
        tracemalloc.start()
        try:
            assert call(calls, made.url) == (200, b"ok")
            assert tracemalloc.get_traced_memory()[1] < len(trailers)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (WHOLE[:-1], "before the answer was whole"),
        (CHUNKED[:-7], "before the answer was whole"),
        (b"HTTP/1.1 200 O", "before any answer"),
        (b"hello\r\n\r\n", "no HTTP"),
        (
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "another protocol",
        ),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "headers of more than 65536 bytes"),
    ],
    ids=["short", "short chunks", "short head", "no HTTP", "upgrade", "endless head"],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes, error: str) -> None:
    with (
        answering(answer, hangs_up=True) as (made, calls),
        pytest.raises(httpx2.RemoteProtocolError, match=error),
    ):
        call(calls, made.url)
