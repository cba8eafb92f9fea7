"""Start everything and end it together: the service, the scheduler and, without keys, the sandbox.

Each is a child process in a session of its own, so that one Ctrl-C reaches only us and we end them
in order: the service drains first. A child that dies unasked ends the rest; a child whose parent is
gone ends itself.
"""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click

from app.agreement import require_agreement
from app.given import command
from app.keys.keyring import require_a_key
from app.mode import folders, missing_keys
from app.processes.children import SERVICE, Child, end, start, wait_until_ready, watch
from app.processes.orphan import PARENT
from app.settings import Settings
from policy.errors import ConfigError
from storage.stores import exists, open_reader
from upstream.catalogue import Catalogue, key_of, load
from upstream.provider import listening

ENDED_WITHIN_S = 15.0
SANDBOX_URL = "TURNPIKE_SANDBOX_URL"


class Stop(Exception):
    """Somebody asked us to stop."""


def serve(settings: Settings, environ: Mapping[str, str] = os.environ) -> int:
    """Run until asked to stop; return the exit code. The settings are those in force.

    raises : ConfigError before anything is started
    """
    catalogue = load(settings.arms)
    require_agreement(settings, catalogue)
    _require_providers_keys(settings, catalogue, environ)
    require_a_key(settings, asks=settings.is_loopback or _has_keys(settings))
    _refuse_a_taken_port(settings)
    for folder in folders(settings):
        _make(folder)
    children: list[Child] = []
    try:
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGINT, _stop)
        environ = {**environ, PARENT: str(os.getpid())}
        sandbox = _sandbox(settings, environ, children)
        handed_on = {**environ, **sandbox}
        children.append(start("service", SERVICE, handed_on))
        if SANDBOX_URL in sandbox:
            wait_until_ready("sandbox", urlsplit(sandbox[SANDBOX_URL]).netloc, children)
        wait_until_ready("service", settings.bind, children)
        children.append(start("scheduler", ("app", "work"), handed_on))
        _greet(settings, handed_on)
        return watch(children)
    except Stop:
        return 0
    finally:
        _listen_no_more()
        end(children, settings.drain_s + ENDED_WITHIN_S)


def _require_providers_keys(
    settings: Settings, catalogue: Catalogue, environ: Mapping[str, str]
) -> None:
    if settings.sandbox == "off":
        for provider in catalogue.providers.values():
            key_of(provider, environ)


def _has_keys(settings: Settings) -> bool:
    """Return whether a key is asked for: that of the settings, or one of the log."""
    if settings.api_key is not None or not exists(settings.database):
        return settings.api_key is not None
    with open_reader(settings.database) as log:
        return log.keys_changed() > 0


def _sandbox(
    settings: Settings, environ: Mapping[str, str], children: list[Child]
) -> dict[str, str]:
    """Start the sandbox if it is wanted; return the settings that tell the others.

    We listen for it, so that the service can start beside it: who calls before it does waits.
    """
    if settings.sandbox == "off":
        return {"TURNPIKE_SANDBOX": "off"}
    with listening() as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        children.append(start("sandbox", ("app", "sandbox", "--listener", str(fd)), environ, (fd,)))
    return {"TURNPIKE_SANDBOX": "on", SANDBOX_URL: f"http://127.0.0.1:{port}/v1"}


def _greet(settings: Settings, environ: Mapping[str, str]) -> None:
    url = f"http://{settings.bind}"
    if SANDBOX_URL in environ:
        missing = ", ".join(missing_keys(load(settings.arms), environ)) or "not needed"
        click.secho("SANDBOX: synthetic models answer, nothing is billed.", fg="yellow", bold=True)
        click.echo(f"  For your provider, set its key ({missing}) and start again.")
    click.echo(f"Turnpike answers at {url} and learns from every thumb. Ctrl-C ends it.")
    click.echo(f"  {url}/ in a browser shows what it spends, believes and decides.")
    click.echo(f"""  curl {url}/complete -H 'content-type: application/json' \\
       -d '{{"prompt": "What is 17 * 23?", "task": "maths"}}'
  curl {url}/policy""")
    if SANDBOX_URL in environ:
        click.echo(f"  {command()} demo      sends prompts and thumbs, and shows what is learned")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} cannot be made: {error.strerror}; "
            "name one that this user may write with TURNPIKE_DATABASE (or TURNPIKE_DATA)"
        ) from error


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


def _stop(_signal: int, _frame: FrameType | None) -> None:
    _listen_no_more()
    raise Stop


def _listen_no_more() -> None:
    for another in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # We are ending already, and take care to finish. Python tells of one that is ignored late.
        signal.signal(another, lambda _signal, _frame: None)
