"""Real prompts through the real service: only the models' answers are replayed.

The service, its scheduler, log and retrains are those of `python -m app serve` in processes of
their own. A provider on a socket answers each prompt with the recorded outcome of the model that
was asked; thumbs are drawn from the recorded scores.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.course import lay
from bench.options import Options
from bench.replay import Played
from bench.serving import ask, free_bind, port_of, serving
from bench.tables import Table
from upstream.provider import serve
from upstream.replies import Reply

CALLERS = 8
SHOW_EVERY_S = 5.0
WINDOW = 10_000_000


@dataclass(frozen=True, slots=True)
class Sending:
    """How a table's prompts are sent: `per_s` prompts a second, `options` as in a replay."""

    options: Options
    per_s: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back for one prompt."""

    row: int
    arm: int
    reward: float
    cost_usd: float
    rated: bool


@dataclass(frozen=True, slots=True)
class Lived:
    """A finished run: what was played, how many were rated, and what the service says of itself."""

    played: Played
    rated: int
    policy: Mapping[str, Any]


def run(table: Table, traffic: Sending) -> Lived:
    """Return what the service made of the table's prompts; progress goes to stderr.

    raises : TimeoutError if the service does not start, RuntimeError if it refuses a prompt
    """
    with TemporaryDirectory() as folder, serve(_responder(table), lambda: table.names) as provider:
        settings = _settings(table, Path(folder), provider.url, traffic)
        with serving(settings):
            port = port_of(settings)
            answers = list(_send(table, traffic, port))
            policy = ask(port, "GET", "/policy")
    played = Played.none(np.array([each.row for each in answers]))
    for t, each in enumerate(answers):
        played.arms[t], played.reward[t], played.cost_usd[t] = each.arm, each.reward, each.cost_usd
    return Lived(played, sum(each.rated for each in answers), policy)


def _responder(table: Table) -> Any:
    places = {name: i for i, name in enumerate(table.names)}

    def respond(model: str, body: dict[str, Any]) -> Reply:
        row, arm = int(body["metadata"]["row"]), places[model]
        text = f"What {model} answered here scored {table.scores[row, arm]:.3f}."
        counted = int(table.input_tokens[row]), int(table.output_tokens[row, arm])
        return Reply(text, max(counted[0], 1), max(counted[1], 1))

    return respond


def _settings(table: Table, folder: Path, provider_url: str, traffic: Sending) -> dict[str, str]:
    catalogue = folder / "arms.toml"
    catalogue.write_text("\n".join(_catalogue(table, provider_url)), encoding="utf-8")
    return {
        "TURNPIKE_ARMS": str(catalogue),
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": free_bind(),
        "TURNPIKE_SANDBOX": "off",
        "TURNPIKE_POLICY": traffic.options.policy,
        "TURNPIKE_WILLINGNESS_TO_PAY_USD": str(traffic.options.willingness_to_pay_usd),
        "TURNPIKE_LOG_LEVEL": "error",
    }


def _catalogue(table: Table, provider_url: str) -> Iterator[str]:
    yield f"[provider.replay]\nbase_url = {json.dumps(provider_url)}"
    for arm in table.arms:
        yield f"""
[arm.{json.dumps(arm.name)}]
provider = "replay"
model = {json.dumps(arm.model)}
input_usd_per_mtok = {arm.input_usd_per_mtok:.9f}
output_usd_per_mtok = {arm.output_usd_per_mtok:.9f}
context_window = {WINDOW}"""


def _send(table: Table, traffic: Sending, port: int) -> Iterator[Answered]:
    """Send the prompts in the order of the seed, at the pace asked for, and yield the answers."""
    rows = lay(table, traffic.options, traffic.seed).rows
    rng = np.random.default_rng([traffic.seed, 1])
    rated = rng.random(len(rows)) < traffic.options.feedback
    thumbs = rng.random(len(rows))
    started = shown = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as callers:
        jobs = []
        for t, row in enumerate(rows.tolist()):
            time.sleep(max(started + t / traffic.per_s - time.monotonic(), 0.0))
            prompt = _Prompt(table, traffic.options, row, bool(rated[t]), float(thumbs[t]))
            jobs.append(callers.submit(_one, prompt, port))
            if time.monotonic() - shown > SHOW_EVERY_S:
                shown = time.monotonic()
                _show(t + 1, len(rows), shown - started)
        for job in jobs:
            yield job.result()


@dataclass(frozen=True, slots=True)
class _Prompt:
    table: Table
    options: Options
    row: int
    rated: bool
    thumb: float


def _one(prompt: _Prompt, port: int) -> Answered:
    """Ask one prompt and perhaps rate the answer, as its user would."""
    seen = prompt.table.seen(prompt.row, prompt.options.context)
    body: dict[str, Any] = {"prompt": seen.text or "-", "metadata": {"row": str(prompt.row)}}
    if seen.task is not None:
        body["task"] = seen.task
    answer = ask(port, "POST", "/complete", body)
    arm = prompt.table.names.index(answer["arm"])
    score = float(prompt.table.scores[prompt.row, arm])
    if prompt.rated:
        reward = float(prompt.thumb < score) if prompt.options.binary else score
        ask(port, "POST", "/feedback", {"id": answer["id"], "reward": reward})
    return Answered(prompt.row, arm, score, answer["cost_usd"], prompt.rated)


def _show(sent: int, prompts: int, elapsed_s: float) -> None:
    left_s = elapsed_s / sent * (prompts - sent)
    print(f"{sent} of {prompts} prompts sent, {left_s:.0f} s left", file=sys.stderr, flush=True)
