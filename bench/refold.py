"""A log too long for one machine, folded by sums: how fast, with how much memory, and how exactly.

The decisions are made up where they are added up, block by block from a seed, so that neither a
disk nor the process that asks is measured. What is compared with the fold in order are the same
decisions as learning events.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster, progress

from features.space import GROUPS, Space
from jobs.learned import Learned
from jobs.lessons import RATED, TOKENS, Lessons
from jobs.refold import Source, refolded
from policy.belief import Belief
from policy.decide import Beliefs
from policy.hyper import Hyper
from policy.types import DAY_S, Floats
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.snapshots import digest

ARMS = ("small", "medium", "large", "code", "long", "cheap")
BLOCK = 4_000
STRETCH = 25 * BLOCK
START_S, DAYS = 1_800_000_000.0, 180
LIKELY = 0.7
HEAD = """# A long log, folded by sums

Made by `python -m bench refold`. Each decision has {dimensions} features, one of {arms} arms and
the length of its answer; {rated:.0%} are rated. Workers are processes of one Dask cluster over TCP,
on a machine with {cores} cores. CPU seconds are those of all workers; memory is the most that was
ever resident, Python and its libraries included."""
TABLE = """
| workers | decisions | seconds | a second | speed-up | CPU s | MB per worker | MB of who asks |
|--:|--:|--:|--:|--:|--:|--:|--:|"""


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Decisions of half a year, each block of them from its own seed; positions count decisions."""

    decisions: int
    dimensions: int
    rated: float

    def newest_at_s(self, after_seq: int, upto_seq: int) -> float:
        """Return the moment of the last decision of a stretch."""
        return float(self._at_s(upto_seq - 1))

    def lessons(self, start: Learned, after_seq: int, upto_seq: int) -> Iterator[Lessons]:
        """Yield what the decisions of whole blocks teach: their lengths, then their ratings."""
        for block in range(-(-after_seq // BLOCK), -(-upto_seq // BLOCK)):
            yield from self._block(block)

    def events(self, after_seq: int, upto_seq: int) -> Iterator[Event]:
        """Yield the same as learning events."""
        seq = after_seq
        for block in range(-(-after_seq // BLOCK), -(-upto_seq // BLOCK)):
            answered, rated = self._block(block)
            numbers = {float(at_s): block * BLOCK + i for i, at_s in enumerate(answered.at_s)}
            for lessons in (answered, rated):
                for row in range(len(lessons.arm)):
                    seq += 1
                    yield _event(lessons, row, seq, numbers[float(lessons.at_s[row])])

    def _block(self, block: int) -> Iterator[Lessons]:
        rng = np.random.default_rng([block, 7])
        numbers = np.arange(block * BLOCK, min((block + 1) * BLOCK, self.decisions))
        contexts = rng.standard_normal((len(numbers), self.dimensions))
        contexts[:, -1] = 1.0
        arm, at_s = rng.integers(len(ARMS), size=len(numbers)), self._at_s(numbers)
        tokens = np.exp(rng.normal(5.5, 1.0, len(numbers))).round()
        yield _lessons(TOKENS, arm, at_s, contexts, np.log1p(tokens))
        rated = np.flatnonzero(rng.random(len(numbers)) < self.rated)
        thumbs = (rng.random(len(rated)) < LIKELY).astype(float)
        yield _lessons(RATED, arm[rated], at_s[rated], contexts[rated], thumbs)

    def _at_s(self, number: Any) -> Any:
        return START_S + number * (DAYS * DAY_S / self.decisions)


@dataclass(frozen=True, slots=True)
class Folded:
    """One fold of all decisions on so many workers."""

    workers: int
    decisions: int
    seconds: float
    cpu_seconds: float
    worker_mb: float
    asker_mb: float
    learned: Learned


def run(
    source: Source, positions: int, made_up: MadeUp, workers: int, size: int = STRETCH
) -> Folded:
    """Return how the fold of a log went on so many workers of their own, in stretches of a size."""
    start = begun(made_up.dimensions)
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
        env={"OPENBLAS_NUM_THREADS": "1"},
    )
    with cluster, Client(cluster) as client:

        def compute(graph: Sequence[Any]) -> Sequence[Any]:
            futures = client.compute(list(graph))
            with redirect_stdout(sys.stderr):
                progress(futures, notebook=False)
            found: Sequence[Any] = client.gather(futures)
            return found

        before_s = sum(client.run(time.process_time).values())
        started = time.monotonic()
        learned = refolded(start, source, positions, start, compute, size, tail=0)
        seconds = time.monotonic() - started
        cpu_s = sum(client.run(time.process_time).values()) - before_s
        most = max(client.run(peak_mb).values())
    return Folded(workers, made_up.decisions, seconds, cpu_s, most, peak_mb(), learned)


def begun(dimensions: int) -> Learned:
    """Return what is known before the first decision, in so many features."""
    hyper, groups = Hyper(), (*("words",) * (dimensions - 1), GROUPS[-1])
    quality, tokens = hyper.quality_prior(groups), hyper.tokens_prior(groups)
    return Learned(0, 1, Space.built_in(), Beliefs(Belief(quality), Belief(tokens), hyper))


@dataclass(frozen=True, slots=True)
class InOrder:
    """A fold event by event, and how far the sums of the same events are from it, relatively."""

    events: int
    seconds: float
    difference: float


def in_order(events: Iterable[Event], sums: Learned, start: Learned) -> InOrder:
    """Return the fold in order of events beside their sums."""
    started, learned = time.monotonic(), start.fold(events)
    seconds = time.monotonic() - started
    ours, theirs = learned.to_arrays(), sums.to_arrays()
    named = [name for name in ours if name.startswith(("rated/", "tokens/"))]
    apart = max(_apart(ours[name], theirs[name]) for name in named)
    return InOrder(learned.upto_seq, seconds, apart)


def page(
    made_up: MadeUp, runs: Sequence[Folded], logged: Sequence[Folded], beside: InOrder
) -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD.format(
        dimensions=made_up.dimensions, arms=len(ARMS), rated=made_up.rated, cores=os.cpu_count()
    )
    yield ""
    yield (
        "Made up where they are added up, from a seed for every 4,000, so that neither a disk nor "
        "the process that asks is measured; making them is part of the time:"
    )
    yield TABLE
    yield from map(_row, runs, repeat(runs[0]))
    yield ""
    yield _alike(runs)
    yield ""
    yield "Read from an SQLite log, as a retrain reads it:"
    yield TABLE
    yield from map(_row, logged, repeat(logged[0]))
    yield ""
    yield _alike(logged)
    yield ""
    yield (
        f"The same log in order, event by event: {beside.seconds:.1f} s for {beside.events:,} "
        f"events. The sums differ from that fold by {beside.difference:.1e} at most, relatively."
    )


def peak_mb() -> float:
    """Return the most memory this process has ever held."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.partition("VmHWM:")[2].split()[0]) / 1024


def _row(each: Folded, first: Folded) -> str:
    return (
        f"| {each.workers} | {each.decisions:,} | {each.seconds:.1f} "
        f"| {each.decisions / each.seconds:,.0f} | {first.seconds / each.seconds:.2f} "
        f"| {each.cpu_seconds:.1f} | {each.worker_mb:.0f} | {each.asker_mb:.0f} |"
    )


def _alike(runs: Sequence[Folded]) -> str:
    """Say whether the number of workers changed a byte of what was learned."""
    if len({digest(each.learned.to_arrays()) for each in runs}) == 1:
        return "What was learned is the same, byte for byte, whoever added it up."
    return "**What was learned differs with the number of workers.**"


def _apart(one: Floats, other: Floats) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


def _lessons(kind: int, arm: Any, at_s: Floats, contexts: Floats, value: Floats) -> Lessons:
    n = len(arm)
    none = np.full(n, np.nan)
    return Lessons(ARMS, np.full(n, kind), arm, at_s, contexts, value, none, none)


def _event(lessons: Lessons, row: int, seq: int, number: int) -> Event:
    shared: dict[str, Any] = {
        "seq": seq,
        "at_s": float(lessons.at_s[row]),
        "decision_id": f"d{number}",
        "tenant": "",
        "arm": ARMS[lessons.arm[row]],
        "feature_version": 0,
        "context": lessons.contexts[row],
        "sketch": b"",
    }
    if lessons.kind[row] == TOKENS:
        return OutcomeEvent(
            **shared,
            output_tokens=round(np.expm1(lessons.value[row])),
            status="ok",
            cache="miss",
            usage_estimated=False,
        )
    return FeedbackEvent(
        **shared,
        rater="",
        reward=float(lessons.value[row]),
        previous_reward=None,
        previous_at_s=None,
        excluded=False,
    )
