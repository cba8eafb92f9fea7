"""The load balancer of trials hands on whole answers, whatever becomes of who gives them."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from werkzeug.test import Client

from app.commands.balancer import Balancer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n"
TOLD = HEAD + b"content-length: 5\r\n\r\n"
PIECES = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"


@contextmanager
def replica(answer: bytes) -> Iterator[str]:
    """Yield the address of a server that reads a request, sends this and closes the connection."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=_serve, args=(listener, answer), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _serve(listener: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            got = b""
            while not got.endswith(b"{}"):
                got += connection.recv(65_536)
            connection.sendall(answer)


@pytest.mark.parametrize("cut", [b"", TOLD[:30], TOLD, TOLD + b"wh"])
def test_a_replica_that_dies_while_it_answers_is_passed_over(cut: bytes) -> None:
    with replica(cut) as dying, replica(TOLD + b"whole") as living:
        asked = Client(Balancer([dying, living]))
        answers = [asked.post("/feedback", data=b"{}") for _ in range(2)]  # each is first once
    assert [answer.data for answer in answers] == [b"whole", b"whole"]


def test_an_answer_in_pieces_is_handed_on_whole() -> None:
    with replica(PIECES) as living:
        assert Client(Balancer([living])).post("/complete", data=b"{}").data == b"whole"
