"""The whole service in this process, on a temporary folder, with a real provider behind it."""

import csv
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.processes.wsgi import create_app
from app.settings import Settings
from app.wiring import Parts, assemble
from jobs.learned import Learned
from storage.snapshots import digest
from upstream.catalogue import load
from upstream.provider import Responder, serve
from upstream.replies import Reply
from upstream.sandbox import sandbox_responder
from upstream.tasks import is_right, tasks

CATALOGUE = Path("data/arms.toml")
ARM = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "context_window": 8000}
SUM = "What is 17 * 23?"
BESIDE = "turnpike.db-beside"
"""The folder of what lies beside the log of `running`."""


def catalogue(
    folder: Path,
    url: str,
    arms: Mapping[str, Mapping[str, Any]],
    provider: Mapping[str, Any] | None = None,
) -> Path:
    """Write a catalogue of one provider; an arm's model has the arm's name unless it says so."""
    lines = ["[provider.p]", f"base_url = {json.dumps(url)}"]
    lines += [f"{key} = {_toml(value)}" for key, value in (provider or {}).items()]
    for name, more in arms.items():
        lines.append(f"[arm.{name}]")
        fields = {"provider": "p", "model": name, **ARM, **more}
        lines += [f"{key} = {_toml(value)}" for key, value in fields.items()]
    path = folder / "arms.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


@dataclass
class Provider:
    """A sandbox that counts how often it is asked."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def responder(self, latency_s: float) -> Responder:
        answer = sandbox_responder(latency_s)

        def respond(model: str, body: dict[str, Any]) -> Reply:
            self.bodies.append(body)
            return answer(model, body)

        return respond


@contextmanager
def sandbox(arms: Path = CATALOGUE, latency_s: float = 0.0) -> Iterator[Provider]:
    """Yield a sandbox on a free port that answers for all arms of a catalogue."""
    provider = Provider()
    models = [arm.model for arm in load(arms).arms.values()]
    with serve(provider.responder(latency_s), lambda: models, label="sandbox") as serving:
        provider.url = serving.url
        yield provider


@dataclass
class Running:
    """A running service, with a client that speaks to its WSGI application."""

    parts: Parts
    client: FlaskClient

    @property
    def learned(self) -> Learned:
        return self.parts.live.learned

    @property
    def digest(self) -> str:
        return digest(self.learned.to_arrays())

    def post(self, path: str, body: object) -> TestResponse:
        return self.client.post(path, json=body)

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json

    def ask(self, prompt: str = SUM, **more: Any) -> Any:
        response = self.post("/complete", {"prompt": prompt, **more})
        assert response.status_code == 200, response.text
        return response.json

    def rate(self, decision_id: str, thumbs: str = "up", **more: Any) -> Any:
        response = self.post("/feedback", {"id": decision_id, "thumbs": thumbs, **more})
        assert response.status_code == 200, response.text
        return response.json

    def health(self, arm: str) -> Any:
        return next(each["health"] for each in self.get("/policy")["arms"] if each["arm"] == arm)

    def refused(self, path: str, body: object) -> tuple[int, Any]:
        response = self.post(path, body)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json["error"]


@contextmanager
def running(
    folder: Path, arms: Path = CATALOGUE, clock: Callable[[], float] = time.monotonic, **dials: Any
) -> Iterator[Running]:
    """Yield the service; `sandbox_url` among the dials sends every arm there."""
    given = {"arms": arms, "database": folder / "turnpike.db", "spool_bytes": 65_536, **dials}
    parts = assemble(Settings.load({}, given), {}, clock)
    try:
        with create_app(parts).test_client() as client:
            yield Running(parts, client)
    finally:
        parts.close()


def evals_table(path: Path, prompts: int = 100) -> Path:
    """Write what each arm of the catalogue scores on some tasks, as a team's own evals would."""
    arms, answer = load(CATALOGUE).arms, sandbox_responder(0.0)
    with path.open("w", newline="", encoding="utf-8") as lines:
        table = csv.writer(lines)
        table.writerow(["prompt", "task", *arms])
        for task in islice(tasks(random.Random(1)), prompts):
            asked = {"messages": [{"role": "user", "content": task.prompt}]}
            texts = [answer(arm.model, asked).text for arm in arms.values()]
            table.writerow([task.prompt, task.task_tag, *(int(is_right(task, t)) for t in texts)])
    return path


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Return whether something came true in time."""
    give_up_at = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True
