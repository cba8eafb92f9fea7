"""The real processes: started, used over sockets, stopped by signals, killed with nothing left."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage.postgres_server import free_port
from storage.sqlite_reader import SqliteReader
from tests.app.running import SUM, eventually

pytestmark = pytest.mark.slow

LIMIT_BYTES = 65_536
KEY = "correct-horse-battery"
READY = b"Ctrl-C ends it."


def children(pid: int) -> dict[int, str]:
    """Return the processes that a process has started, and theirs, each with its command."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        below = {int(own): args for own, parent, args in rows if int(parent) in parents}
        found |= below
        parents = set(below)
    return found


def is_alive(pid: int) -> bool:
    listed = subprocess.run(
        ["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip() not in {"", "Z"} and not listed.stdout.startswith("Z")


@dataclass
class Served:
    """Our processes, and how to speak to the service among them."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "sandbox" / "turnpike.db"

    def request(
        self, method: str, path: str, body: object = None, within_s: float = 10
    ) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=within_s)
        try:
            raw = None if body is None else json.dumps(body)
            connection.request(method, path, raw, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes until the service closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
            told = b""
            with suppress(ConnectionError):
                while piece := connection.recv(65_536):
                    told += piece
            return told

    def pids(self) -> dict[int, str]:
        return children(self.process.pid)

    def pid_of(self, part: str) -> int:
        return next(pid for pid, command in sorted(self.pids().items()) if part in command)

    def ended(self, within_s: float = 20.0) -> int:
        """Return the exit code, after checking that nothing was left behind."""
        pids = list(self.pids())
        code = self.process.wait(within_s)
        assert eventually(lambda: not any(map(is_alive, pids)))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))
        return code


def environment(folder: Path, port: int, **dials: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TURNPIKE_")}
    ours = {
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": f"127.0.0.1:{port}",
        "TURNPIKE_SANDBOX": "on",
        "TURNPIKE_SPOOL_BYTES": "65536",
        "TURNPIKE_SANDBOX_LATENCY_S": "0",
        "TURNPIKE_MAX_BODY_BYTES": str(LIMIT_BYTES),
        "PYTHONUNBUFFERED": "1",
    }
    return {**clean, **ours, **dials}


@contextmanager
def served(folder: Path, *by: str, **dials: str) -> Iterator[Served]:
    """Yield the service, started `by` another command if given; what is left of it is killed."""
    port = free_port()
    command = [*by, sys.executable, "-m", "app", "serve"]
    environ = environment(folder, port, **dials)
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        made = Served(process, port, folder)
        started: dict[int, str] = {}
        try:
            assert process.stdout is not None
            assert any(READY in line for line in process.stdout)
            started = made.pids()
            yield made
        finally:
            for pid in [process.pid, *started]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def post(body: bytes, *headers: str) -> bytes:
    head = ["POST /complete HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*head, *headers, "Connection: close", "", ""]).encode() + body


def code(told: bytes) -> tuple[int, str]:
    head, _, body = told.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_what_is_answered_and_rated_is_there_after_ctrl_c_and_another_start(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        for n in range(5):
            _, answer = service.request("POST", "/complete", {"prompt": f"What is {n} + 4?"})
            service.request("POST", "/feedback", {"id": answer["id"], "thumbs": "up"})
        known = service.request("GET", "/policy")[1]
        assert known["counts"]["rated"] == 5
        service.process.send_signal(signal.SIGINT)
        assert service.ended() == 0
    with served(tmp_path) as service:
        again = service.request("GET", "/policy")[1]
        for arm in (*known["arms"], *again["arms"]):
            del arm["health"]  # what a process has seen of its providers, and no other knows
        assert again["arms"] == known["arms"]
        assert again["learned_events"] == known["learned_events"]
        assert service.request("GET", f"/decisions/{answer['id']}")[1]["reward"] == 1.0
        for each in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            service.process.send_signal(each)  # two reach it at once
        assert service.ended() == 0


def test_bodies_over_the_limit_and_clients_that_leave(tmp_path: Path) -> None:
    with served(tmp_path, TURNPIKE_SANDBOX_LATENCY_S="0.3") as service:
        big = b'{"prompt": "' + b"x" * (40 * LIMIT_BYTES) + b'"}'
        too_large = (413, "request_too_large")
        assert code(service.raw(post(big, f"Content-Length: {len(big)}"))) == too_large
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(big), big)
        assert code(service.raw(post(chunked, "Transfer-Encoding: chunked"))) == too_large
        body = json.dumps({"prompt": SUM, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(post(body, f"Content-Length: {len(body)}"))
        with SqliteReader(service.database) as log:
            assert eventually(lambda: log.counts().outcomes == 1)
            [left] = log.decisions()
            assert left.outcome is not None
            assert left.outcome.status in {"client_gone", "ok"}
        assert service.request("GET", "/healthz")[0] == 200
        service.process.terminate()
        assert service.ended() == 0


HALF = b'5\r\n{"pro\r\n'
WHOLE = b'{"prompt": "hi"}'
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(WHOLE), WHOLE)
UNREADABLE = {
    "a size that is no number": (post(HALF + b"zz\r\n", "Transfer-Encoding: chunked"), 400),
    "a chunk without its end": (post(b"2\r\n{}xx", "Transfer-Encoding: chunked"), 400),
    "a long request line": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
    "a long header": (post(b"", "X: " + "x" * 20_000), 431),
    "many headers": (post(b"", *(f"X-{n}: x" for n in range(100))), 431),
    "an encoding": (post(b"", "Transfer-Encoding: odd"), 501),
    "an encoding of chunks": (post(CHUNKS, "Transfer-Encoding: gzip, chunked"), 501),
    "an expectation": (post(b"", "Expect: miracles"), 417),
    "a header without a name": (post(b"", f": {KEY}"), 400),
    "a line that is no request": (b"hello\r\n\r\n", 400),
}


LIMITS = {
    414: b"it must have at most 4094 bytes",
    417: b"it must be 100-continue",
    431: b"there must be at most 100, each of at most 16384 bytes",
    501: b"it must be chunked",
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service for tests that leave it as they found it."""
    with served(tmp_path_factory.mktemp("standing")) as service:
        yield service


def test_a_path_with_two_slashes_is_none_and_redirects_nobody(standing: Served) -> None:
    head = b"GET /v1//models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    told = standing.raw(head)
    assert code(told) == (404, "not_found")
    assert b"/v1//models" in told


FORM = "application/x-www-form-urlencoded"
BROKEN_FORM = (
    "POST /pages/sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
    f"Content-Type: {FORM}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n"
)


def test_what_cannot_be_read_is_refused_as_every_error_is(standing: Served) -> None:
    for what, (request, status) in UNREADABLE.items():
        told = standing.raw(request)
        assert code(told) == (status, "bad_request"), what
        assert LIMITS.get(status, b"") in told
    for cut in (post(HALF, "Transfer-Encoding: chunked"), post(WHOLE, "Content-Length: 500")):
        with socket.create_connection(("127.0.0.1", standing.port), timeout=10) as client:
            client.sendall(cut)
            client.shutdown(socket.SHUT_WR)
            told = b""
            while piece := client.recv(65_536):
                told += piece
        assert code(told) == (400, "bad_request")
    assert standing.raw(BROKEN_FORM.encode()).startswith(b"HTTP/1.1 400 ")
    assert standing.request("GET", "/healthz")[0] == 200


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with served(tmp_path, TURNPIKE_SANDBOX_LATENCY_S="1.5") as service:
        body = json.dumps({"prompt": SUM, "stream": True, "models": ["gpt-4o"]}).encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as client:
            client.sendall(post(body, f"Content-Length: {len(body)}"))
            with SqliteReader(service.database) as log:
                assert eventually(lambda: log.counts().decisions == 1)
            service.process.terminate()
            told = b""
            while piece := client.recv(65_536):
                told += piece
        assert told.rstrip(b"0\r\n").endswith(b"data: [DONE]")
        assert service.ended() == 0


@pytest.mark.parametrize("part", ["gunicorn", "app sandbox", "app work"])
def test_when_one_part_is_killed_the_rest_ends(tmp_path: Path, part: str) -> None:
    with served(tmp_path) as service:
        os.kill(service.pid_of(part), signal.SIGKILL)
        assert service.ended() != 0


def test_when_all_is_killed_from_above_no_part_lives_on(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        pids = list(service.pids())
        assert len(pids) == 4
        os.kill(service.process.pid, signal.SIGKILL)
        assert eventually(lambda: not any(map(is_alive, pids)), within_s=15)


def test_a_killed_worker_has_lost_nothing_and_is_replaced(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        _, answer = service.request("POST", "/complete", {"prompt": SUM})
        service.request("POST", "/feedback", {"id": answer["id"], "thumbs": "down"})
        worker = max(pid for pid, command in service.pids().items() if "gunicorn" in command)
        os.kill(worker, signal.SIGKILL)

        def answers() -> bool:
            try:
                return service.request("GET", "/healthz")[0] == 200
            except OSError:
                return False

        assert eventually(answers, within_s=15)
        found = service.request("GET", f"/decisions/{answer['id']}")[1]
        assert (found["reward"], found["outcome"]["status"]) == (0.0, "ok")
        assert service.request("GET", "/policy")[1]["counts"]["rated"] == 1
        service.process.terminate()
        assert service.ended() == 0


def test_the_demo_shows_what_is_learned_also_where_a_key_is_needed(tmp_path: Path) -> None:
    with served(tmp_path, TURNPIKE_API_KEY=KEY) as service:
        environ = environment(tmp_path, service.port, TURNPIKE_API_KEY=KEY)
        command = [sys.executable, "-m", "app", "demo", "--prompts", "20", "--rated", "1"]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert "20 sandbox prompts, 20 thumbs; nothing was billed." in ended.stdout
        assert "always gpt-4o" in ended.stdout
        service.process.terminate()
        assert service.ended() == 0


@pytest.mark.parametrize(("sandbox", "offered"), [("on", 1), ("off", 0)])
def test_the_demo_is_offered_where_it_costs_nothing(
    tmp_path: Path, sandbox: str, offered: int
) -> None:
    with served(tmp_path, TURNPIKE_SANDBOX=sandbox, GLOBAL_API_KEY="k") as service:
        service.process.terminate()
        assert service.ended() == 0
        assert service.process.stdout is not None
        told = service.process.stdout.read().decode()
    assert told.count("/policy\n") == 1
    assert told.count(" demo ") == offered


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "app", "serve"]
        ended = subprocess.run(
            command, env=environment(tmp_path, port), capture_output=True, text=True, check=False
        )
    assert ended.returncode == 78
    assert ended.stderr == (
        f"turnpike: bind 127.0.0.1:{port} cannot be used: Address already in use; "
        "free it, or choose another with TURNPIKE_BIND\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("key", "why"), [("", "is not set"), ("my key", "no key has")])
def test_a_key_that_is_none_is_told_in_one_line(tmp_path: Path, key: str, why: str) -> None:
    command = [sys.executable, "-m", "app", "serve"]
    dials = {"TURNPIKE_SANDBOX": "off", "GLOBAL_API_KEY": key}
    environ = environment(tmp_path, free_port(), **dials)
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 78
    assert why in ended.stderr
    assert ended.stderr.startswith("turnpike: provider global: ")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_lies_beside_the_log_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    with served(tmp_path / "log", TURNPIKE_DATA=str(apart)) as service:
        assert service.database.is_file()
        assert any(apart.iterdir())


def test_a_service_that_cannot_start_ends_everything(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "turnpike.db").write_text("no database, and long enough to see " * 99)
    started = time.monotonic()
    command = [sys.executable, "-m", "app", "serve"]
    environ = environment(tmp_path, free_port())
    ended = subprocess.run(
        command, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 78
    assert "the service ended with code" in ended.stderr
    assert "turnpike.db" in ended.stderr
    assert time.monotonic() - started < 30


def test_who_is_stopped_during_a_start_ends_at_once(tmp_path: Path) -> None:
    """A log that is away is waited for: so the start goes on until it is stopped."""
    away = f"postgresql://127.0.0.1:{free_port()}/x"
    dials = {"TURNPIKE_DATABASE": away, "TURNPIKE_DATA": str(tmp_path)}
    environ = environment(tmp_path, free_port(), **dials)
    command = [sys.executable, "-m", "app", "serve"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "the log is waited for" in process.stderr.readline()
        stopped_s = time.monotonic()
        process.terminate()
        told = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in told
    assert time.monotonic() - stopped_s < 15  # half of what is given to who does not end
