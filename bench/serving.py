"""The real service in processes of its own, for what is measured through HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from storage.postgres_server import free_port

ROOT = Path(__file__).parents[1]
READY_WITHIN_S = 90.0
ENDED_WITHIN_S = 60.0
WHOLE = ("app", "serve")
ALONE = ("gunicorn", "--config", "python:app.processes.gunicorn_conf")
"""Without the scheduler and the sandbox."""
ANSWERED_WITHIN_S = 60.0


class ServiceRefused(RuntimeError):
    """The service answered with another status than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def free_bind() -> str:
    """Return an address on loopback that nobody uses."""
    return f"127.0.0.1:{free_port()}"


def port_of(settings: Mapping[str, str]) -> int:
    """Return the port of the service with these settings."""
    return int(settings["TURNPIKE_BIND"].rpartition(":")[2])


@contextmanager
def serving(settings: Mapping[str, str], module: Sequence[str] = WHOLE) -> Iterator[None]:
    """Run the service, whole or alone, until the block ends, and see it end in order.

    raises : TimeoutError if it does not start, RuntimeError if it ends by itself
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TURNPIKE_")}
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, env={**inherited, **settings}, stdout=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_ready(process, port_of(settings))
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ENDED_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < give_up_at:
        if process.poll() is not None:
            raise RuntimeError(
                f"the service ended with code {process.returncode}; its lines say why"
            )
        try:
            ask(port, "GET", "/healthz")
        except (OSError, RuntimeError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"the service was not ready after {READY_WITHIN_S:.0f} s")


def ask(port: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the service's answer.

    raises : ServiceRefused when it is not a 200, OSError when there is none
    """
    status, raw = exchange(port, method, path, body)
    answer: dict[str, Any] = json.loads(raw)
    if status != HTTPStatus.OK:
        raise ServiceRefused(status, f"{method} {path} was answered {status}: {answer}")
    return answer


def exchange(
    port: int,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    within_s: float = ANSWERED_WITHIN_S,
) -> tuple[int, bytes]:
    """Return the status and the bytes of the service's answer, over a connection of its own.

    raises : OSError, http.client.HTTPException when there is none
    """
    with closing(HTTPConnection("127.0.0.1", port, timeout=within_s)) as connection:
        raw = None if body is None else json.dumps(body)
        connection.request(method, path, raw, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
