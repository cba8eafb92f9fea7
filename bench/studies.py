"""Commands that write a page each: what was promised of learning, held against known truths."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from bench.adoption import Addition
from bench.adoption import page as adoption_page
from bench.bad_faith import IN_WORDS, BadFaith
from bench.bad_faith import page as bad_faith_page
from bench.cores import spread
from bench.drift import DROP, DriftStream
from bench.drift import page as drift_page
from bench.months import Months
from bench.months import page as months_page
from bench.ope import Study, page
from bench.options import Options
from bench.page import PICTURE
from bench.page import page as standard_page
from bench.runs import KEPT, finish
from bench.stability import Rewording
from bench.stability import page as stability_page
from bench.standard import FEW_PROMPTS, TABLES, Section, sections
from bench.synthetic import synthetic
from bench.tables import load

KEPT_IN = click.option(
    "--kept",
    type=click.Path(file_okay=False, path_type=Path),
    default=KEPT,
    show_default="build/bench",
    help="Where finished seeds are kept, so that an interrupted run resumes.",
)
OUT = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("docs/results")
)


@click.command()
@click.option("--runs", type=click.IntRange(2), default=200, help="Logs of each study.")
@click.option("--rounds", type=click.IntRange(200), default=2_000, help="Prompts of a log.")
@OUT
def ope(runs: int, rounds: int, out: Path) -> None:
    """Hold what logs say of other policies, and the gate of a retrain, against the truth."""
    real, made_up = load("general_2026"), synthetic()
    studies = [
        Study(real, "thompson", rounds),
        Study(made_up, "thompson", rounds),
        Study(real, "uniform", rounds * 3 // 2),  # a third of it is what one arm always would do
    ]
    publish(out / "ope.md", page([(study, spread(study, range(runs))) for study in studies]))


@click.command(name="all")
@click.option("--only", multiple=True, help="Only these sections; more than once if you like.")
@click.option("--prompts", type=click.IntRange(100), default=2_000, help="At most of each table.")
@click.option("--seeds", type=click.IntRange(2), default=20)
@KEPT_IN
@OUT
def everything(only: tuple[str, ...], prompts: int, seeds: int, kept: Path, out: Path) -> None:
    """Play the standard set of replays and write its page and picture."""
    from bench.frontiers import frontiers  # matplotlib takes a second to import

    asked = _asked(sections(prompts, kept), only)
    finish(
        job
        for each in asked
        for cell in each.cells.values()
        for job in cell.jobs(each.seeds(seeds))
    )
    played = [
        (each, {label: cell.result(each.seeds(seeds)) for label, cell in each.cells.items()})
        for each in asked
    ]
    for each, found in played:
        if each.name == "budgets":
            out.mkdir(parents=True, exist_ok=True)
            frontiers(found, out / PICTURE)
    publish(out / "replay.md", standard_page(played))


def _asked(every: Sequence[Section], only: Sequence[str]) -> list[Section]:
    names = [section.name for section in every]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise click.UsageError(f"no section {unknown[0]!r}; there are {', '.join(names)}")
    return [section for section in every if not only or section.name in only]


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=8)
@OUT
def drift(seeds: int, out: Path) -> None:
    """Let the best arm become worse without a word and better again; count alarms without cause."""
    tables = synthetic(), load("general_2026"), load("coderouterbench_id_test")
    large = load("mmlu_pro").sample(FEW_PROMPTS, 0), load("routellm_mmlu").sample(FEW_PROMPTS, 0)
    streams = [DriftStream(table, drop) for table in tables for drop in (DROP, 0.0)]
    streams += [DriftStream(table) for table in large]
    found = [(stream, spread(stream, range(seeds))) for stream in streams]
    publish(out / "drift.md", drift_page(found))


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=8)
@OUT
def adoption(seeds: int, out: Path) -> None:
    """Offer one more arm on the way, a good or a useless one, and count how often it is used."""
    tables = [load(name) for name in ("general_2026", "coderouterbench_id_test")]
    tables += [load(name).sample(FEW_PROMPTS, 0) for name in ("mmlu_pro", "routellm_mmlu")]
    additions = [Addition(table, is_useless) for is_useless in (False, True) for table in tables]
    found = [(addition, spread(addition, range(seeds))) for addition in additions]
    publish(out / "adoption.md", adoption_page(found))


@click.command()
@click.option("--seeds", type=click.IntRange(2), default=20)
@OUT
def bad_faith(seeds: int, out: Path) -> None:
    """Let one tenant rate all of its own answers for the dearest arm, and see what others get."""
    rated = ("general_2026", 0.1), ("general_2026", 0.03), ("coderouterbench_id_test", 0.1)
    streams = [
        BadFaith(load(name), share, 0.05, heard) for name, share in rated for heard in IN_WORDS
    ]
    found = [(stream, spread(stream, range(seeds))) for stream in streams]
    publish(out / "bad_faith.md", bad_faith_page(found))


@click.command()
@click.option("--decisions", type=click.IntRange(1), default=10_000_000)
@click.option("--dimensions", type=click.IntRange(2), default=64, help="Features of a decision.")
@click.option("--rated", type=click.FloatRange(0, 1), default=0.1, help="Share that is rated.")
@click.option("--workers", default="1,2", help="How many processes, one run for each number.")
@click.option("--logged", type=click.IntRange(1), default=20_000, help="Read so many from a log.")
@OUT
def refold(
    decisions: int, dimensions: int, rated: float, workers: str, logged: int, out: Path
) -> None:
    """Fold a long log by sums on a Dask cluster of its own: time, memory, exactness."""
    from bench import refold as long  # Dask's cluster takes a second to import
    from bench.logged import in_a_log

    made_up = long.MadeUp(decisions, dimensions, rated)
    machines = [int(each) for each in workers.split(",")]
    runs = [long.run(made_up, decisions, made_up, n) for n in machines]
    read, beside = in_a_log(long.MadeUp(logged, dimensions, rated), machines)
    publish(out / "refold.md", long.page(made_up, runs, read, beside))


@click.command()
@click.option("--months", type=click.IntRange(2), default=200, help="Months of each study.")
@click.option("--prompts", type=click.IntRange(200), default=1_000, help="Prompts of a month.")
@OUT
def report(months: int, prompts: int, out: Path) -> None:
    """Hold the savings report against months of which every bill is known."""
    options = Options(willingness_to_pay_usd=0.05, feedback=0.3, control=0.03)
    tables = "general_2026", "coderouterbench_id_test"
    studies = [Months(load(name), options, prompts) for name in tables]
    found = [(study, spread(study, range(months))) for study in studies]
    publish(out / "report.md", months_page(found))


@click.command()
@click.option("--prompts", type=click.IntRange(100), default=3_000, help="At most of each table.")
@click.option("--seeds", type=click.IntRange(1), default=3)
@OUT
def stability(prompts: int, seeds: int, out: Path) -> None:
    """Word prompts a little differently and count how many keep their arm."""
    studies = [
        Rewording(load(name).sample(prompts, 0), told.context) for name, told in TABLES.items()
    ]
    found = [(study, spread(study, range(seeds))) for study in studies]
    publish(out / "stability.md", stability_page(found))


def publish(path: Path, lines: Iterable[str]) -> None:
    """Show a page, then write it: a disk that has become full takes no hours of work away.

    raises : ClickException if it cannot be written
    """
    text = "\n".join(lines)
    click.echo(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        said = f"{path} cannot be written: {error.strerror}; its page is what was shown"
        raise click.ClickException(said) from error
