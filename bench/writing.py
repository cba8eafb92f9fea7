"""What it costs to write everything down: the service with its log on a disk, in memory, and off.

The three take turns in one run before the same provider, each alone on one core while it is asked,
so what else the machine does falls on all alike.
"""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.gateway import on_cores, provider
from bench.gateways import Running, body, start, turnpike
from bench.load import plain
from bench.parity import parity
from bench.processes import used
from bench.serving import ALONE
from storage.postgres_server import free_port

CALLERS, SECONDS, WARM_S = 32, 4.0, 2.0
MEMORY = Path("/dev/shm")  # noqa: S108 (a file system in memory, and a folder of our own in it)
SERVE = ALONE[1:]
DISK, SHARED, OFF = "on a disk, flushed", "in memory", "not written"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way of writing came to, round by round: requests a second, CPU ms of a request."""

    per_s: list[float]
    cpu_ms: list[float]


def measure(rounds: int, told: Callable[[str], None]) -> dict[str, Cost]:
    """Return the cost of each way of writing.

    raises : RowsDiffer when an answer has no row, or a row no answer; TimeoutError
    """
    found: dict[str, Cost] = defaultdict(lambda: Cost([], []))
    *ours, theirs = sorted(os.sched_getaffinity(0))
    with ExitStack() as until, on_cores(ours or [theirs]):
        folders = [Path(until.enter_context(TemporaryDirectory())) for _ in (DISK, OFF)]
        folders.insert(1, Path(until.enter_context(TemporaryDirectory(dir=_memory()))))
        upstream = until.enter_context(provider())
        ways = dict(zip((DISK, SHARED, OFF), folders, strict=True))
        with on_cores([theirs]):
            running = {
                how: until.enter_context(_started(how, folder, upstream))
                for how, folder in ways.items()
            }
        for gateway in running.values():
            plain(gateway.target, body(), CALLERS, WARM_S)
        for n in range(rounds):
            for how, gateway in running.items():
                told(f"round {n + 1} of {rounds}: {how}")
                _one_round(gateway, None if how == OFF else gateway.database, found[how])
    return dict(found)


def lines(found: Mapping[str, Cost], rounds: int) -> Iterator[str]:
    """Yield the page."""
    yield "# What writing costs\n"
    yield (
        f"Made by `python -m bench writing --rounds {rounds}`: {CALLERS} callers in a closed loop, "
        f"{SECONDS:.0f} s each time, the service on one core, medians of {rounds} rounds. In every "
        "round as many answers were in the log as clients had got.\n"
    )
    yield "| the log is | requests/s | of those with it off | CPU ms a request |"
    yield "|---|--:|--:|--:|"
    for how, cost in found.items():
        share = median(a / b for a, b in zip(cost.per_s, found[OFF].per_s, strict=True))
        yield f"| {how} | {median(cost.per_s):,.0f} | {share:.0%} | {median(cost.cpu_ms):.2f} |"
    yield READING


READING = """
With the log off nothing is kept and nothing is learned: no decision, call or outcome, no belief
about the length of answers. What lies between the log on a disk and in memory is the wait for
flushes and what it takes to serve meanwhile; what lies between in memory and off is making,
inserting and folding the rows. Shares are of the same round, because the machine is not the same
in another."""


def _started(how: str, folder: Path, upstream: int) -> AbstractContextManager[Running]:
    port = free_port()
    served = turnpike(folder, port, upstream)
    module = "bench.unlogged" if how == OFF else "gunicorn"
    return start(
        replace(served, name=how, command=(sys.executable, "-m", module, *SERVE)), folder, port
    )


def _one_round(gateway: Running, database: Path | None, cost: Cost) -> None:
    before = used(gateway.pid)
    with parity(database) as counted:
        load = plain(gateway.target, body(), CALLERS, SECONDS)
        counted.add(len(load.latencies_s))
    spent_s = used(gateway.pid).cpu_s - before.cpu_s
    cost.per_s.append(len(load.latencies_s) / load.elapsed_s)
    cost.cpu_ms.append(1e3 * spent_s / max(len(load.latencies_s), 1))


def _memory() -> Path | None:
    """Return a folder in memory, where there is one with room."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30
    return MEMORY if roomy else None
