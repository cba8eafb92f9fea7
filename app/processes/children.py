"""Processes of ours that one of ours starts and ends: a session each, told to end in order."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

import click

from policy.errors import ConfigError

SERVICE = ("gunicorn", "--config", "python:app.processes.gunicorn_conf")
LEFT_BEHIND_S = 5.0
TELL_EVERY_S = 15.0
READY_WITHIN_S = 900.0  # a long log without a snapshot is folded first, event by event
ANSWERS_WITHIN_S = 2.0
POLL_S = 0.2
MOST_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Child:
    """One process of ours."""

    name: str
    process: subprocess.Popen[bytes]


def start(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], handed: Sequence[int] = ()
) -> Child:
    """Return a process that runs a module of Python's, in a session of its own.

    `handed` are descriptors of ours that it is handed under the same numbers.
    """
    command = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(  # noqa: S603
        command, env=dict(environ), start_new_session=True, pass_fds=handed
    )
    return Child(name, process)


def wait_until_ready(name: str, address: str, children: Sequence[Child]) -> None:
    """Return once a service answers at a host and port.

    raises : ConfigError if it does not, or one of the children has ended
    """
    give_up_at = time.monotonic() + READY_WITHIN_S
    tell_at = time.monotonic() + TELL_EVERY_S
    while not answers(address):
        _refuse_the_dead(children)
        if time.monotonic() > give_up_at:
            raise ConfigError(f"the {name} did not answer within {READY_WITHIN_S:.0f} s")
        if time.monotonic() > tell_at:
            click.echo(f"the {name} does not answer yet; it may be folding a long log", err=True)
            tell_at += TELL_EVERY_S
        time.sleep(POLL_S)


def answers(address: str) -> bool:
    """Return whether a service of ours is well, asked directly: no proxy stands between."""
    return asked(address, "/healthz", ANSWERS_WITHIN_S)[0] == HTTPStatus.OK


def why_not_ready(address: str, within_s: float) -> str:
    """Return what a service of ours that wants no traffic says of it, nothing if it wants some."""
    status, body = asked(address, "/readyz", within_s)
    error = _object(body).get("error")
    if status != HTTPStatus.SERVICE_UNAVAILABLE or not isinstance(error, dict):
        return ""
    return str(error.get("message", ""))


def health(address: str, within_s: float) -> dict[str, Any]:
    """Return what a service of ours says of itself, nothing where none does, asked directly."""
    return _object(asked(address, "/healthz", within_s)[1])


def listens(address: str, within_s: float) -> bool:
    """Return whether anything takes connections at a host and port."""
    with suppress(OSError), closing(HTTPConnection(address, timeout=within_s)) as to:
        to.connect()
        return True
    return False


def _object(body: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        said = json.loads(body)
        return said if isinstance(said, dict) else {}
    return {}


def asked(address: str, path: str, within_s: float) -> tuple[int, bytes]:
    """Return the status and the body of an answer, 0 and nothing where there is none."""
    with suppress(OSError, HTTPException), closing(HTTPConnection(address, timeout=within_s)) as to:
        to.request("GET", path)
        answer = to.getresponse()
        return answer.status, answer.read(MOST_BYTES)
    return 0, b""


def _refuse_the_dead(children: Sequence[Child]) -> None:
    for child in children:
        code = child.process.poll()
        if code is not None:
            raise ConfigError(f"the {child.name} ended with code {code}: its own lines say why")


def watch(children: Sequence[Child]) -> int:
    """Return the exit code of the first child that ends."""
    while True:
        for child in children:
            code = child.process.poll()
            if code is not None:
                click.echo(f"the {child.name} ended with code {code}: stopping the rest", err=True)
                return code or 1
        time.sleep(POLL_S)


def end(children: Sequence[Child], within_s: float) -> None:
    """End the children, the scheduler first and what the service asks last."""
    for child in reversed(children):
        end_one(child, within_s)


def end_one(child: Child, within_s: float) -> None:
    """End a child and all that it has started; one that does not end in time is killed."""
    tell(child, signal.SIGTERM)
    try:
        child.process.wait(within_s)
    except subprocess.TimeoutExpired:
        click.echo(f"the {child.name} did not end in {within_s:.0f} s: killed", err=True)
        tell(child, signal.SIGKILL)
        child.process.wait()
    _outlast(child)


def tell(child: Child, how: signal.Signals) -> bool:
    """Signal a child and all that it has started; return whether anybody was left to tell."""
    try:
        os.killpg(child.process.pid, how)
    except ProcessLookupError:
        return False
    return True


def _outlast(child: Child) -> None:
    """Return when nothing is left of a child's session: a killed parent leaves its children."""
    give_up_at = time.monotonic() + LEFT_BEHIND_S
    while tell(child, signal.SIGTERM):
        if time.monotonic() > give_up_at:
            tell(child, signal.SIGKILL)
        time.sleep(POLL_S)
