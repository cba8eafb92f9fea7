"""The commands of the bench."""

import csv
import json
import math
from pathlib import Path
from typing import Any, get_args

import click

from bench import failover as outage
from bench.cells import EVERY_PEER, PEERS, Cell
from bench.decision import measure
from bench.durability import crash, replicas, start, writing
from bench.gateway_page import gateway
from bench.likeness import cache
from bench.live import Sending, run
from bench.options import NO_BUDGET_USD, Options, Scenario
from bench.pages import pages
from bench.report import lines
from bench.studies import (
    KEPT_IN,
    adoption,
    bad_faith,
    drift,
    everything,
    ope,
    publish,
    refold,
    report,
    stability,
)
from bench.tables import find, load
from policy.decide import RULES


class Finite(click.FloatRange):
    """A number of a range that has an end where the range has none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; what is none, or has no end, is a usage error."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


def writable(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    """Return a path that can be written, which is better known before an hour of play."""
    if path is None or path.exists():  # click has looked at a file that is there
        return path
    try:
        path.touch()
        path.unlink()
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be written: {error.strerror}.") from error
    return path


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Measured claims, each from one command."""


@main.command()
@click.argument("table")
@click.option(
    "--arms",
    default="",
    help='Only these arms, separated by commas, in "" where a name has one; default: all.',
)
@click.option(
    "--crowd",
    type=click.IntRange(0, 1_000),
    default=0,
    help="So many arms, the missing ones made of recorded ones; 0: as recorded.",
)
@click.option("--uneven", is_flag=True, help="Every second arm says little or very much.")
@click.option("--context", type=click.Choice(["text", "category", "both"]), default="text")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    default=("thompson", "greedy"),
    help=f"More than once if you like: {', '.join([*RULES, *EVERY_PEER])}"
    f" or {PEERS}, which is each of those, installed if need be.",
)
@click.option("--feedback", type=Finite(0, 1), default=1.0, help="Share that is rated.")
@click.option("--binary", is_flag=True, help="Thumbs of the score's probability, not the score.")
@click.option(
    "--feedback-unsatisfied",
    type=Finite(0, 1),
    default=None,
    show_default="as --feedback",
    help="Share that is rated of what does not satisfy.",
)
@click.option("--delay", type=click.IntRange(0), default=0, help="Requests until it is rated.")
@click.option("--warm", type=click.IntRange(0), default=0, help="Prompts imported as evals first.")
@click.option(
    "--learn-on",
    default="",
    help="A table whose prompts are played first and not judged; 'half': half of this one.",
)
@click.option("--scenario", type=click.Choice(get_args(Scenario)), default="steady")
@click.option(
    "--concerned", default="", show_default="the dearest or best", help="The arm that changes."
)
@click.option(
    "--willingness-to-pay",
    "willingness_to_pay_usd",
    type=Finite(0, min_open=True),
    default=NO_BUDGET_USD,
    show_default="a million",
    help="Dollars that one more thumbs-up is worth; the service's default is 0.01.",
)
@click.option(
    "--budget",
    "budget_usd_per_request",
    type=Finite(0, min_open=True),
    default=None,
    help="Dollars to be spent per request on average.",
)
@click.option(
    "--quality-floor",
    type=Finite(0, 1, min_open=True),
    default=None,
    help="The least spend that keeps this share of --baseline's quality.",
)
@click.option("--baseline", default="", show_default="the dearest", help="The arm of the floor.")
@click.option("--prompts", type=click.IntRange(20), default=None, help="Judge only so many.")
@click.option("--seeds", type=click.IntRange(1), default=20)
@KEPT_IN
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=writable,
    help="Write what was found to this file.",
)
def replay(
    table: str, policies: tuple[str, ...], seeds: int, json_path: Path | None, **asked: Any
) -> None:
    """Replay recorded outcomes: a policy sees those of the arms it chooses."""
    if json_path is not None and any(_is_file(json_path, of) for of in (table, asked["learn_on"])):
        raise click.UsageError(f"--json is {json_path}, a table itself; name another file")
    names = _names(asked.pop("arms"))
    whole = {name: asked.pop(name) for name in ("crowd", "uneven", "prompts", "kept")}
    found = _played(Cell(table, Options(**asked), policies, names, **whole), seeds)
    click.echo("\n".join(lines(found)))
    if json_path is not None:
        try:
            json_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        except OSError as error:  # a disk may have become full since
            said = f"{json_path} cannot be written: {error.strerror}"
            raise click.ClickException(said) from error


def _names(listed: str) -> tuple[str, ...]:
    try:
        row = next(csv.reader([listed], skipinitialspace=True), [])
    except csv.Error as error:
        raise click.UsageError(f"--arms is {listed!r}: {error}") from error
    names = tuple(dict.fromkeys(arm for arm in row if arm))
    if listed and not names:
        raise click.UsageError(f"--arms is {listed!r}, which names none")
    return names


def _is_file(path: Path, table: str) -> bool:
    found = find(table) if table else None
    return found is not None and path.exists() and path.samefile(found)


def _played(cell: Cell, seeds: int) -> dict[str, Any]:
    """Return what a cell found; what cannot be played is said before anything is."""
    try:
        cell.runs  # noqa: B018 (it loads the table and lays one course)
        cell.kept.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
    return cell.result(range(seeds))


@main.command()
@click.option("--rounds", type=click.IntRange(10), default=1_000)
def decision(rounds: int) -> None:
    """Time one decision, from the prompt to the propensities, and its parts."""
    click.echo("\n".join(measure(rounds)))


@main.command()
@click.argument("table", default="general_2026")
@click.option("--context", type=click.Choice(["text", "category", "both"]), default="text")
@click.option("--feedback", type=click.FloatRange(0, 1), default=0.3, help="Share that is rated.")
@click.option("--binary", is_flag=True, help="Thumbs of the score's probability, not the score.")
@click.option("--willingness-to-pay", "willingness_to_pay_usd", default=NO_BUDGET_USD)
@click.option("--prompts", type=click.IntRange(1), default=None, help="Only so many.")
@click.option("--per-s", type=click.FloatRange(0.1), default=30.0, help="Prompts a second at most.")
@click.option("--seed", default=0)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("docs/results")
)
def live(
    table: str, prompts: int | None, per_s: float, seed: int, out: Path, **options: Any
) -> None:
    """Send real prompts through the real service; only the models' answers are replayed."""
    from bench.drawing import PICTURE, page, plot  # matplotlib takes a second to import

    loaded = load(table)
    loaded = loaded if prompts is None else loaded.sample(prompts, seed)
    traffic = Sending(Options(**options), per_s, seed)
    lived = run(loaded, traffic)
    publish(out / "live.md", page(loaded, traffic, lived))
    plot(loaded, traffic, lived, out / PICTURE)


@main.command()
@click.option("--seconds", type=click.FloatRange(1), default=20.0, help="Of each phase.")
@click.option("--per-s", type=click.FloatRange(1), default=40.0, help="Requests a second.")
def failover(seconds: float, per_s: float) -> None:
    """Let arms fail and come back behind the real service; show what clients see and it costs."""
    click.echo("\n".join(outage.lines(outage.run(seconds, per_s))))


main.add_command(everything)
main.add_command(ope)
main.add_command(report)
main.add_command(adoption)
main.add_command(bad_faith)
main.add_command(drift)
main.add_command(refold)
main.add_command(stability)
main.add_command(cache)
main.add_command(gateway)
main.add_command(pages)
main.add_command(crash)
main.add_command(replicas)
main.add_command(start)
main.add_command(writing)
