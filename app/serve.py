"""Start everything and end it together: the service, the scheduler and, without keys, the sandbox.

Each is a child process in a session of its own, so that one Ctrl-C reaches only us and we end them
in order: the service drains first. A child that dies unasked ends the rest; a child whose parent is
gone ends itself.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import FrameType
from urllib.request import urlopen

import click

from app.keyring import require_a_key
from app.mode import missing_keys
from app.orphan import PARENT
from app.settings import Settings
from policy.errors import ConfigError
from storage.stores import exists, open_reader
from upstream.catalogue import load

ENDED_WITHIN_S = 15.0
LEFT_BEHIND_S = 5.0
READY_WITHIN_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Child:
    """One process of ours."""

    name: str
    process: subprocess.Popen[bytes]


class Stop(Exception):
    """Somebody asked us to stop."""


def serve(settings: Settings, environ: Mapping[str, str] = os.environ) -> int:
    """Run until asked to stop; return the exit code. The settings are those in force.

    raises : ConfigError before anything is started
    """
    load(settings.arms)
    require_a_key(settings, asks=settings.is_loopback or _has_keys(settings))
    _refuse_a_taken_port(settings)
    settings.folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    children: list[Child] = []
    try:
        environ = {**environ, PARENT: str(os.getpid())}
        handed_on = {**environ, **_sandbox(settings, environ, children)}
        gunicorn = ("gunicorn", "--config", "python:app.gunicorn_conf", "app.wsgi:application()")
        children.append(_start("service", gunicorn, handed_on))
        _wait_until_ready("service", f"http://{settings.bind}", children)
        children.append(_start("scheduler", ("app", "work"), handed_on))
        _greet(settings, handed_on)
        return _watch(children)
    except Stop:
        return 0
    finally:
        _end(children, settings.drain_s + ENDED_WITHIN_S)


def _has_keys(settings: Settings) -> bool:
    """Return whether a key is asked for: that of the settings, or one of the log."""
    if settings.api_key is not None or not exists(settings.database):
        return settings.api_key is not None
    with open_reader(settings.database) as log:
        return log.keys_changed() > 0


def _sandbox(
    settings: Settings, environ: Mapping[str, str], children: list[Child]
) -> dict[str, str]:
    """Start the sandbox if it is wanted; return the settings that tell the others."""
    if settings.sandbox == "off":
        return {"TURNPIKE_SANDBOX": "off"}
    port = _free_port()
    children.append(_start("sandbox", ("app", "sandbox", "--port", str(port)), environ))
    # Before the service, whose first request would otherwise find nobody on a busy machine.
    _wait_until_ready("sandbox", f"http://127.0.0.1:{port}", children)
    return {"TURNPIKE_SANDBOX": "on", "TURNPIKE_SANDBOX_URL": f"http://127.0.0.1:{port}/v1"}


def _start(name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Child:
    command = [sys.executable, "-m", *arguments]
    return Child(name, subprocess.Popen(command, env=dict(environ), start_new_session=True))  # noqa: S603


def _wait_until_ready(name: str, url: str, children: Sequence[Child]) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while not _answers(url):
        _refuse_the_dead(children)
        if time.monotonic() > give_up_at:
            raise ConfigError(f"the {name} did not answer within {READY_WITHIN_S:.0f} s")
        time.sleep(POLL_S)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/healthz", timeout=2.0) as response:  # noqa: S310
            return bool(response.status == HTTPStatus.OK)
    except OSError:
        return False


def _refuse_the_dead(children: Sequence[Child]) -> None:
    for child in children:
        code = child.process.poll()
        if code is not None:
            raise ConfigError(f"the {child.name} ended with code {code}: its own lines say why")


def _watch(children: Sequence[Child]) -> int:
    while True:
        for child in children:
            code = child.process.poll()
            if code is not None:
                click.echo(f"the {child.name} ended with code {code}: stopping the rest", err=True)
                return code or 1
        time.sleep(POLL_S)


def _end(children: Sequence[Child], within_s: float) -> None:
    """End the children, the scheduler first and what the service asks last."""
    for another in (signal.SIGINT, signal.SIGTERM):
        signal.signal(another, signal.SIG_IGN)  # we are ending already, and take care to finish
    for child in reversed(children):
        _end_session(child, signal.SIGTERM)
        try:
            child.process.wait(within_s)
        except subprocess.TimeoutExpired:
            click.echo(f"the {child.name} did not end in {within_s:.0f} s: killed", err=True)
            _end_session(child, signal.SIGKILL)
            child.process.wait()
        _outlast(child)


def _end_session(child: Child, how: signal.Signals) -> bool:
    """Tell a child and what it started to end; return whether anybody was left to tell."""
    try:
        os.killpg(child.process.pid, how)
    except ProcessLookupError:
        return False
    return True


def _outlast(child: Child) -> None:
    """Return when nothing is left of a child's session: a killed parent leaves its children."""
    give_up_at = time.monotonic() + LEFT_BEHIND_S
    while _end_session(child, signal.SIGTERM):
        if time.monotonic() > give_up_at:
            _end_session(child, signal.SIGKILL)
        time.sleep(POLL_S)


def _greet(settings: Settings, environ: Mapping[str, str]) -> None:
    url = f"http://{settings.bind}"
    if "TURNPIKE_SANDBOX_URL" in environ:
        missing = ", ".join(missing_keys(load(settings.arms), environ)) or "not needed"
        click.secho("SANDBOX: synthetic models answer, nothing is billed.", fg="yellow", bold=True)
        click.echo(f"  For your provider, set its key ({missing}) and start again.")
    click.echo(f"Turnpike answers at {url} and learns from every thumb. Ctrl-C ends it.")
    click.echo(f"  {url}/ in a browser shows what it spends, believes and decides.")
    click.echo(f"""  curl {url}/complete -H 'content-type: application/json' \\
       -d '{{"prompt": "What is 17 * 23?", "task": "maths"}}'
  curl {url}/policy
  ./run demo      sends prompts and thumbs, and shows what is learned""")


def _refuse_a_taken_port(settings: Settings) -> None:
    host, _, port = settings.bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise ConfigError(
                f"bind {settings.bind} cannot be used: {error.strerror}; "
                "free it, or choose another with TURNPIKE_BIND"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stop
