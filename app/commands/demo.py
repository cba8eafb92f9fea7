"""Traffic for the sandbox: prompts with known answers, and thumbs from users who can check them.

The users are simulated, the service is not: every prompt and thumb goes over HTTP. What always
asking the dearest arm would have brought is known exactly, because the sandbox's models are.
"""

import http.client
import itertools
import json
import random
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from app.commands.told import tell
from app.given import command
from app.settings import Settings
from policy.errors import ConfigError, InvalidInput
from policy.types import Arm
from upstream.catalogue import load
from upstream.sandbox import sandbox_responder
from upstream.tasks import Task, is_right, tasks

CALLERS = 8
SHOW_EVERY_S = 0.5
TIMEOUT_S = 60.0
WIDE = 34
"""How wide the names are in the table, if none is longer."""
SHOWN_ARMS = 3
"""How many arms the progress line has room for."""


@dataclass(slots=True)
class Results:
    """What one way of choosing has brought so far."""

    right: int = 0
    cost_usd: float = 0.0
    prompts: int = 0

    def add(self, right: bool, cost_usd: float) -> None:
        """Count one answer."""
        self.right += right
        self.cost_usd += cost_usd
        self.prompts += 1

    @property
    def satisfaction(self) -> float:
        """Return the share of right answers."""
        return self.right / max(self.prompts, 1)


@dataclass(slots=True)
class DemoRun:
    """A demo under way; `lately` is the second half, when most has been learned."""

    turnpike: Results = field(default_factory=Results)
    lately: Results = field(default_factory=Results)
    always: dict[str, Results] = field(default_factory=dict)
    shares: Counter[str] = field(default_factory=Counter)
    thumbs: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def demo(
    settings: Settings,
    prompts: int,
    rated: float,
    seed: int,
    *,
    key: str | None = None,
    as_json: bool = False,
) -> int:
    """Send the prompts, show progress, print the table; return 1 if a request failed.

    `key` is for a service that asks for one; by default that of the settings.

    raises : InvalidInput if the key is none; ConfigError if no sandbox service answers
    """
    service = ServiceClient(settings, key)
    _require_sandbox(service.get("/policy"), settings)
    arms = load(settings.arms).arms
    run = DemoRun(always={name: Results() for name in arms})
    asked = list(itertools.islice(tasks(random.Random(seed)), prompts))  # noqa: S311
    ended = threading.Event()
    watched = threading.Thread(target=_show, args=(run, prompts, ended), daemon=True)
    watched.start()
    pool = ThreadPoolExecutor(CALLERS)
    try:
        jobs = [
            pool.submit(_one, service, task, arms, run, i >= prompts // 2, rated, seed + i)
            for i, task in enumerate(asked)
        ]
        failures = [error for job in jobs if (error := job.exception()) is not None]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        service.hang_up()  # who interrupts us waits for no answer
    ended.set()
    watched.join()
    for error in failures[:3]:
        click.echo(f"a request failed: {error}", err=True)
    if not run.turnpike.prompts:
        click.echo("every request failed, so there is nothing to compare", err=True)
        return 1
    tell(as_data(run), "\n".join(table(run, arms)), as_json=as_json)
    return int(bool(failures))


class ServiceClient:
    """A running service, over HTTP; one connection for each thread."""

    def __init__(self, settings: Settings, key: str | None = None) -> None:
        self._host, _, port = settings.bind.rpartition(":")
        self._port = int(port)
        self._headers = {"Content-Type": "application/json"}
        if key is None and settings.api_key is not None:
            key = settings.api_key.get_secret_value()
        if key is not None:
            if re.fullmatch("[!-~]+", key) is None:
                raise InvalidInput(
                    "key is none: it must be letters, digits and signs, without spaces", param="key"
                )
            self._headers["Authorization"] = f"Bearer {key}"
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    def get(self, path: str) -> dict[str, Any]:
        """Return what the service answers to a GET."""
        return self._request("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the service answers to a POST."""
        return self._request("POST", path, json.dumps(body).encode())

    def hang_up(self) -> None:
        """Let no thread wait for an answer any longer: what is under way fails."""
        for each in self._connections:
            with suppress(OSError, AttributeError):  # it may be closed already
                each.sock.shutdown(socket.SHUT_RDWR)

    def _request(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        connection = self._connection()
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.IncompleteRead) as error:
            connection.close()
            raise ConfigError(
                f"no answer from {self._host}:{self._port}: {error!r}; "
                f"start it with {command()} serve"
            ) from error
        except (http.client.HTTPException, ValueError) as error:
            connection.close()
            raise _is_another(f"{self._host}:{self._port}") from error
        match answer:
            case {"error": {"message": message}}:
                raise ConfigError(f"{method} {path}: {message}")
            case dict():
                return answer
        raise _is_another(f"{self._host}:{self._port}")

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(
                self._host, self._port, timeout=TIMEOUT_S
            )
            self._connections.append(self._local.connection)
        connection: http.client.HTTPConnection = self._local.connection
        return connection


def _one(
    service: ServiceClient,
    task: Task,
    arms: Mapping[str, Arm],
    run: DemoRun,
    late: bool,
    rated: float,
    seed: int,
) -> None:
    """Ask one task, check the answer as its user would, and perhaps give a thumb."""
    body = {"messages": list(task.messages), "task": task.task_tag}
    answer = service.post("/complete", body)
    right = is_right(task, answer["text"])
    gives_thumb = random.Random(seed).random() < rated  # noqa: S311
    if gives_thumb:
        service.post("/feedback", {"id": answer["id"], "thumbs": "up" if right else "down"})
    with run.lock:
        run.thumbs += gives_thumb
        run.shares[answer["arm"]] += 1
        run.turnpike.add(right, answer["cost_usd"])
        if late:
            run.lately.add(right, answer["cost_usd"])
        for name, arm in arms.items():
            run.always[name].add(*_would_have(task, arm))


def _would_have(task: Task, arm: Arm) -> tuple[bool, float]:
    """Return what another arm would have answered: the sandbox gives the same answer every time."""
    reply = sandbox_responder(0.0)(arm.model, {"messages": list(task.messages)})
    return is_right(task, reply.text), arm.cost_usd(reply.input_tokens, reply.output_tokens)


def table(run: DemoRun, arms: Mapping[str, Arm]) -> Iterator[str]:
    """Yield the lines of the result, Turnpike beside every single arm."""
    dearest = max(arms.values(), key=lambda arm: run.always[arm.name].cost_usd).name
    base = run.always[dearest].cost_usd
    yield ""
    rows = [(f"always {name}", tally) for name, tally in run.always.items()]
    wide = max(WIDE, *(len(name) for name, _ in rows))
    yield f"{'':{wide}}{'satisfaction':>13}{'cost':>12}{'of dearest':>12}"
    rows.sort(key=lambda row: -row[1].cost_usd)
    for name, tally in [*rows, ("Turnpike", run.turnpike), ("Turnpike, second half", run.lately)]:
        if not tally.prompts:
            yield f"{name:{wide}}{'nothing was answered':>35}"
            continue
        share = tally.cost_usd / tally.prompts / (base / run.turnpike.prompts)
        yield f"{name:{wide}}{tally.satisfaction:>12.1%} {tally.cost_usd:>10.4f}$ {share:>10.0%}"
    yield ""
    yield f"{run.turnpike.prompts} sandbox prompts, {run.thumbs} thumbs; nothing was billed."


def as_data(run: DemoRun) -> dict[str, Any]:
    """Return the result for scripts."""
    ways = {**run.always, "turnpike": run.turnpike, "turnpike second half": run.lately}
    told = {
        name: {**asdict(tally), "satisfaction": tally.satisfaction if tally.prompts else None}
        for name, tally in ways.items()
    }
    return {"prompts": run.turnpike.prompts, "thumbs": run.thumbs, "ways": told}


def _show(run: DemoRun, prompts: int, ended: threading.Event) -> None:
    """Show one line of progress until the demo has ended."""
    live = sys.stderr.isatty()
    started, before = time.monotonic(), -1
    is_over = False
    while not is_over:
        is_over = ended.wait(SHOW_EVERY_S)
        done = run.turnpike.prompts
        if live or done // 200 != before // 200:
            click.echo(_line(run, prompts, time.monotonic() - started), err=True, nl=not live)
        before = done
    click.echo("", err=True)


def _line(run: DemoRun, prompts: int, elapsed_s: float) -> str:
    done = run.turnpike.prompts
    left_s = (prompts - done) * elapsed_s / max(done, 1)
    most = run.shares.most_common(SHOWN_ARMS)
    shares = "  ".join(f"{arm} {count / max(done, 1):.0%}" for arm, count in most)
    start = "\r\033[K" if sys.stderr.isatty() else ""
    told = f"{done}/{prompts}  satisfied {run.turnpike.satisfaction:.1%}"
    return f"{start}{told}  ${run.turnpike.cost_usd:.4f}  {shares}  {left_s:.0f} s left"


def _is_another(bind: str) -> ConfigError:
    return ConfigError(
        f"something else than Turnpike answers at {bind}; end it, or choose another address for "
        f"{command()} serve and demo with TURNPIKE_BIND"
    )


def _require_sandbox(policy: Mapping[str, Any], settings: Settings) -> None:
    if "sandbox" not in policy:
        raise _is_another(settings.bind)
    if not policy["sandbox"]:
        raise ConfigError(
            f"the service at {settings.bind} asks real providers, and the demo would spend real "
            "money; start one with TURNPIKE_SANDBOX=on"
        )
