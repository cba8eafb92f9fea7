"""Made-up decisions in a real log, so that a fold of it pays for reading them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench.refold import ARMS, BLOCK, Folded, InOrder, MadeUp, begun, in_order, run
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.refold import LogSource
from policy.types import DAY_S
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.records import Decision, Outcome
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader

TENANT = "bench"
TOGETHER = 64
YEAR_S = 365 * DAY_S
PROMPT = "Please sum up the attached minutes of our meeting in five points for the board. " * 6


def in_a_log(made_up: MadeUp, workers: Sequence[int]) -> tuple[list[Folded], InOrder]:
    """Return how the fold of these decisions goes when they are read from an SQLite log."""
    start = begun(made_up.dimensions)
    with TemporaryDirectory() as folder:
        path = Path(folder, "turnpike.db")
        write(path, made_up)
        with SqliteReader(path) as log:
            source, positions = LogSource(partial(SqliteReader, path)), log.position()
            runs = [run(source, positions, made_up, n, size=BLOCK // 2) for n in workers]
            return runs, in_order(log.events(), runs[0].learned, start)


def write(path: Path, made_up: MadeUp) -> None:
    """Record the decisions with their outcomes and ratings, as the service would."""
    sketch = Sketch.of(Prompt.of([{"role": "user", "content": PROMPT}])).to_bytes()
    events = list(made_up.events(0, made_up.decisions))
    with SqliteLog(path) as log, click.progressbar(events, label="writing a log") as writing:
        rated = [event for event in writing if not _answered(log, event, sketch)]
        # A rating waits until it is durable: many at a time share a flush of the disk.
        with ThreadPoolExecutor(TOGETHER) as raters:
            for done in [raters.submit(_rated, log, event) for event in rated]:
                done.result()


def _answered(log: SqliteLog, event: Event, sketch: bytes) -> bool:
    """Record an answer, and return whether it was one."""
    if not isinstance(event, OutcomeEvent):
        return False
    log.decide(_decision(event, sketch))
    log.settle(_outcome(event))
    return True


def _rated(log: SqliteLog, event: Event) -> None:
    if isinstance(event, FeedbackEvent):
        log.rate(
            event.decision_id, "user", event.reward, at_s=event.at_s, tenant=TENANT, window_s=YEAR_S
        )


def _decision(event: OutcomeEvent, sketch: bytes) -> Decision:
    return Decision(
        id=event.decision_id,
        decided_at_s=event.at_s,
        tenant=TENANT,
        task=None,
        session=None,
        policy="uniform",
        policy_version=1,
        learned_seq=0,
        kind="routed",
        retry_of=None,
        arm=event.arm,
        propensity=1 / len(ARMS),
        eligible=ARMS,
        propensities=(1 / len(ARMS),) * len(ARMS),
        quality=(0.7,) * len(ARMS),
        quality_sd=(0.1,) * len(ARMS),
        cost_usd_predicted=(0.001,) * len(ARMS),
        ineligible={},
        willingness_to_pay_usd=0.01,
        explore=True,
        allowance=1.0,
        feature_version=event.feature_version,
        context=event.context,
        sketch=sketch,
        input_tokens_estimated=0,
        prompt_sha256="",
        words=90,
    )


def _outcome(event: OutcomeEvent) -> Outcome:
    return Outcome(
        decision_id=event.decision_id,
        at_s=event.at_s,
        arm=event.arm,
        status=event.status,
        finish_reason="stop",
        model=event.arm,
        input_tokens=0,
        cached_tokens=0,
        output_tokens=event.output_tokens,
        usage_estimated=event.usage_estimated,
        cost_usd=0.001,
        latency_s=1.0,
        ttft_s=0.2,
    )
