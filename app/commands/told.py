"""How commands tell what they have done: in words, or as JSON for scripts; and their exit codes."""

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import isnan
from typing import Any, ParamSpec, TypeVar

import click

from app.given import CALLED_FROM
from policy.errors import ConfigError, InvalidInput, TurnpikeError

EX_FAILED = 1
EX_USAGE = 2
EX_CONFIG = 78
EX_INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    0: "done, or all is well",
    EX_FAILED: "it could not be done, or `doctor` and `arms check` found a problem",
    EX_USAGE: "the command line is wrong: a name, an option, a value out of range",
    EX_CONFIG: "a setting or the catalogue is wrong, or another process is in the way",
    EX_INTERRUPTED: "somebody interrupted it before it was done",
}

P = ParamSpec("P")
T = TypeVar("T")


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


class Between(click.FloatRange):
    """A number in a range; what is no number is in none, although no bound refuses it."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with what would be one."""
        number = float(super().convert(value, param, ctx))
        if isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class FileParam(click.Path):
    """A file, by a path that starts where we were called, which need not be our own folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path as seen from our own folder, or fail."""
        return super().convert(os.path.join(os.environ.get(CALLED_FROM, ""), value), param, ctx)


class Commands(click.Group):
    """A group whose help has the first sentence of each command, however long."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands."""
        self.write_commands("Commands", self.list_commands(ctx), formatter)

    def write_commands(
        self, title: str, names: Sequence[str], formatter: click.HelpFormatter
    ) -> None:
        """Write a section of these commands, as far as they are there."""
        shown = [(name, self.commands[name]) for name in names if name in self.commands]
        if shown:
            with formatter.section(title):
                formatter.write_dl([(n, each.get_short_help_str(200)) for n, each in shown])


class Sections(Commands):
    """A group whose help lists the commands by what they are for."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self.sections = sections

    def invoke(self, ctx: click.Context) -> Any:
        """Return what the command gives; an interrupted one ends without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EX_INTERRUPTED)

    def main(self, *args: Any, **more: Any) -> Any:
        """Return what the command line gives; what a full disk does not take is told in a line."""
        try:
            return super().main(*args, **more)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            where = error.filename or "what it says"
            click.echo(f"turnpike: {where} cannot be written: {error.strerror}", err=True)
            sys.exit(EX_FAILED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section; what is in no section comes last."""
        placed = {name for names in self.sections.values() for name in names}
        rest = [name for name in self.list_commands(ctx) if name not in placed]
        for title, names in {**self.sections, "More": rest}.items():
            self.write_commands(title, names, formatter)


def told_plainly(command: Callable[P, T]) -> Callable[P, T]:
    """Return the command with our own errors told in one line, and the exit code that says which.

    An `InvalidInput` whose `param` is an argument of the command is a mistake of the command line.
    """

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except TurnpikeError as error:
            click.echo(f"turnpike: {error.message}", err=True)
            sys.exit(_code(error))

    return wrapper


def _code(error: TurnpikeError) -> int:
    """Return what a command ends with; an argument that was given may be what is wrong."""
    if isinstance(error, ConfigError):
        return EX_CONFIG
    given = {k for k, v in click.get_current_context().params.items() if v is not None}
    return EX_USAGE if isinstance(error, InvalidInput) and error.param in given else EX_FAILED


def tell(data: object, text: str, *, as_json: bool) -> None:
    """Print what was done, in one of the two ways."""
    click.echo(json.dumps(data, indent=2, allow_nan=False) if as_json else text)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return columns as wide as their widest cell.

    >>> print(table(("arm", "usd"), [("small", 1.5)]))
    arm    usd
    small  1.5
    """
    lines = [header, *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = ("  ".join(map(str.ljust, line, widths)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
