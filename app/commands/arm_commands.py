"""`python -m app arms`: list the arms, ask each whether it answers, find models to add."""

import sys

import click

from app.commands.told import Commands, as_json_option, told_plainly
from app.settings import Settings


@click.group(cls=Commands)
def arms() -> None:
    """List the arms of the catalogue, check that each answers, find models to add."""


@arms.command("list")
@as_json_option
@told_plainly
def list_(as_json: bool) -> None:
    """List the arms with their prices, windows and abilities."""
    from app.commands.arms import listed

    listed(Settings.load(), as_json=as_json)


@arms.command()
@click.argument("names", nargs=-1)
@as_json_option
@told_plainly
def check(names: tuple[str, ...], as_json: bool) -> None:
    """Ask each arm for one word at its provider, or only those of NAMES.

    Tells whether it answers, in how many seconds, and as which model. It costs what a word costs.
    Exits with 1 if one does not answer.
    """
    from app.commands.arms import check as run

    sys.exit(run(Settings.load(), names, as_json=as_json))


@arms.command()
@click.argument("provider")
@click.option("--match", default="", help="Only models with this in their name.")
@click.option("--write", is_flag=True, help="Append the entries to the catalogue.")
@as_json_option
@told_plainly
def sync(provider: str, match: str, write: bool, as_json: bool) -> None:
    """Print catalogue entries for what PROVIDER lists and the catalogue lacks.

    Where the provider does not tell a price or window, the entry is a comment for you to complete.
    Entries that are there are never touched.
    """
    from app.commands.arms import sync as run

    run(Settings.load(), provider, match.lower(), write=write, as_json=as_json)
