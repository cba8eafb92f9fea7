"""A service that is stopped for a while, has no file descriptors left, or is flooded, goes on."""

import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from app.processes.descriptors import EACH, OURS
from storage.sqlite_reader import SqliteReader
from tests.app.processes.test_serve import Served, served
from tests.app.processes.test_worker import PIECE, asking
from tests.app.running import SUM, catalogue, eventually
from tests.upstream.misbehaving import Conversation, misbehaving

pytestmark = pytest.mark.slow
STOPPED_S = 3.0
FEW = 200


def worker(service: Served) -> int:
    return max(pid for pid, command in service.pids().items() if "gunicorn" in command)


def answers(service: Served) -> bool:
    try:
        return service.request("POST", "/complete", {"prompt": SUM}, within_s=60)[0] == 200
    except (OSError, ValueError):
        return False


def test_who_asks_while_the_worker_is_stopped_is_answered_when_it_goes_on(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        assert answers(service)
        pid, told = worker(service), list[bool]()
        asking = threading.Thread(target=lambda: told.append(answers(service)), daemon=True)
        os.kill(pid, signal.SIGSTOP)
        asking.start()
        time.sleep(STOPPED_S)
        os.kill(pid, signal.SIGCONT)
        asking.join()
        assert told == [True]
        assert worker(service) == pid
        with SqliteReader(service.database) as log:
            assert [each.outcome is not None for each in log.decisions()] == [True, True]
        service.process.terminate()
        assert service.ended() == 0


def test_more_clients_than_there_are_descriptors_wait_and_the_worker_lives(tmp_path: Path) -> None:
    limited = ("sh", "-c", f'ulimit -n {FEW}; exec "$@"', "sh")
    with served(tmp_path, *limited) as service:
        assert answers(service)
        pid = worker(service)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (FEW, FEW)
        with ExitStack() as open_for_a_while:
            for _ in range(FEW):
                client = socket.create_connection(("127.0.0.1", service.port), timeout=10)
                open_for_a_while.enter_context(client)
            time.sleep(2.0)
            held = len(os.listdir(f"/proc/{pid}/fd"))
            assert (FEW - OURS) // EACH <= held < FEW - OURS // 4
        assert eventually(lambda: answers(service), 60)
        assert worker(service) == pid
        service.process.terminate()
        assert service.ended() == 0


def test_descriptors_are_taken_as_far_as_the_system_lets_us() -> None:
    program = (
        "import resource, sys; from app.processes.descriptors import make_room;"
        "print(make_room(2000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    told = {}
    for soft, hard in ((64, 20_000), (64, 428), (64, 64)):
        limits = f"ulimit -Sn {soft}; ulimit -Hn {hard}; exec {sys.executable} -c '{program}'"
        ended = subprocess.run(["sh", "-c", limits], capture_output=True, text=True, check=True)
        told[hard] = tuple(map(int, ended.stdout.split()))
    assert told == {20_000: (2000, 6128), 428: (100, 428), 64: (1, 64)}


def flooding(talk: Conversation) -> None:
    talk.events()
    talk.flood(itertools.repeat(PIECE * 100))


# What comes first, and what then comes without end.
FLOODS = {
    "a body of any length": (
        b"POST /complete HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000000000000\r\n\r\n",
        b"x" * 1_000_000,
    ),
    "a body of chunks": (
        b"POST /complete HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n" * 100_000,
    ),
    "requests": (b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 200),
    "what a provider says": (asking("flooding"), b""),
}


@pytest.mark.parametrize(("first", "then"), FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_keeps_nobody_from_being_served(tmp_path: Path, first: bytes, then: bytes) -> None:
    with misbehaving({"flooding": flooding}) as (url, _seen):
        arms = str(catalogue(tmp_path, url, {"flooding": {}}))
        with (
            served(tmp_path, TURNPIKE_SANDBOX="off", TURNPIKE_ARMS=arms) as service,
            socket.create_connection(("127.0.0.1", service.port)) as client,
        ):

            def send() -> None:
                with suppress(OSError):
                    client.sendall(first)
                    while then:
                        client.sendall(then)

            def take() -> None:
                with suppress(OSError):
                    while client.recv(1_000_000):
                        pass

            for each in (send, take):
                threading.Thread(target=each, daemon=True).start()
            time.sleep(1.0)
            for _ in range(5):
                assert service.request("GET", "/healthz", within_s=3)[0] == 200
            client.shutdown(socket.SHUT_RDWR)
