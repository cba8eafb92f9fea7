"""What is wrong with data from outside: where it stands, the value seen, what would be right."""

import json
import re
from collections.abc import Sequence
from reprlib import Repr
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError

from policy.letters import texts_in
from upstream.redact import NO_WORDS, QUOTED_CHARS, SAID

SEEN_CHARS = 60
KEY_CHARS = 64
KINDS = (
    (str, ("a text", "characters")),
    (list, ("a list", "items")),
    (dict, ("an object", "fields")),
)

FieldPath = Sequence[str | int]


class _Short(Repr):
    """Writes a value as JSON has it; looks at its head only, however large it is."""

    def repr_str(self, x: str, level: int) -> str:
        shown = json.dumps(x[:SEEN_CHARS], ensure_ascii=False)
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)

    def repr_bool(self, x: bool, level: int) -> str:
        return "true" if x else "false"

    def repr_NoneType(self, x: None, level: int) -> str:  # noqa: N802 (so reprlib finds it)
        return "null"


_SHORT, _QUOTED = _Short(), Repr()
_QUOTED.maxstring = SEEN_CHARS

# pydantic names the type that it wanted; the reader wants to know what to write instead.
_SHOULD = re.compile(
    r"^(?:Input|String|List|Tuple|Dictionary|Value|Data|Object) should (?=be|have|match)"
)
_BOOLEAN = re.compile(r"^it must be a valid boolean.*$")
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
    r"""Return a value on one line, cut short: a text in quotes, anything else as JSON has it.

    >>> print(seen("one" + chr(10) + "two"), seen(list(range(10_000))), seen({"a": True}))
    'one\ntwo' [0, 1, 2, 3, 4, 5, ...] {"a": true}
    """
    shown = (_QUOTED if isinstance(value, str) else _SHORT).repr(value)
    return shown if len(shown) <= SEEN_CHARS else f"{shown[: SEEN_CHARS - 3].rstrip()}..."


def seen_at(place: FieldPath, value: Any) -> str:
    """Return a value as it is shown in an error: of what may be a prompt, its kind and size only.

    >>> seen_at(["prompt"], ["my name is Ann"]), seen_at(["messages", 0, "role"], "assistent")
    ('a list of 1 items', "'assistent'")
    """
    is_said = any(step in SAID for step in place) and place[-1] not in NO_WORDS
    if not is_said or all(len(text) < QUOTED_CHARS for text in texts_in(value, NO_WORDS)):
        return seen(value)
    kind, counted = next(told for one, told in KINDS if isinstance(value, one))
    return f"{kind} of {len(value)} {counted}"


def json_path(place: FieldPath) -> str | None:
    """Return where a value stands in a body, as a caller would write it; None for the body itself.

    >>> json_path(["messages", 0, "content"])
    'messages[0].content'
    """
    steps = [f"[{step}]" if isinstance(step, int) else f".{step[:KEY_CHARS]}" for step in place]
    return "".join(steps).removeprefix(".") or None


def place_of(found: ErrorDetails, body: Any) -> FieldPath:
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
    told = _SHOULD.sub("it must ", message).replace("dictionary", "object")
    return _BOOLEAN.sub("it must be true or false", told)
