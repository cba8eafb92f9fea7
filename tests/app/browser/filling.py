"""A service whose log holds a month of a team's traffic, without waiting a month for it."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from bench.filled import fill
from storage.records import Retrain
from tests.app.running import Provider, Running, running
from tests.storage.rounds import but
from upstream.tasks import is_right, tasks

ASKED = 160
DAY_S = 86_400.0

REPORT = {
    "rule": "value",
    "rounds": 412,
    "ess": 268.4,
    "candidate": {"mean": 0.8412, "se": 0.0121, "blind": 0.0},
    "incumbent": {"mean": 0.8127, "se": 0.0119, "blind": 0.0},
    "candidate_snips": {"mean": 0.8390, "se": 0.0140, "blind": 0.0},
    "incumbent_snips": {"mean": 0.8135, "se": 0.0138, "blind": 0.0},
    "gain": {"mean": 0.0285, "se": 0.0094, "blind": 0.0},
    "candidate_calibration": 0.021,
    "incumbent_calibration": 0.034,
    "spend_ratio": 0.91,
    "largest_share_move": 0.12,
}


def lived_in(folder: Path, provider: Provider, decisions: int) -> None:
    """Leave a log of so many decisions in a folder, with retrains; nothing has it open."""
    with running(folder, sandbox_url=provider.url) as service:
        for task in islice(tasks(random.Random(3)), ASKED):
            answer = service.ask(task.prompt, task=task.task_tag)
            if random.Random(answer["text"]).random() < 0.3:
                service.rate(answer["id"], "up" if is_right(task, answer["text"]) else "down")
        retrained(service)
    fill(folder / "turnpike.db", decisions, time.time())


def retrained(service: Running) -> None:
    """Record three retrains as they may come: too early, promoted, and not good enough."""
    log, now_s = service.parts.log, time.time()
    first = log.latest_policy()
    assert first is not None
    early = Retrain(
        id="r1",
        started_at_s=now_s - 9 * DAY_S,
        ended_at_s=now_s - 9 * DAY_S + 0.4,
        trigger="schedule",
        incumbent_version=1,
        candidate_version=None,
        promoted=False,
        reason="not enough feedback yet: 18 rated outcomes and evals (25 needed), 61 prompts "
        "(20 needed)",
        report={"rule": "none", "outcomes": 18, "prompts": 61},
    )
    promoted = but(
        early,
        id="r2",
        started_at_s=now_s - 2 * DAY_S,
        ended_at_s=now_s - 2 * DAY_S + 2.8,
        trigger="feedback",
        candidate_version=2,
        promoted=True,
        reason="not worse on 412 newer rounds: +0.0285 per decision (95 % +0.0101 to +0.0469)",
        report=REPORT,
    )
    worse = but(
        promoted,
        id="r3",
        started_at_s=now_s - 4_000,
        ended_at_s=now_s - 3_997,
        incumbent_version=2,
        candidate_version=3,
        promoted=False,
        reason="it is worse: its value differs by -0.0262 per decision (95 % -0.0491 to -0.0033)",
        report=REPORT | {"gain": {"mean": -0.0262, "se": 0.0117, "blind": 0.0}},
    )
    for each in (early, promoted, worse):
        log.record_retrain(each).wait()
    log.adopt(replace(first, version=2, source="retrain", created_at_s=now_s - 2 * DAY_S)).wait()


@contextmanager
def running_with(folder: Path, provider: Provider, decisions: int) -> Iterator[Running]:
    """Yield a service over a log of so many decisions."""
    lived_in(folder, provider, decisions)
    with running(folder, sandbox_url=provider.url) as service:
        yield service
