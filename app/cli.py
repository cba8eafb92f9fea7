"""The commands: `python -m app --help`."""

import sys
from pathlib import Path

import click

from app.arm_commands import arms
from app.key_commands import keys
from app.mode import in_force
from app.report_command import report
from app.scale_commands import COMMANDS
from app.settings import Settings
from app.told import told_plainly
from storage.records import RetrainTrigger


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Turnpike: the LLM router that learns."""


@main.command()
@told_plainly
def serve() -> None:
    """Start the service, the scheduler and, without a provider key, the sandbox."""
    from app.serve import serve as run

    sys.exit(run(in_force(Settings.load())))


@main.command()
@told_plainly
def work() -> None:
    """Run the scheduler alone (serve starts it by itself)."""
    from app.work import work as run

    run(in_force(Settings.load()))


@main.command()
@click.option("--port", default=8001, show_default=True, help="Port on 127.0.0.1.")
@told_plainly
def sandbox(port: int) -> None:
    """Run the sandbox provider alone: synthetic models that cost nothing."""
    from app.work import sandbox as run

    run(in_force(Settings.load()), port)


@main.command()
@click.option(
    "--trigger",
    type=click.Choice(["manual", "schedule", "feedback"]),
    default="manual",
    help="What is recorded as the reason.",
)
@told_plainly
def retrain(trigger: RetrainTrigger) -> None:
    """Fit a new policy to the log, and promote it if it is not worse."""
    from app.training import retrain as run

    run(in_force(Settings.load()), trigger)


@main.command()
@click.argument("version", type=int, required=False)
@told_plainly
def rollback(version: int | None) -> None:
    """Serve with an earlier policy again: VERSION, or the one before the last."""
    from app.training import rollback as run

    run(in_force(Settings.load()), version)


@main.command("import")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@told_plainly
def import_(table: Path) -> None:
    """Warm-start from a team's own evals: a CSV with prompt, task and a score column per arm."""
    from app.evals import import_evals as run

    run(in_force(Settings.load()), table)


@main.command()
@click.option("--prompts", default=2_000, show_default=True, help="How many prompts to send.")
@click.option("--rated", default=1.0, show_default=True, help="Share of answers that get a thumb.")
@click.option("--seed", default=0, show_default=True, help="Which prompts, in which order.")
@told_plainly
def demo(prompts: int, rated: float, seed: int) -> None:
    """Send prompts and thumbs to a running sandbox service and show what it learns."""
    from app.demo import demo as run

    sys.exit(run(in_force(Settings.load()), prompts, rated, seed))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@told_plainly
def doctor(as_json: bool) -> None:
    """Say what is configured, reachable, learning; exit 1 if something needs attention."""
    from app.doctor import doctor as run

    sys.exit(run(Settings.load(), as_json))


main.add_command(arms)
main.add_command(keys)
for each in COMMANDS:
    main.add_command(each)
main.add_command(report)
