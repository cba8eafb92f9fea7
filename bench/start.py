"""How long a service takes to start with a long log: folding every event, and from a snapshot."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.filled import fill
from bench.processes import used
from bench.serving import ask, free_bind
from bench.victims import Service
from jobs.learned import Learned
from storage.place import of_one_log
from storage.snapshots import digest, newest
from storage.sqlite_reader import SqliteReader

FIRST, RATED = 300, 10
"""So many requests are made of which the log is then filled with copies; one of ten is rated."""
WITHOUT, WITH = "every event is folded", "from a snapshot"


@dataclass(frozen=True, slots=True)
class Started:
    """One start: seconds until it answers, CPU seconds of all its processes until then."""

    how: str
    seconds: float
    cpu_s: float
    memory_mb: float
    learned_events: int


@dataclass(frozen=True, slots=True)
class Starts:
    """What a log of so many decisions takes; `is_exact` is that all learned the same bytes."""

    decisions: int
    database_mb: float
    starts: tuple[Started, ...]
    is_exact: bool


def run(decisions: int, folder: Path, told: Callable[[str], None], first: int = FIRST) -> Starts:
    """Return how long a start takes with so many decisions in the log, copies of the first ones.

    raises : TimeoutError if the service does not answer
    """
    database, settings = folder / "sandbox" / "turnpike.db", _settings(folder)
    service = Service(settings, folder / "lines.txt")
    told(f"asking {first} times ...")
    _first(service, first)
    told(f"filling the log with {decisions:,} decisions ...")
    fill(database, decisions, time.time())
    shutil.rmtree(of_one_log(database.parent, database) / "snapshots")
    starts = []
    for how in (WITHOUT, WITH):
        told(f"starting: {how} ...")
        starts.append(_timed(service, how))
    told("folding once more, to compare ...")
    return Starts(decisions, database.stat().st_size / 1e6, tuple(starts), _is_exact(database))


def lines(found: Starts) -> Iterator[str]:
    """Yield the page."""
    yield "# A start with a long log\n"
    yield (
        f"Made by `python -m bench start --decisions {found.decisions}`: a log of "
        f"{found.decisions:,} decisions, one of {RATED} rated, {found.database_mb:,.0f} MB. "
        "Seconds are those from the command until `/healthz` answers; CPU seconds are those of all "
        "processes until then, and tell what a quiet machine takes on one core.\n"
    )
    yield "| start | seconds | CPU s | memory MB | events learned |"
    yield "|---|--:|--:|--:|--:|"
    for each in found.starts:
        yield (
            f"| {each.how} | {each.seconds:.1f} | {each.cpu_s:.1f} | {each.memory_mb:.0f} "
            f"| {each.learned_events:,} |"
        )
    same = "the same bytes" if found.is_exact else "OTHER BYTES"
    yield f"\nWhat the service had learned and what a fold of the whole log gives are {same}."


def _first(service: Service, first: int) -> None:
    service.start()
    try:
        service.wait_until_ready()
        for n in range(first):
            prompt = f"What is {n} * {n + 3}? Explain step by step how you got there."
            answer = ask(service.port, "POST", "/complete", {"prompt": prompt, "task": "maths"})
            if n % RATED == 0:
                thumbs = "up" if n % 20 else "down"
                ask(service.port, "POST", "/feedback", {"id": answer["id"], "thumbs": thumbs})
    finally:
        service.stop()


def _timed(service: Service, how: str) -> Started:
    began_s = time.monotonic()
    service.start()
    try:
        service.wait_until_ready()
        seconds, spent = time.monotonic() - began_s, used(service.pid)
        learned = ask(service.port, "GET", "/policy")["learned_events"]
    finally:
        service.stop()
    return Started(how, seconds, spent.cpu_s, spent.memory_mb, learned)


def _is_exact(database: Path) -> bool:
    with SqliteReader(database) as log:
        policy = log.latest_policy()
        if policy is None:
            return False
        folder = of_one_log(database.parent, database) / "snapshots"
        saved = newest(folder, log.mark, policy.version)
        if saved is None or saved.upto_seq != log.position():
            return False
        folded = Learned.start(policy).fold(log.events())
    return digest(folded.to_arrays()) == digest(saved.arrays)


def _settings(folder: Path) -> Mapping[str, str]:
    return {
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": free_bind(),
        "TURNPIKE_SANDBOX": "on",
        "TURNPIKE_SANDBOX_LATENCY_S": "0",
        "TURNPIKE_RETRAIN_FIRST_OUTCOMES": "1000000000",
        "TURNPIKE_LOG_LEVEL": "error",
    }
