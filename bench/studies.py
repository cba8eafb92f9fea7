"""Commands that write a page each: what was promised of learning, held against known truths."""

from collections.abc import Iterable
from pathlib import Path

import click

from bench.cores import spread
from bench.ope import Study, page
from bench.synthetic import synthetic
from bench.tables import load

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
    _publish(out / "ope.md", page([(study, spread(study, range(runs))) for study in studies]))


def _publish(path: Path, lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    click.echo(text)
