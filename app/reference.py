"""The generated parts of README.md and docs/, as Markdown made from the code they describe."""

import ast
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from flask import Flask
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app import errors
from app.cli import main
from app.openapi import document
from app.routes import blueprint
from app.settings import PREFIX, Settings
from policy import errors as kinds
from policy.errors import TurnpikeError

ROOMS = ("app", "jobs", "storage", "upstream", "features", "policy", "bench")
ROOT = Path(__file__).parent.parent
UNTOLD = frozenset({kinds.ConfigError, kinds.DamagedFile})
"""They stop a start or pass over a file, and are never an answer."""


def settings() -> str:
    """Return a table of every dial with its default."""
    rows = [
        (f"`{PREFIX}{name.upper()}`", _code(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "what it does"), rows)


def error_codes() -> str:
    """Return a table of every error with its status and code."""
    rows = []
    for kind in _raised():
        told = errors.kind_of(kind)
        rows.append((str(told.status.value), f"`{told.type}`", f"`{kind.code}`", _first(kind)))
    return table(("status", "type", "code", "when"), sorted(rows))


def endpoints() -> str:
    """Return a table of every endpoint with its summary."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(blueprint)
    rows = [
        (f"`{method.upper()} {path}`", operation["summary"], _statuses(operation))
        for path, methods in document(app, secured=True)["paths"].items()
        for method, operation in methods.items()
    ]
    return table(("endpoint", "what it does", "answers"), rows)


def fields(model: type[BaseModel]) -> str:
    """Return a table of what a request may carry."""
    rows = [
        (f"`{name}`", _kind(field), _default(field), field.description or "")
        for name, field in model.model_fields.items()
    ]
    return table(("field", "type", "default", "what it is"), rows)


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
    """Return a Markdown table.

    >>> print(table(("a", "b"), [("1", "x|y")]))
    | a | b |
    |---|---|
    | 1 | x\\|y |
    """
    lines = [header, *rows]
    told = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([told[0], "|" + "---|" * len(header), *told[1:]])


def _code(value: object) -> str:
    return "" if value is None else f"`{value}`"


def _default(field: FieldInfo) -> str:
    return "must be given" if field.is_required() else _code(field.default)


def _kind(field: FieldInfo) -> str:
    """Return the type as JSON calls it, with the words of a choice spelt out."""
    given = [each for each in get_args(field.annotation) if each is not type(None)]
    is_choice = get_origin(field.annotation) is not None and all(
        isinstance(each, str) for each in given
    )
    if is_choice:
        return ", ".join(f"`{each}`" for each in given)
    return _json_kind(given[0] if type(None) in get_args(field.annotation) else field.annotation)


def _json_kind(annotation: Any) -> str:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) not in {None, list}:
        return ", ".join(f"`{each}`" for each in get_args(annotation))
    names: Mapping[Any, str] = {str: "text", int: "integer", float: "number", bool: "boolean"}
    return names.get(annotation, "list" if get_origin(annotation) is list else "object")


def _statuses(operation: Mapping[str, Any]) -> str:
    return ", ".join(operation["responses"])


def _raised() -> Iterator[type[TurnpikeError]]:
    for _, kind in inspect.getmembers(kinds, inspect.isclass):
        if issubclass(kind, TurnpikeError) and kind not in UNTOLD:
            yield kind


def _first(documented: object) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]


def _modules(room: str) -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / room).glob("*.py")):
        says = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if path.name != "__init__.py" and says:
            yield f"`{room}/{path.name}`", says.partition("\n")[0]
