"""`python -m app report`: what was saved, from the log, with or without a running service."""

import json
import sys
import time
from typing import Any

import click

from app.commands.told import as_json_option, told_plainly
from app.commands.which_log import chosen
from app.settings import Settings
from jobs.report import PERIODS

SHOWN_EVERY = 500


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
    made = _made(settings, [since])[""][since]
    if as_json:
        click.echo(json.dumps(made, indent=2, allow_nan=False))
    elif as_table:
        click.echo(as_csv(made), nl=False)
    else:
        click.echo("\n".join(as_text(made)))


def _made(
    settings: Settings, periods: list[str], *, hidden: bool = False
) -> dict[str, dict[str, Any]]:
    """Return the reports of these periods, showing how far the log is added up."""
    from app.agreement import require_agreement
    from jobs.report import begins_s, reports
    from storage.stores import open_reader
    from upstream.catalogue import load

    catalogue = load(settings.arms)
    require_agreement(settings, catalogue)
    arms = list(catalogue.arms.values())
    with open_reader(settings.database) as log:
        now_s = time.time()
        since_s = begins_s(max(periods, key=PERIODS.__getitem__), now_s)
        rated = log.lookups.ratings_since((log.lookups.first_since(since_s) or 1) - 1)
        with click.progressbar(
            length=log.decided_since(since_s) + rated,
            label="adding up the log",
            file=sys.stderr,
            hidden=hidden,
            update_min_steps=SHOWN_EVERY,
        ) as shown:
            made = reports(log, arms, settings.baseline, now_s, periods, told=shown.update)
            shown.update(shown.length or 0)  # of an answer with two raters it was told once
    return made


def _keep(settings: Settings) -> None:
    """Hand the reports of all periods over, unless the log is short enough to ask at any time."""
    from app.commands.delivery import delivered
    from app.monitoring.reporting import NAME, is_long
    from jobs.intake import of_latest
    from storage.latest import Latest
    from storage.stores import open_reader

    with open_reader(settings.database) as log:
        before = log.latest(NAME)
        if not is_long(log, time.time()):
            return
    begun_at_s = time.time()
    made = _made(settings, list(PERIODS), hidden=True)
    delivered(settings, of_latest(Latest.after(before, NAME, begun_at_s, made)))
