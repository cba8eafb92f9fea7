"""How long the pages take over a long log: each page of the real service, asked again and again."""

import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from bench.filled import fill
from bench.processes import used
from bench.serving import ALONE, ask, exchange, free_bind, port_of, serving
from bench.studies import publish
from upstream.tasks import is_right, tasks

ASKED = 300
RATED = 0.1
PAGES: Mapping[str, str] = {
    "Today, 7 days": "/?span=7d",
    "Today, 30 days": "/?span=30d",
    "Policy": "/pages/policy?span=30d",
    "the slider": "/pages/policy/at?pay=0.02",
    "Decisions": "/pages/decisions",
    "Decisions of an arm": "/pages/decisions?arm=gpt-4o",
    "Decisions of a task, thumbs down": "/pages/decisions?task=maths&rated=down",
    "Decisions that nobody finds": "/pages/decisions?ending=open",
    "a decision": "/pages/decisions/{id}",
    "Retrains": "/pages/retrains",
    "Settings": "/pages/settings",
    "`GET /policy`": "/policy",
}
HEAD = """# The pages over a long log

Made by `python -m bench pages{asked}` on {cores} cores. The log holds thirty days of copies of
{base} decisions of the sandbox, {rated:.0%} of them rated, in SQLite; each page is asked {rounds}
times of the service, without its scheduler. Milliseconds are medians from the request to the last
byte, on a machine that may do other work beside; CPU is that of the service's processes for one
request. A service that was stopped has kept what it had added up, and its first page finds it; over
a log for which nothing was kept the first page waits until all of the last sixty-one days is added
up, which the service otherwise does in the background.
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one page took."""

    name: str
    ms: float
    worst_ms: float
    cpu_ms: float
    kilobytes: float


@click.command()
@click.option(
    "--decisions",
    type=click.IntRange(1_000),
    multiple=True,
    default=(100_000, 1_000_000),
    help="How many the log holds; more than once if you like.",
)
@click.option("--rounds", type=click.IntRange(3), default=15, help="How often each page is asked.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("docs/results")
)
def pages(decisions: tuple[int, ...], rounds: int, out: Path) -> None:
    """Time every page of the dashboard over logs of these lengths."""
    asked = "".join(f" --decisions {n}" for n in decisions)
    text = HEAD.format(asked=asked, cores=os.cpu_count(), base=ASKED, rated=RATED, rounds=rounds)
    for n in decisions:
        click.echo(f"filling a log with {n:,} decisions ...", err=True)
        text += "\n".join(["", f"## {n:,} decisions", "", *_table(measure(n, rounds)), ""])
    publish(out / "pages.md", text.splitlines())


def measure(decisions: int, rounds: int) -> list[Asked]:
    """Return what each page takes over a log of so many decisions."""
    with TemporaryDirectory() as folder:
        settings = {
            "TURNPIKE_DATABASE": f"{folder}/turnpike.db",
            "TURNPIKE_BIND": free_bind(),
            "TURNPIKE_SANDBOX": "on",
            "TURNPIKE_LOG_LEVEL": "warning",
        }
        with serving(settings):
            newest = _use(port_of(settings))
        fill(Path(folder) / "sandbox" / "turnpike.db", decisions, time.time())
        settings |= {"TURNPIKE_SANDBOX_URL": f"http://{free_bind()}/v1"}  # nobody is asked
        with serving(settings, ALONE):
            asked = list(_ask_all(port_of(settings), newest, rounds))
        with serving(settings, ALONE):
            return [_ask(port_of(settings), "first after a restart", "/", 1), *asked]


def _use(port: int) -> str:
    """Ask and rate as users would; return the last decision."""
    chance, newest = random.Random(0), ""  # noqa: S311
    for task in islice(tasks(random.Random(1)), ASKED):  # noqa: S311
        asked = {"messages": list(task.messages), "task": task.task_tag}
        answer = ask(port, "POST", "/complete", asked)
        newest = str(answer["id"])
        if chance.random() < RATED:
            thumbs = "up" if is_right(task, answer["text"]) else "down"
            ask(port, "POST", "/feedback", {"id": newest, "thumbs": thumbs})
    return newest


def _ask_all(port: int, newest: str, rounds: int) -> Iterator[Asked]:
    yield _ask(port, "first, nothing kept", "/", 1)
    for name, path in PAGES.items():
        yield _ask(port, name, path.format(id=newest), rounds)


def _ask(port: int, name: str, path: str, rounds: int) -> Asked:
    begun_s, took_ms, size = _cpu_s(), [], 0
    for _ in range(rounds):
        asked_at_s = time.perf_counter()
        size = _size(port, path)
        took_ms.append(1_000 * (time.perf_counter() - asked_at_s))
    cpu_ms = 1_000 * (_cpu_s() - begun_s) / rounds
    return Asked(name, median(took_ms), max(took_ms), cpu_ms, size / 1_000)


def _cpu_s() -> float:
    """Return the CPU seconds of everything we have started."""
    return used(os.getpid()).cpu_s - time.process_time()


def _size(port: int, path: str) -> int:
    """Return how many bytes a page has.

    raises : RuntimeError if it is not whole
    """
    status, page = exchange(port, "GET", path, within_s=120.0)
    if status != HTTPStatus.OK:
        raise RuntimeError(f"{path} was answered {status}: {page[:200]!r}")
    return len(page)


def _table(asked: Iterable[Asked]) -> Sequence[str]:
    rows = [
        f"| {each.name} | {each.ms:.0f} | {each.worst_ms:.0f} | {each.cpu_ms:.0f} "
        f"| {each.kilobytes:.0f} |"
        for each in asked
    ]
    return ["| page | ms | slowest ms | CPU ms | kB |", "|---|--:|--:|--:|--:|", *rows]
