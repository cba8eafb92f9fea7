"""`python -m app keys`: make, list and revoke the keys that open the service."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from app.commands.told import Between, Commands, as_json_option, told_plainly
from app.commands.which_log import chosen
from app.keys.holder import GOOD_NAME, SCOPES, TENANT


class NameParam(click.ParamType[Any]):
    """A name that is safe in a log, a table and a shell."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with what would be one."""
        if GOOD_NAME.fullmatch(value) is None:
            self.fail(f"{value!r} is no name; it must be 1 to 64 of A-Z a-z 0-9 . _ -", param, ctx)
        return str(value)


class RateParam(click.ParamType[Any]):
    """How many requests in what time."""

    name = "n/unit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the rate as it is kept, or fail with what would be one."""
        from app.keys.rates import parsed

        try:
            parsed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class ListParam(click.ParamType[Any]):
    """Names with commas between, each of them one of `choices` if there are any."""

    name = "a,b"

    def __init__(self, choices: tuple[str, ...] = ()) -> None:
        self._choices = choices

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names, each once, or fail with what they may be."""
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
        for name in names:
            if not name or (self._choices and name not in self._choices):
                right = ", ".join(self._choices) or "names with commas between"
                self.fail(f"{name!r} cannot be one; it must be {right}", param, ctx)
        return names


def _together(
    _ctx: click.Context, _param: click.Parameter, given: Sequence[tuple[str, ...]]
) -> tuple[str, ...] | None:
    """Return all names of an option that may be given more than once, None without any."""
    return tuple(dict.fromkeys(chain.from_iterable(given))) or None


@click.group(cls=Commands)
def keys() -> None:
    """Make, list and revoke the keys that open the service.

    Without any key, and without TURNPIKE_API_KEY, the service listens on this machine only and
    asks nobody for one. From the first key on, every request needs one.
    """


@keys.command("create")
@click.argument("name", type=NameParam())
@click.option("--tenant", type=NameParam(), default=TENANT, show_default=True, help="Who owns it: "
              "no tenant sees, rates or is answered from what another asks.")  # fmt: skip
@click.option("--scope", "scopes", type=ListParam(SCOPES), multiple=True, callback=_together,
              default=["complete,feedback"], show_default=True, help="What it may do: "
              "complete, feedback, read its tenant's decisions, metrics, admin (see all, change "
              "the service).")  # fmt: skip
@click.option("--rate-limit", type=RateParam(), help="Requests allowed, such as 60/minute.")
@click.option("--budget-usd", type=Between(1e-9, 1e9), help="Dollars it may spend.")
@click.option("--budget-per", type=click.Choice(["request", "hour", "day"]), default="day",
              show_default=True, help="What the budget is for; per hour or day (UTC) it is a "
              "ceiling; give max_tokens, as what a call may cost is reserved.")  # fmt: skip
@click.option("--arms", "allowed_arms", type=ListParam(), multiple=True, callback=_together,
              help="The arms it may ask; default: all.")  # fmt: skip
@click.option("--willingness-to-pay", "willingness_to_pay_usd", type=Between(1e-9, 1e6),
              help="Dollars that one more thumbs-up is worth to it.")  # fmt: skip
@click.option("--quality-floor", type=Between(0, 1, min_open=True), help="Least share of "
              "the baseline's quality, at the least spend.")  # fmt: skip
@as_json_option
@told_plainly
def create_(as_json: bool, **wanted: Any) -> None:
    """Make a key called NAME, and show it this once."""
    per = click.get_current_context().get_parameter_source("budget_per")
    if wanted["budget_usd"] is None and per is ParameterSource.COMMANDLINE:
        raise click.UsageError("--budget-per says what --budget-usd is for: give both, or neither")
    pays, floor = wanted["willingness_to_pay_usd"], wanted["quality_floor"]
    if pays is not None and floor is not None:
        raise click.UsageError(
            "--willingness-to-pay and --quality-floor each set the price: leave out one of the two"
        )
    if wanted["budget_usd"] is not None and wanted["budget_per"] == "request" and (pays or floor):
        raise click.UsageError(
            "a budget per request sets the price by itself: leave out --willingness-to-pay and "
            "--quality-floor, or give a budget per hour or day, which is a ceiling beside them"
        )
    from app.commands.keys import create

    create(chosen(is_grave=True), wanted, as_json=as_json)


@keys.command("list")
@click.option("--all", "with_revoked", is_flag=True, help="The revoked ones too.")
@as_json_option
@told_plainly
def list_(with_revoked: bool, as_json: bool) -> None:
    """List the keys with their limits, and what each has spent of its hour or day."""
    from app.commands.keys import listed

    listed(chosen(is_grave=True), with_revoked=with_revoked, as_json=as_json)


@keys.command("revoke")
@click.argument("key")
@as_json_option
@told_plainly
def revoke_(key: str, as_json: bool) -> None:
    """End a KEY, by its name or id, within five seconds; answers under way are completed."""
    from app.commands.keys import revoke

    revoke(chosen(is_grave=True), key, as_json=as_json)
