"""How commands tell what they have done: in words, or as JSON for scripts; and their exit codes."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from policy.errors import ConfigError, TurnpikeError

EX_FAILED = 1
EX_USAGE = 2
EX_CONFIG = 78

EXIT_CODES: Mapping[int, str] = {
    0: "done, or all is well",
    EX_FAILED: "it could not be done, or `doctor` and `arms check` found a problem",
    EX_USAGE: "the command line is wrong: a name, an option, a value out of range",
    EX_CONFIG: "a setting or the catalogue is wrong, or another process is in the way",
}

P = ParamSpec("P")
T = TypeVar("T")

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def told_plainly(command: Callable[P, T]) -> Callable[P, T]:
    """Return the command with our own errors told in one line, 78 for a wrong configuration."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except TurnpikeError as error:
            click.echo(f"turnpike: {error.message}", err=True)
            sys.exit(EX_CONFIG if isinstance(error, ConfigError) else EX_FAILED)

    return wrapper


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
