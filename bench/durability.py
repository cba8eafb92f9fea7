"""Commands that write a page each: what is promised of the log, held against kills and clocks."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bench import crash as killing
from bench import replicas as replicating
from bench import start as starting
from bench import writing as costing
from bench.crash_page import lines as crash_lines
from bench.replicas import lines as replicas_lines
from bench.runs import KEPT
from bench.studies import OUT, publish
from storage.postgres_server import opened_folder


@click.command()
@click.option("--kills", type=click.IntRange(1), default=200)
@click.option("--seed", default=0)
@click.option(
    "--kept",
    type=click.Path(file_okay=False, path_type=Path),
    default=KEPT / "crash",
    show_default="build/bench/crash",
    help="Where a run is kept until its page is written, so that an interrupted one goes on.",
)
@OUT
def crash(kills: int, seed: int, kept: Path, out: Path) -> None:
    """Kill processes of the service under load, and hold what clients were told against the log."""
    folder = kept / str(seed)
    crashed = killing.run(kills, seed, folder, _tell)
    publish(out / "crash.md", crash_lines(crashed, seed))
    if crashed.is_lossy:
        raise click.ClickException(f"something was lost, doubled or broken: see {folder}")
    shutil.rmtree(folder)


@click.command()
@click.option(
    "--restarts", type=click.IntRange(1), default=50, help="How often PostgreSQL is killed."
)
@click.option("--seed", default=0)
@OUT
def replicas(restarts: int, seed: int, out: Path) -> None:
    """Restart and kill replicas and PostgreSQL under load, and say who saw it and what is lost."""
    with opened_folder() as folder:
        found = replicating.run(restarts, seed, folder, _tell)
    publish(out / "replicas.md", replicas_lines(found, seed))
    if not found.is_good:
        raise click.ClickException("something was seen, lost or unlike: the page says what")


@click.command()
@click.option("--decisions", type=click.IntRange(1), default=1_000_000)
@OUT
def start(decisions: int, out: Path) -> None:
    """Start with a long log, from nothing and from a snapshot."""
    with TemporaryDirectory() as folder:
        found = starting.run(decisions, Path(folder), _tell)
    publish(out / "start.md", starting.lines(found))


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=9)
@OUT
def writing(rounds: int, out: Path) -> None:
    """Measure what it costs to write everything down: on a disk, in memory, not at all."""
    publish(out / "writing.md", costing.lines(costing.measure(rounds, _tell), rounds))


def _tell(what: str) -> None:
    click.echo(what, err=True)
