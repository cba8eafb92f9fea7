"""SIGTERM under load, over real sockets: every answer ends in words, every row is written."""

import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from storage.sqlite_reader import SqliteReader
from tests.app.processes.test_serve import Served, post, served
from tests.app.running import catalogue, eventually
from tests.upstream.misbehaving import Conversation, chunk, misbehaving, usage_frame

pytestmark = pytest.mark.slow

DRAIN_S = 4.0
PATIENT = {"timeouts": {"connect_s": 5, "first_content_s": 30, "idle_s": 30, "total_s": 60}}
PIECE = b"data: " + chunk("and on " * 100) + b"\n\n"


def short(talk: Conversation) -> None:
    """Stream for less than the drain takes."""
    talk.events(chunk("Once "))
    time.sleep(DRAIN_S / 2)
    for each in (chunk("more"), chunk(finish="stop"), usage_frame(), b"[DONE]"):
        talk.send(b"data: " + each + b"\n\n")


def long(talk: Conversation) -> None:
    talk.events(chunk("Once "))
    talk.until_client_leaves(0.2, PIECE)


def silent(talk: Conversation) -> None:
    talk.until_client_leaves()


def flooding(talk: Conversation) -> None:
    talk.events(chunk("Once "))
    talk.until_client_leaves(0.001, PIECE)


@contextmanager
def behind(folder: Path, drain_s: float = DRAIN_S) -> Iterator[Served]:
    """Yield the service before a provider that plays the scenario each arm is named after."""
    scenarios = {each.__name__: each for each in (short, long, silent, flooding)}
    with misbehaving(scenarios) as (url, _seen):
        arms = catalogue(folder, url, dict.fromkeys(scenarios, PATIENT))
        dials = {"TURNPIKE_ARMS": str(arms), "TURNPIKE_DRAIN_S": str(drain_s)}
        with served(folder, TURNPIKE_SANDBOX="off", **dials) as service:
            yield service


def asking(arm: str, *, stream: bool = True) -> bytes:
    body = json.dumps({"prompt": "hi", "models": [arm], "stream": stream}).encode()
    return post(body, f"Content-Length: {len(body)}")


class Listening(threading.Thread):
    """A client that asks one arm, and keeps all that comes until the service closes."""

    def __init__(self, service: Served, arm: str) -> None:
        super().__init__(daemon=True)
        self.arm = arm
        self.told = b""
        self.client = socket.create_connection(("127.0.0.1", service.port), timeout=30)
        self.client.sendall(asking(arm, stream=arm != "silent"))
        self.start()

    def run(self) -> None:
        with self.client:
            while piece := self.client.recv(65_536):
                self.told += piece

    @property
    def end(self) -> tuple[str, bool, bool]:
        self.join(30)
        return self.arm, b"data: [DONE]" in self.told, b'"draining"' in self.told


def deaf(service: Served) -> socket.socket:
    """Return a client that asks for a long stream and takes nothing of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", service.port))
    client.sendall(asking("flooding"))
    return client


def idle(service: Served) -> http.client.HTTPConnection:
    """Return a connection that is kept after a request."""
    kept = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    return kept


def test_half_of_the_streams_end_whole_and_the_rest_in_words(tmp_path: Path) -> None:
    asked = ["short"] * 20 + ["long"] * 20 + ["silent"] * 5
    with behind(tmp_path) as service, closing(deaf(service)), closing(idle(service)):
        clients = [Listening(service, arm) for arm in asked]
        with SqliteReader(tmp_path / "turnpike.db") as log:
            assert eventually(lambda: log.counts().decisions == len(asked) + 1, 20)
        service.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: service.request("GET", "/readyz")[0] == 503)
        status, refused = service.request("POST", "/complete", {"prompt": "hi"})
        assert (status, refused["error"]["code"]) == (503, "draining")
        assert Counter(client.end for client in clients) == {
            ("short", True, False): 20,
            ("long", False, True): 20,
            ("silent", False, True): 5,
        }
        assert service.ended(within_s=40) == 0
    with SqliteReader(tmp_path / "turnpike.db") as log:
        found = Counter(
            (each.decision.arm, each.outcome and each.outcome.status) for each in log.decisions()
        )
    # On a busy machine who reads nothing may be written to to the end: the next start ends it.
    assert sum(found.pop(("flooding", end), 0) for end in ("client_gone", "abandoned", None)) == 1
    assert found == {("short", "ok"): 20, ("long", "abandoned"): 20, ("silent", "abandoned"): 5}


def test_an_idle_service_ends_at_once_although_clients_keep_their_connections(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with behind(tmp_path, drain_s=60) as service, closing(idle(service)):
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        service.process.send_signal(signal.SIGTERM)
        assert service.ended(within_s=60) == 0
        # gunicorn alone would wait for the kept connection as long as it may: more than a minute.
        assert time.monotonic() - began < 40
    assert "ERROR" not in capfd.readouterr().err
