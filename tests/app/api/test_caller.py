"""Clients that leave: over real sockets, whatever the provider is doing at that moment."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from app.api.caller import is_there
from tests.app.faulty import Faulty, faulty, silent
from tests.app.running import eventually
from tests.upstream.misbehaving import Conversation, Scenario, chunk

PATIENT = {"timeouts": {"connect_s": 5, "first_content_s": 30, "idle_s": 30, "total_s": 60}}
WITHIN_S = 2.0  # the promise is a second; the rest is for a busy machine


class Handler(WSGIRequestHandler):
    def get_environ(self) -> dict:
        return super().get_environ() | {"gunicorn.socket": self.connection}

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def on_a_socket(made: Faulty) -> Iterator[int]:
    """Yield the port of the service, with its clients' sockets in the environment."""
    server = WSGIServer(("127.0.0.1", 0), Handler)
    server.set_app(made.service.client.application)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def silent_after_content(talk: Conversation) -> None:
    talk.events(chunk("Once upon a time"))
    talk.until_client_leaves()


def silent_after_head(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream")
    talk.until_client_leaves()


def alive_without_content(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream")
    talk.until_client_leaves(every_s=0.1, data=b": PROCESSING\n\n")


def alive_without_an_answer(talk: Conversation) -> None:
    talk.head()
    talk.until_client_leaves(every_s=0.1, data=b"\n")


def never_done(talk: Conversation) -> None:
    talk.events(chunk("Once upon a time"))
    nothing = chunk(delta={"role": "assistant"})
    talk.until_client_leaves(every_s=0.1, data=b"data: " + nothing + b"\n\n")


@pytest.mark.parametrize("path", ["/complete", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("scenario", "asked", "tokens"),
    [
        (silent, {}, 0),
        (silent, {"stream": True}, 0),
        (silent_after_head, {"stream": True}, 0),
        (silent_after_content, {"stream": True}, 4),
        (silent_after_content, {"stream": True, "stream_recovery": "hold"}, 4),
        (alive_without_an_answer, {}, 0),
        (alive_without_content, {"stream": True}, 0),
        (never_done, {"stream": True, "stream_recovery": "hold"}, 4),
    ],
    ids=[
        "plain",
        "before the head",
        "before content",
        "after content",
        "held",
        "plain, kept alive",
        "before content, kept alive",
        "held, kept alive",
    ],
)
def test_the_provider_is_hung_up_on_when_the_client_leaves(
    tmp_path: Path, path: str, scenario: Scenario, asked: dict[str, object], tokens: int
) -> None:
    body = {"model": "a", "messages": [{"role": "user", "content": "hello"}], **asked}
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with faulty(tmp_path, {"a": scenario}, {"a": PATIENT}) as made, on_a_socket(made) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
            assert eventually(lambda: len(made.seen.bodies) == 1)
            if tokens and "stream_recovery" not in asked:
                told = b""
                while b"Once upon" not in told:
                    told += client.recv(65_536)
        assert made.seen.closed_early.wait(timeout=WITHIN_S)
        assert eventually(lambda: made.decisions[0].outcome is not None)
        ended = made.decisions[0].outcome
        assert ended is not None
        assert (ended.status, ended.output_tokens) == ("client_gone", tokens)
        assert ended.usage_estimated
        assert ended.cost_usd > 0
        assert [each.status for each in made.attempts()] == ["client_gone"]


def test_a_client_is_there_while_it_waits_and_when_it_says_more() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert is_there(ours)
        theirs.sendall(b"more")
        assert is_there(ours)
        assert ours.recv(4) == b"more"
        theirs.close()
        assert not is_there(ours)
