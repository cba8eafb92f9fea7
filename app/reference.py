"""The generated parts of README and docs, as Markdown made from the code they describe."""

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from app import errors
from app.cli import main
from app.settings import PREFIX, Settings
from policy import errors as kinds
from policy.errors import TurnpikeError

ROOMS = ("app", "jobs", "storage", "upstream", "features", "policy", "bench")
ROOT = Path(__file__).parent.parent


def settings() -> str:
    """Return a table of every dial with its default."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "what it does"), rows)


def error_codes() -> str:
    """Return a table of every error with its status and code."""
    rows = []
    for kind in _raised():
        told = errors.kind_of(kind)
        says = (inspect.getdoc(kind) or "").splitlines()[0]
        rows.append((str(told.status.value), f"`{told.type}`", f"`{kind.code}`", says))
    return table(("status", "type", "code", "when"), sorted(rows))


def commands() -> str:
    """Return a table of the commands."""
    rows = [
        (f"`./run {name}`", (command.help or "").splitlines()[0])
        for name, command in sorted(main.commands.items())
    ]
    return table(("command", "what it does"), rows)


def tree() -> str:
    """Return every module with the first line of its docstring."""
    rows = [row for room in ROOMS for row in _modules(room)]
    return table(("file", "what it is for"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Return a Markdown table.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\|y |
    """
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: object) -> str:
    return "" if value is None else f"`{value}`"


def _raised() -> Iterator[type[TurnpikeError]]:
    for _, kind in inspect.getmembers(kinds, inspect.isclass):
        if issubclass(kind, TurnpikeError) and kind not in {kinds.ConfigError, kinds.DamagedFile}:
            yield kind


def _modules(room: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / room).glob("*.py")):
        says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if path.name != "__init__.py" and says:
            yield f"`{room}/{path.name}`", says.splitlines()[0]
