"""`python -m bench`: measured claims, each from one command."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from bench.baselines import baselines
from bench.replay import Options
from bench.report import lines, summary
from bench.runs import run
from bench.tables import Table, load

OTHERS = ("greedy", "word_count")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measured claims, each from one command."""


@main.command()
@click.argument("table")
@click.option("--arms", default="", help="Only these arms, separated by commas.")
@click.option("--context", type=click.Choice(["text", "category", "both"]), default="text")
@click.option("--policy", default="thompson", help="Which policy plays, beside the others.")
@click.option("--feedback", type=click.FloatRange(0, 1), default=1.0, help="Share that is rated.")
@click.option("--binary", is_flag=True, help="Thumbs drawn from the score instead of the score.")
@click.option("--delay", type=click.IntRange(min=0), default=0, help="Prompts before it arrives.")
@click.option("--warm", type=click.IntRange(min=0), default=0, help="Prompts known from evals.")
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path))
def replay(table: str, arms: str, seeds: int, json_path: Path | None, **given: Any) -> None:
    """Replay recorded outcomes: the policy sees those of the arms it chooses."""
    loaded = load(table)
    if arms:
        loaded = loaded.only(arms.split(","))
    result = compared(loaded, Options(**given), seeds)
    click.echo("\n".join(lines(result)))
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n")


@main.command()
@click.option("--rounds", type=click.IntRange(min=10), default=1_000, show_default=True)
def decision(rounds: int) -> None:
    """Time one decision, from the prompt to the propensities, and its parts."""
    from bench.decision import measure

    click.echo("\n".join(measure(rounds)))


@main.command()
@click.argument("table", default="general_2026")
@click.option("--rated", type=click.FloatRange(0, 1), default=0.3, show_default=True)
@click.option("--binary/--graded", default=True, help="Thumbs, or the recorded score itself.")
@click.option("--prompts", type=click.IntRange(min=1), default=None, help="Only so many.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--willingness-to-pay", "willingness_to_pay_usd", type=float, default=0.02, show_default=True
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="docs/results")
def live(table: str, **given: Any) -> None:
    """Send a table's real prompts through the real service and show what it learns."""
    from bench.live import run_live

    run_live(load(table), **given)


def compared(table: Table, options: Options, seeds: int) -> dict[str, Any]:
    """Return a policy's result with the other policies and the baselines beside it."""
    policies = {
        name: summary(table, run(table, replace(options, policy=name), range(seeds)))
        for name in dict.fromkeys((options.policy, *OTHERS))
    }
    sketches = table.sketches(options.context)
    return {
        "table": table.name,
        "prompts": len(table),
        "seeds": seeds,
        "options": asdict(options),
        "policies": policies,
        "baselines": baselines(table, sketches, policies[options.policy]["cost_usd"]),
    }


if __name__ == "__main__":
    main()
