"""A service on a real socket, and what each client found when it used it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from app.processes.children import SERVICE
from storage.postgres_server import free_port
from storage.sqlite_reader import SqliteReader
from tests.app.running import catalogue
from tests.clients.installing import ROOT
from tests.clients.provider import acting
from tests.upstream.misbehaving import Seen, misbehaving

# What speaks to the service runs in environments of its own, which pytest does not have.
collect_ignore = ["trying_openai.py", "trying_langchain.py"]

KEY = "correct-horse-battery"
WITHIN_S = 30
ARMS = ("first", "second", "third", "fourth")
EVERYTHING = {"capabilities": ["tools", "vision", "json_schema"]}


@dataclass
class Gateway:
    """A service that runs, its provider, and its log."""

    port: int
    seen: Seen
    database: Path

    @property
    def environ(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.port}/v1"
        return {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY}

    def log(self) -> SqliteReader:
        return SqliteReader(self.database)

    def tried(self, *command: str | Path, cwd: Path = ROOT) -> dict[str, Any]:
        """Return what a client found: the JSON it prints last."""
        ended = subprocess.run(
            command, env=self.environ, cwd=cwd, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr[-3_000:]
        found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        return found


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with misbehaving({f"vendor/{name}": acting for name in ARMS}) as (url, seen):
        arms = {name: {"model": f"vendor/{name}", **EVERYTHING} for name in ARMS}
        path = catalogue(folder, url, arms, {"passes_on": ["embeddings", "responses"]})
        made = Gateway(free_port(), seen, folder / "turnpike.db")
        with _served(made, path) as process:
            _wait_until_ready(made, process)
            yield made
            process.terminate()
            process.wait(WITHIN_S)


def _served(made: Gateway, arms: Path) -> subprocess.Popen[bytes]:
    dials = {
        "ARMS": str(arms),
        "DATABASE": str(made.database),
        "BIND": f"127.0.0.1:{made.port}",
        "API_KEY": KEY,
        "SANDBOX": "off",
    }
    environ = os.environ | {f"TURNPIKE_{name}": value for name, value in dials.items()}
    return subprocess.Popen([sys.executable, "-m", *SERVICE], env=environ, cwd=ROOT)


def _wait_until_ready(made: Gateway, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while process.poll() is None and time.monotonic() < give_up_at:
        connection = HTTPConnection("127.0.0.1", made.port, timeout=2)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    process.kill()
    pytest.fail(f"the service did not start: {process.returncode}")
