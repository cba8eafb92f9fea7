"""The generated parts of README.md and docs/, as Markdown made from the code they describe."""

import ast
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from click import Command, Group
from flask import Flask
from pydantic import BaseModel

from app.api import errors
from app.api.openapi import document
from app.api.parameters import OpenAIParameters
from app.commands.cli import main
from app.commands.told import EXIT_CODES
from app.given import PREFIX
from app.monitoring.gauges import Gauges
from app.monitoring.metrics import Metrics
from app.processes.wsgi import BLUEPRINTS
from app.settings import Settings
from policy import errors as kinds
from policy.errors import TurnpikeError

ROOMS = ("app", "jobs", "storage", "upstream", "features", "policy", "bench")
ROOT = Path(__file__).parents[2]
UNTOLD = frozenset({kinds.ConfigError, kinds.DamagedFile, kinds.TurnpikeError})
"""They stop a start or pass over a file; over HTTP each is a defect of ours, told without it."""


def settings() -> str:
    """Return a table of every dial with its default."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", _code(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "what it does"), rows)


def error_codes() -> str:
    """Return a table of every error with its status and code."""
    rows = [
        (str(int(status)), f"`{stray.type}`", f"`{stray.code}`", stray.when)
        for status, stray in errors.STRAYS.items()
    ]
    for kind in _raised():
        told = errors.kind_of(kind)
        rows.append((str(told.status.value), f"`{told.type}`", f"`{kind.code}`", _first(kind)))
    return table(("status", "type", "code", "when"), sorted(rows))


def endpoints() -> str:
    """Return a table of every endpoint with its summary."""
    app = Flask(__name__, static_folder=None)
    for each in BLUEPRINTS:
        app.register_blueprint(each)
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"])
        for path, methods in document(app, secured=True)["paths"].items()
        for method, operation in methods.items()
    ]
    return table(("endpoint", "what it does"), rows)


def fields(model: type[BaseModel]) -> str:
    """Return a table of what a request may carry of ours; OpenAI's parameters have pages enough."""
    schema, own = model.model_json_schema(), model.__annotations__
    rows = [
        (f"`{name}`", _kind(told), _default(name, schema), told.get("description", ""))
        for name, told in sorted(schema["properties"].items(), key=lambda item: item[0] not in own)
        if name not in OpenAIParameters.model_fields
    ]
    return table(("field", "type", "default", "what it is"), rows)


def commands() -> str:
    """Return a table of the commands."""
    rows = [
        (f"`./run {name}`", (command.help or "").splitlines()[0])
        for name, command in _commands(main, "")
    ]
    return table(("command", "what it does"), rows)


def exit_codes() -> str:
    """Return a table of what the commands end with."""
    return table(("code", "means"), [(str(code), means) for code, means in EXIT_CODES.items()])


def metrics() -> str:
    """Return a table of every metric."""
    shown = Metrics()
    Gauges(shown)
    rows = [
        (f"`{each.name}`", each.kind, ", ".join(f"`{name}`" for name in each.labels), each.text)
        for each in shown.told
    ]
    return table(("metric", "kind", "labels", "what it tells"), rows)


def exported() -> str:
    """Return a table of the columns of the exported log."""
    from jobs.export import COLUMNS  # it imports pyarrow, and only this table needs it

    rows = [(f"`{each.name}`", f"`{_short(each.type)}`", each.says) for each in COLUMNS]
    return table(("column", "type", "what it is"), rows)


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
    lines = [header, *rows]
    told = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([told[0], "|" + "---|" * len(header), *told[1:]])


def _commands(group: Group, before: str) -> Iterator[tuple[str, Command]]:
    """Yield every command with its name, those of a group after the name of the group."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, Group):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _short(kind: object) -> str:
    """Return the name of a type without the fields of what it holds.

    >>> _short("list<item: double>"), _short("list<item: struct<n: int64, arm: string>>")
    ('list of double', 'list of struct')
    """
    held = str(kind).removeprefix("list<item: ").removesuffix(">").partition("<")[0]
    return f"list of {held}" if str(kind).startswith("list") else str(kind)


def _code(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else f"`{value}`"


def _default(name: str, schema: Mapping[str, Any]) -> str:
    if name in schema.get("required", ()):
        return "must be given"
    default = schema["properties"][name].get("default")
    return "" if default is None else f"`{json.dumps(default)}`"


def _kind(told: Mapping[str, Any]) -> str:
    """Return the type as JSON calls it, the words of a choice spelt out; null is not told."""
    options = [each for each in told.get("anyOf", [told]) if each.get("type") != "null"]
    words = [f'`"{word}"`' for each in options for word in each.get("enum", ())]
    return ", ".join(words or [each.get("type", "object") for each in options])


def _raised() -> Iterator[type[TurnpikeError]]:
    for _, kind in inspect.getmembers(kinds, inspect.isclass):
        if issubclass(kind, TurnpikeError) and kind not in UNTOLD:
            yield kind


def _first(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _modules(room: str) -> Iterator[tuple[str, str]]:
    paths = (ROOT / room).rglob("*.py")
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        named = path.relative_to(ROOT)
        if path.name != "__init__.py" and says:
            yield f"`{named}`", says.partition("\n")[0]
        elif len(named.parts) > 2:  # noqa: PLR2004 (a room within a room)
            yield f"`{named.parent}/`", says.partition("\n")[0]
