"""The commands about what is kept: take it out, forget somebody, write it to a file."""

from pathlib import Path

import click

from app.commands.told import FileParam, as_json_option, told_plainly
from app.commands.which_log import chosen


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask first.")
@as_json_option
@told_plainly
def prune(yes: bool, as_json: bool) -> None:
    """Take out the words whose keeping time is over (the scheduler does it by itself)."""
    from app.commands.pruning import prune as run

    run(chosen(is_grave=True), confirmed=yes, as_json=as_json)


@click.command()
@click.option("--tenant", help="Everything of this tenant.")
@click.option("--session", help="Everything of this session; of any tenant, if none is named.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@as_json_option
@told_plainly
def forget(tenant: str | None, session: str | None, yes: bool, as_json: bool) -> None:
    """Forget a tenant or a session: words, comments, raters, stored answers, what was learned."""
    from app.commands.forgetting import forget as run
    from storage.erasing import Whose

    if not tenant and not session:
        raise click.UsageError("give --tenant, --session or both: whom to forget")
    run(
        chosen(is_grave=True), Whose(tenant=tenant, session=session), confirmed=yes, as_json=as_json
    )


@click.command()
@click.argument("file", type=FileParam(dir_okay=False, path_type=Path))
@click.option("--since", help="A span such as 36h, 30d, 2w, or a day (UTC); default: all.")
@as_json_option
@told_plainly
def export(file: Path, since: str | None, as_json: bool) -> None:
    """Write decisions with their outcomes, rewards and calls to FILE, as Parquet."""
    from app.commands.exporting import export_log as run

    run(chosen(), file, since, as_json=as_json)


KEEPING = (prune, forget, export)
