"""The commands: `python -m app --help`."""

import sys
from pathlib import Path

import click

from app.address import HIGHEST_PORT
from app.commands.arm_commands import arms
from app.commands.keeping_commands import KEEPING
from app.commands.key_commands import keys
from app.commands.report_command import report
from app.commands.scale_commands import COMMANDS
from app.commands.told import EXIT_CODES, Between, FileParam, Sections, as_json_option, told_plainly
from app.commands.which_log import chosen
from app.mode import in_force
from app.settings import Settings
from policy import VERSION
from storage.records import RetrainTrigger
from storage.rows import INTEGER_LIMIT

SECTIONS = {
    "Start here": ("serve", "demo", "doctor"),
    "Models": ("arms", "import", "withdraw"),
    "What it has learned and saved": ("report", "retrain", "rollback", "distrust"),
    "Who may use it": ("keys",),
    "What is kept": ("export", "forget", "prune", "migrate-to"),
    "Its parts": ("work", "sandbox", "cluster", "balance"),
}


@click.group(
    cls=Sections,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: "
    + "; ".join(f"{code} {means}" for code, means in EXIT_CODES.items())
    + ".",
)
@click.version_option(VERSION, prog_name="turnpike", message="%(prog)s %(version)s")
def main() -> None:
    """Turnpike: the LLM router that learns.

    `serve` starts it, without any provider's key too: then synthetic models answer. `demo` lets you
    watch it learn. Settings are TURNPIKE_* variables or turnpike.toml. Every command takes --help.
    """


@main.command()
@told_plainly
def serve() -> None:
    """Start the service, the scheduler and, without a provider key, the sandbox."""
    from app.processes.serve import serve as run

    sys.exit(run(in_force(Settings.load())))


@main.command()
@told_plainly
def work() -> None:
    """Run the scheduler alone (serve starts it by itself)."""
    from app.processes.work import work as run

    run(in_force(Settings.load()))


@main.command()
@click.option(
    "--port",
    type=click.IntRange(0, HIGHEST_PORT),
    default=8001,
    show_default=True,
    help="Port on 127.0.0.1; 0 for any that is free.",
)
@click.option("--listener", type=int, hidden=True, help="A descriptor that listens already.")
@told_plainly
def sandbox(port: int, listener: int | None) -> None:
    """Run the sandbox provider alone: synthetic models that cost nothing."""
    from app.processes.work import sandbox as run

    run(in_force(Settings.load()), port, listener)


@main.command()
@click.option(
    "--trigger",
    type=click.Choice(["manual", "schedule", "feedback"]),
    default="manual",
    help="What is recorded as the reason.",
)
@as_json_option
@told_plainly
def retrain(trigger: RetrainTrigger, as_json: bool) -> None:
    """Fit a new policy to the log, and promote it if it is not worse."""
    from app.commands.training import retrain as run

    run(chosen(), trigger, as_json=as_json)


@main.command()
@click.argument("version", type=click.IntRange(1, INTEGER_LIMIT - 1), required=False)
@as_json_option
@told_plainly
def rollback(version: int | None, as_json: bool) -> None:
    """Serve with an earlier policy again: VERSION, or the one before the last."""
    from app.commands.training import rollback as run

    run(chosen(), version, as_json=as_json)


@main.command("import")
@click.argument("table", type=FileParam(exists=True, dir_okay=False, path_type=Path))
@as_json_option
@told_plainly
def import_(table: Path, as_json: bool) -> None:
    """Warm-start from a team's own evals: a CSV with prompt, task and a score column per arm."""
    from app.commands.evals import import_evals as run

    run(chosen(needs_arms=True), table, as_json=as_json)


@main.command()
@click.argument("batch", required=False)
@click.option("--undo", is_flag=True, help="Let them teach again.")
@as_json_option
@told_plainly
def withdraw(batch: str | None, undo: bool, as_json: bool) -> None:
    """Withdraw the imported evals of a file; without BATCH, list what was imported."""
    from app.commands.withdrawing import list_batches
    from app.commands.withdrawing import withdraw as run

    if not batch and undo:
        raise click.UsageError("give BATCH, as `withdraw` alone lists it: what is to teach again")
    if not batch:
        list_batches(chosen(), as_json=as_json)
    else:
        run(chosen(), batch, withdrawn=not undo, as_json=as_json)


@main.command()
@click.option("--tenant", help="What was rated of this tenant's answers.")
@click.option("--key", help="What was rated of the answers this key asked for, by name or id.")
@click.option("--rater", help="What this rater said.")
@click.option("--since", help="A span such as 36h, 30d, 2w, or a day (UTC); default: all.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@as_json_option
@told_plainly
def distrust(yes: bool, as_json: bool, **whose: str | None) -> None:
    """Withdraw the thumbs of a tenant, a key or a rater: they teach nothing any more."""
    from app.commands.distrusting import distrust as run

    if not any(whose.values()):
        raise click.UsageError("give --tenant, --key, --rater or --since: whose thumbs to withdraw")
    run(chosen(is_grave=True), confirmed=yes, as_json=as_json, **whose)


@main.command()
@click.option("--prompts", type=click.IntRange(min=1), default=2_000, show_default=True,
              help="How many prompts to send.")  # fmt: skip
@click.option("--rated", type=Between(0, 1), default=1.0, show_default=True,
              help="Share of answers that get a thumb.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Which prompts, in which order.")
@click.option("--key", help="A key, where the service asks for one; default: TURNPIKE_API_KEY.")
@as_json_option
@told_plainly
def demo(prompts: int, rated: float, seed: int, key: str | None, as_json: bool) -> None:
    """Send prompts and thumbs to a running sandbox service and show what it learns."""
    from app.commands.demo import demo as run

    sys.exit(run(in_force(Settings.load()), prompts, rated, seed, key=key, as_json=as_json))


@main.command()
@as_json_option
@told_plainly
def doctor(as_json: bool) -> None:
    """Say what is configured, reachable, learning; exit 1 if something needs attention."""
    from app.monitoring.doctor import doctor as run

    sys.exit(run(Settings.load(), as_json))


for each in (arms, keys, report, *COMMANDS, *KEEPING):
    main.add_command(each)
