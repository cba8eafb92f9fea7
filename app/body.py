"""From bytes to JSON, strictly: one reading of every request, and none that costs much.

Depth is counted before anything is parsed, so that a hundred thousand brackets cost a scan and not
a recursion. Duplicate keys, NaN and numbers that no column can hold are refused with their place.
"""

import json
import re
from math import isfinite
from typing import Any, NoReturn

from policy.errors import InvalidInput

MAX_DEPTH = 32
MAX_INTEGER = 2**53
MAX_DIGITS = 400

OUTSIDE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def parsed(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request body.

    raises : InvalidInput with code invalid_json, invalid_number or too_deep

    >>> parsed(b'{"prompt": "hi"}')
    {'prompt': 'hi'}
    """
    text = _decoded(raw)
    _require_shallow(raw)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            code="invalid_json",
        ) from error
    if not isinstance(value, dict):
        kind = "null" if value is None else type(value).__name__
        raise InvalidInput(
            f'the body must be a JSON object, not {kind}; such as {{"prompt": "..."}}',
            code="invalid_json",
        )
    return value


def _decoded(raw: bytes) -> str:
    if not raw.strip():
        raise InvalidInput(
            'the body is empty; it must be a JSON object such as {"prompt": "..."}',
            code="invalid_json",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"the body is not UTF-8: byte {raw[error.start]:#04x} at {error.start}",
            code="invalid_json",
        ) from error


def _require_shallow(raw: bytes) -> None:
    depth = 0
    for found in OUTSIDE.finditer(raw):
        mark = found.group()[:1]
        if mark in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidInput(
                    f"the body is nested deeper than {MAX_DEPTH} levels at byte {found.start()}",
                    code="too_deep",
                )
        elif mark in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(
            f"the key {twice[:64]!r} stands twice in one object; keep one of them",
            param=twice[:64],
            code="invalid_json",
        )
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(
        f"{name} is not a JSON number; numbers must be finite", code="invalid_number"
    )


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise InvalidInput(f"{text[:40]} is too large for a number", code="invalid_number")
    return number


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS or abs(int(text)) > MAX_INTEGER:
        raise InvalidInput(
            f"the integer {text[:20]}... is beyond 2**53, which JSON cannot carry exactly",
            code="invalid_value",
        )
    return int(text)
