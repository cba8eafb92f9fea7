"""Records to rows and back: the one place where Python's and numpy's values become SQL's.

SQLite stores a numpy scalar as raw bytes and NaN as NULL without complaint, refuses lone surrogates
and integers beyond 64 bits only while writing, and PostgreSQL has no NUL in text. All of that is
settled here, in the thread of the caller, before the writer sees the row.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from policy.errors import InvalidInput
from storage.keys import Key, Revocation
from storage.latest import Latest
from storage.records import (
    Attempt,
    Decision,
    Eval,
    Feedback,
    Fence,
    Outcome,
    PolicyVersion,
    Retrain,
    Voters,
    Withdrawal,
    WithdrawnVote,
)
from storage.states import SavedState
from storage.words import Expiry, Stripped, Transcript

SqlValue = str | int | float | bytes | None
Row = Mapping[str, Any]
Record = (
    Attempt
    | Decision
    | Eval
    | Feedback
    | Fence
    | Key
    | Latest
    | Outcome
    | PolicyVersion
    | Retrain
    | Revocation
    | SavedState
    | Expiry
    | Stripped
    | Transcript
    | Voters
    | Withdrawal
    | WithdrawnVote
)
R = TypeVar("R")

TABLES: dict[type[Record], str] = {
    Decision: "decisions",
    Attempt: "attempts",
    Outcome: "outcomes",
    Feedback: "feedback",
    Eval: "evals",
    PolicyVersion: "policies",
    Retrain: "retrains",
    Key: "keys",
    Revocation: "revocations",
    SavedState: "states",
    Latest: "latest",
    Transcript: "transcripts",
}

_COLUMNS: dict[type[Any], tuple[str, ...]] = {}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
INTEGER_LIMIT = 2**63
VECTORS = {"context"}
FLOATS = (float, np.floating)
NUMBERS = (int, float, np.number, np.bool_)


def columns(kind: type[Any]) -> tuple[str, ...]:
    """Return the column names of a record class, in the order of its fields."""
    if kind not in _COLUMNS:  # asked for every row of a log
        _COLUMNS[kind] = tuple(field.name for field in fields(kind))
    return _COLUMNS[kind]


def text(value: str) -> str:
    r"""Return the text with what no store can keep (NUL, lone surrogates) replaced by U+FFFD.

    Two surrogates that came apart, in two frames of a stream, are the letter they stand for.

    >>> text("a\x00b\ud83d" + "\ude00")
    'a�b😀'
    """
    if value.isascii() and "\x00" not in value:
        return value
    paired = value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return UNSTORABLE.sub("\ufffd", paired)


def plain(record: Record) -> dict[str, SqlValue]:
    """Return the row of a record: only str, int, float, bytes and None.

    raises : InvalidInput if a number is not finite or beyond 64 bits, or a value is no JSON
    """
    row: dict[str, SqlValue] = {}
    for name in columns(type(record)):
        value = getattr(record, name)
        row[name] = ENCODERS.get(type(value), _sql_value)(name, value)
    return row


def defaults(kind: type[Any]) -> dict[str, SqlValue]:
    """Return the columns of a record that need not be given, as a row of it has them."""
    given = {each.name: each.default for each in fields(kind) if each.default is not MISSING}
    return {name: _sql_value(name, value) for name, value in given.items()}


def restore(kind: type[R], row: Row, prefix: str = "") -> R:
    """Return the record a row was made from; its columns may carry a prefix."""
    values = {name: row[prefix + name] for name in columns(kind)}
    for name in DECODERS.keys() & values.keys():
        values[name] = DECODERS[name](values[name])
    return kind(**values)


def _sql_value(name: str, value: object) -> SqlValue:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, NUMBERS):
        return _number(name, value)
    if name in VECTORS and isinstance(value, np.ndarray):
        return _vector(name, value)
    return _json(name, value)


def _number(name: str, value: "float | np.number[Any] | np.bool_") -> float:
    if isinstance(value, FLOATS):
        if not math.isfinite(value):
            raise InvalidInput(f"{name} must be a finite number, not {value}", param=name)
        return float(value)
    whole = int(value)
    if not -INTEGER_LIMIT <= whole < INTEGER_LIMIT:
        raise InvalidInput(f"{name} must fit 64 bits, not {whole.bit_length() + 1}", param=name)
    return whole


def _vector(name: str, value: NDArray[Any]) -> bytes:
    vector = np.asarray(value, dtype="<f8")
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise InvalidInput(
            f"{name} must be one row of finite numbers, not {vector.shape} with "
            f"{np.count_nonzero(~np.isfinite(vector))} that are not finite",
            param=name,
        )
    return vector.tobytes()


def _json(name: str, value: object) -> str:
    try:
        return ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be JSON of finite numbers: {error}", param=name) from error


def _json_tuple(name: str, value: tuple[Any, ...]) -> str:
    try:
        written = ", ".join(map(float.__repr__, value))
    except TypeError:  # not all of them are floats
        return _json(name, value)
    return _json(name, value) if "n" in written else f"[{written}]"  # inf and nan are no JSON


def _json_leaf(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON type")


ENCODER = json.JSONEncoder(default=_json_leaf, allow_nan=False)


# By exact type, because three rows are made for every request; what is not here goes the long way.
ENCODERS: dict[type[Any], Callable[[str, Any], SqlValue]] = {
    type(None): lambda _, value: value,
    bytes: lambda _, value: value,
    str: lambda _, value: text(value),
    bool: lambda _, value: int(value),
    int: _number,
    float: _number,
    tuple: _json_tuple,
    dict: lambda name, value: _json(name, value) if value else "{}",
}


def _tuple(written: str) -> tuple[Any, ...]:
    return tuple(json.loads(written))


def _context(written: bytes) -> NDArray[np.float64]:
    return np.frombuffer(written, dtype="<f8")


# By column name, because a name means the same in every table.
DECODERS: dict[str, Callable[[Any], Any]] = {
    "eligible": _tuple,
    "propensities": _tuple,
    "quality": _tuple,
    "quality_sd": _tuple,
    "cost_usd_predicted": _tuple,
    "scopes": _tuple,
    "allowed_arms": lambda written: None if written is None else _tuple(written),
    "ineligible": json.loads,
    "cached_by_arm": json.loads,
    "hyper": json.loads,
    "report": json.loads,
    "body": json.loads,
    "context": _context,
    "explore": bool,
    "sandbox": bool,
    "usage_estimated": bool,
    "excluded": bool,
    "withdrawn": bool,
    "promoted": bool,
}
