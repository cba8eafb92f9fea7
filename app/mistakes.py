"""What is wrong with data from outside: where it stands, the value seen, what would be right."""

import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError

SEEN_CHARS = 60
KEY_CHARS = 64

Place = Sequence[str | int]

# pydantic names the type that it wanted; the reader wants to know what to write instead.
_SHOULD = re.compile(
    r"^(?:Input|String|List|Tuple|Dictionary|Value|Data|Object) should (?=be|have|match)"
)
_COUNTED = re.compile(r" after validation, not .*$")


def explained(right: str) -> WrapValidator:
    """Return an annotation under which every mistake in a value is told as what is right.

    It stands after the constraints, because it speaks for all of them.
    """

    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise PydanticCustomError("invalid_value", "{right}", {"right": right}) from error

    return WrapValidator(check)


def seen(value: Any) -> str:
    r"""Return a value on one line, cut short.

    >>> print(seen("one" + chr(10) + "two"), seen("x" * 100)[-8:])
    'one\ntwo' xxxxx...
    """
    # Only the head of a long text is copied: the value may be as large as a body may be.
    shown = repr(value[:SEEN_CHARS] if isinstance(value, str) else value)
    whole = len(shown) <= SEEN_CHARS and not (isinstance(value, str) and len(value) > SEEN_CHARS)
    return shown if whole else f"{shown[: SEEN_CHARS - 3].rstrip()}..."


def json_path(place: Place) -> str | None:
    """Return where a value stands in a body, as a caller would write it; None for the body itself.

    >>> json_path(["messages", 0, "content"])
    'messages[0].content'
    """
    steps = [f"[{step}]" if isinstance(step, int) else f".{step[:KEY_CHARS]}" for step in place]
    return "".join(steps).removeprefix(".") or None


def place_of(found: ErrorDetails, body: Any) -> Place:
    """Return the place of a mistake, without the names pydantic gives to a union's branches."""
    place: list[str | int] = []
    value = body
    for step in found["loc"]:
        if isinstance(value, dict) and isinstance(step, str):
            place.append(step)
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            place.append(step)
            value = value[step] if step < len(value) else None
    return place


def right(found: ErrorDetails) -> str:
    """Return what would have been right, as the rest of a sentence."""
    message = _COUNTED.sub("", found["msg"].removeprefix("Value error, "))
    return _SHOULD.sub("it must ", message)
