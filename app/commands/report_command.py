"""`python -m app report`: what was saved, from the log, with or without a running service."""

import json
import time
from typing import Any

import click

from app.commands.told import as_json_option, told_plainly
from app.commands.which_log import chosen
from app.settings import Settings
from jobs.report import PERIODS


@click.command()
@click.option(
    "--since",
    type=click.Choice(list(PERIODS)),
    default="30d",
    show_default=True,
    help="Whole days (UTC), today among them.",
)
@as_json_option
@click.option("--csv", "as_table", is_flag=True, help="Print CSV, for a spreadsheet.")
@click.option("--keep", is_flag=True, help="Hand every report to the service; print nothing.")
@told_plainly
def report(since: str, as_json: bool, as_table: bool, keep: bool) -> None:
    """Say what was spent and saved, with intervals, and how satisfied users are."""
    if as_json + as_table + keep > 1:
        raise click.UsageError("give one of --json, --csv and --keep: each says what becomes of it")
    from app.monitoring.reporting import as_csv, as_text

    settings = chosen(needs_arms=True)
    if keep:
        _keep(settings)
        return
    click.echo("adding up the log ...", err=True)
    made = _made(settings, [since])[""][since]
    if as_json:
        click.echo(json.dumps(made, indent=2, allow_nan=False))
    elif as_table:
        click.echo(as_csv(made), nl=False)
    else:
        click.echo("\n".join(as_text(made)))


def _made(settings: Settings, periods: list[str]) -> dict[str, dict[str, Any]]:
    from app.agreement import require_agreement
    from jobs.report import reports
    from storage.stores import open_reader
    from upstream.catalogue import load

    catalogue = load(settings.arms)
    require_agreement(settings, catalogue)
    arms = list(catalogue.arms.values())
    with open_reader(settings.database) as log:
        return reports(log, arms, settings.baseline, time.time(), periods)


def _keep(settings: Settings) -> None:
    """Hand the reports of all periods over, unless the log is short enough to ask at any time."""
    from app.commands.delivery import delivered
    from app.monitoring.reporting import NAME, is_long, kept
    from jobs.intake import of_latest
    from storage.stores import open_reader

    with open_reader(settings.database) as log:
        before = log.latest(NAME)
        if not is_long(log, time.time()):
            return
    begun_at_s = time.time()
    latest = kept(_made(settings, list(PERIODS)), before, begun_at_s)
    delivered(settings, of_latest(latest))
