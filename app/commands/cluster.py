"""Three replicas, one PostgreSQL and a load balancer on this machine: a trial of the whole.

Everything lies in one temporary folder and is gone afterwards, unless TURNPIKE_DATABASE names a
PostgreSQL of yours: then that one is used, and kept.
"""

import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

import click
from pydantic import SecretStr

from app.commands.demo import demo
from app.given import PREFIX
from app.processes.children import SERVICE, Child, end_one, start, tell, wait_until_ready
from app.processes.orphan import PARENT
from app.settings import Settings
from storage.place import is_postgres, shown
from storage.postgres_server import PostgresServer, free_port, opened_folder

ENDED_WITHIN_S = 60.0
AGREE_WITHIN_S = 60.0
POLL_S = 0.1
EACH_ONES = {"database", "data", "bind", "secret", "api_key", "sandbox", "sandbox_url"}


class Cluster:
    """Replicas behind one address; each can be ended and started again by its number."""

    def __init__(self, folder: Path, settings: Settings, replicas: int) -> None:
        self._folder = folder
        self._settings = settings
        self._ending = ExitStack()
        self._children: dict[str, Child] = {}
        self._environs: list[dict[str, str]] = []
        self.server: PostgresServer | None = None
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(replicas)]
        self.url = ""
        self.database = ""

    def __enter__(self) -> Self:
        with self._ending:
            self._start()
            self._ending = self._ending.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ending.close()

    def restart(self, number: int, how: signal.Signals = signal.SIGTERM) -> None:
        """End one replica, in order or by a kill, and start it again."""
        name = f"replica {number}"
        if how == signal.SIGTERM:
            end_one(self._children[name], ENDED_WITHIN_S)
        else:
            tell(self._children[name], how)
            self._children[name].process.wait()
        self._start_replica(number)
        self._wait(name, self.addresses[number])

    def policies(self) -> list[dict[str, Any]]:
        """Return what each replica has learned."""
        return [_policy(address) for address in self.addresses]

    def agree(self) -> list[dict[str, Any]] | None:
        """Return what all replicas have learned, once it is the same; None if it stays different.

        The events are the log's, so it is the same once all have followed it to its end.
        """
        give_up_at = time.monotonic() + AGREE_WITHIN_S
        while time.monotonic() < give_up_at:
            policies = self.policies()
            if len({(each["learned_events"], each["learned_sha256"]) for each in policies}) == 1:
                return policies
            time.sleep(POLL_S)
        return None

    def _start(self) -> None:
        self.database = self._database()
        sandbox = f"127.0.0.1:{free_port()}"
        ours = {**handed_on(self._settings), PARENT: str(os.getpid())}
        port = sandbox.rpartition(":")[2]
        self._begin("sandbox", ("app", "sandbox", "--port", port), ours, sandbox)
        shared = {
            "TURNPIKE_DATABASE": self.database,
            "TURNPIKE_SECRET": secrets.token_urlsafe(48),
            "TURNPIKE_SANDBOX": "on",
            "TURNPIKE_SANDBOX_URL": f"http://{sandbox}/v1",
            "TURNPIKE_LOG_LEVEL": "warning",
        }
        for number, address in enumerate(self.addresses):
            own = {"TURNPIKE_BIND": address, "TURNPIKE_DATA": str(self._folder / str(number))}
            self._environs.append({**ours, **shared, **own})
            self._start_replica(number)
        for number, address in enumerate(self.addresses):
            self._wait(f"replica {number}", address)
            self._begin(f"scheduler {number}", ("app", "work"), self._environs[number])
        balancer = f"127.0.0.1:{free_port()}"
        to = [word for address in self.addresses for word in ("--to", address)]
        command = ("app", "balance", "--port", balancer.rpartition(":")[2], *to)
        self._begin("balancer", command, ours, balancer)
        self.url = f"http://{balancer}"

    def _database(self) -> str:
        given = self._settings.database
        if isinstance(given, str):
            return given
        self.server = self._ending.enter_context(PostgresServer(self._folder / "postgres"))
        return self.server.url

    def _start_replica(self, number: int) -> None:
        self._begin(f"replica {number}", SERVICE, self._environs[number])

    def _begin(
        self,
        name: str,
        command: tuple[str, ...],
        environ: Mapping[str, str],
        address: str | None = None,
    ) -> None:
        known = name in self._children
        self._children[name] = start(name, command, environ)
        if not known:
            self._ending.callback(lambda: end_one(self._children[name], ENDED_WITHIN_S))
        if address is not None:
            self._wait(name, address)

    def _wait(self, name: str, address: str) -> None:
        wait_until_ready(name, address, list(self._children.values()))


def cluster(settings: Settings, replicas: int, prompts: int, *, stay: bool) -> int:
    """Start it all, run the demo against it, show that the replicas agree; return the exit code."""
    kept = is_postgres(settings.database)
    where = shown(settings.database) if kept else "a PostgreSQL of its own"
    click.echo(f"starting {replicas} replicas, a balancer and {where} ...", err=True)
    with opened_folder() as folder, Cluster(folder, settings, replicas) as running:
        click.echo(f"balancer {running.url}, replicas {', '.join(running.addresses)}")
        address = running.url.removeprefix("http://")
        code = demo(settings.model_copy(update={"bind": address}), prompts, 1.0, 0)
        policies = running.agree()
        if policies is None:
            click.echo("the replicas do not agree", err=True)
            return 1
        for at, policy in zip(running.addresses, policies, strict=True):
            told = f"policy {policy['policy_version']}, {policy['learned_events']} events"
            click.echo(f"replica {at}: {told}, sha256 {policy['learned_sha256'][:16]}")
        if stay:
            click.echo(f"Turnpike answers at {running.url}. Ctrl-C ends it.")
            signal.pause()
        return code


def handed_on(settings: Settings) -> dict[str, str]:
    """Return the environment of a replica: ours, with the settings that are not each one's own."""
    given = settings.model_dump(include=settings.model_fields_set - EACH_ONES)
    ours = {f"{PREFIX}{name.upper()}": _plain(value) for name, value in given.items()}
    return {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)} | ours


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _policy(replica: str) -> dict[str, Any]:
    with closing(HTTPConnection(replica, timeout=10)) as to:
        to.request("GET", "/policy")
        answer: dict[str, Any] = json.load(to.getresponse())
        return answer
