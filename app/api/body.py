"""From bytes to JSON, strictly: one reading of every request, and none that costs much.

Depth is measured before anything is parsed, so that a hundred thousand brackets cost a scan and not
a recursion. The parser leaves a mark where it meets what JSON does not have or no column can hold;
only a body with a mark is walked again, to say where.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from math import isfinite
from typing import Any

from flask import Request, abort
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, RequestTimeout

from app.mistakes import FieldPath, json_path, seen
from app.processes.loop import in_turns, within
from policy.errors import (
    InvalidInput,
    InvalidJson,
    InvalidNumber,
    PayloadTooLarge,
    TooDeep,
    UnsupportedMediaType,
)

MAX_DEPTH = 64  # of which a schema of ten levels, as deep as OpenAI takes, needs up to 56
LEAST_INTEGER = -(2**63)  # what 64 bits hold, signed or not, is passed on to the digit
MAX_INTEGER = 2**64 - 1
MAX_DIGITS = 20
SHOWN_DIGITS = 30
READ_WITHIN_S, LEAST_BYTES_PER_S = 30.0, 50_000
"""A body has so long to come, and for each so many bytes that it may have a second more."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(sorted(set(range(256)) - set(b"[]{}")))
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Stands in parsed data for what cannot be taken; `step` leads to it from where it stands."""

    kind: type[InvalidInput]
    was: str
    right: str
    step: tuple[str, ...] = ()


def json_body(request: Request, max_bytes: int, example: str) -> dict[str, Any]:
    """Return the JSON object that a request carries; the `example` is shown where it is none.

    raises : UnsupportedMediaType, PayloadTooLarge, InvalidInput
    """
    _require_plain_json(request)
    return parsed(_read(request, max_bytes), example)


def parsed(raw: bytes, example: str) -> dict[str, Any]:
    """Return the JSON object of a request body; a lone surrogate in it becomes U+FFFD.

    raises : InvalidJson, InvalidNumber, TooDeep; InvalidInput for an integer beyond 64 bits

    >>> parsed(b'{"prompt": "hi"}', '{"prompt": "..."}')
    {'prompt': 'hi'}
    """
    good = f"it must be a JSON object such as {example}"
    text = _decoded(raw, good)
    _require_shallow(raw)
    value = _loaded(text, good)
    if not isinstance(value, dict):
        raise InvalidJson(f"the body is {seen(value)}; {good}")
    # UTF-8 holds no surrogate, so one can only have come as an escape.
    return _printable(value) if "\\ud" in text or "\\uD" in text else value


def _require_plain_json(request: Request) -> None:
    """Refuse what is not plain JSON in UTF-8; this also keeps forms of other sites out."""
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"}:
        given = request.headers.get("content-type")
        raise UnsupportedMediaType(
            f"content-type is {'missing' if given is None else seen(given)}; "
            "it must be application/json, in UTF-8",
            param="content-type",
        )
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType(
            f"content-encoding is {seen(coding)}; the body must be sent as it is, not compressed",
            param="content-encoding",
        )
    # The server takes `gzip, chunked` as chunks, and leaves what is in them compressed.
    if request.headers.get("transfer-encoding", "chunked").lower() != "chunked":
        abort(HTTPStatus.NOT_IMPLEMENTED)


@contextmanager
def reading(most_bytes: int) -> Iterator[None]:
    """Refuse a body that breaks off, or whose chunks are malformed, while it is read.

    raises : ClientDisconnected; RequestTimeout if it takes longer than so many bytes may
    """
    try:
        with within(READ_WITHIN_S + most_bytes / LEAST_BYTES_PER_S, RequestTimeout):
            yield
    except (OSError, ParseException) as error:
        raise ClientDisconnected from error


def _read(request: Request, max_bytes: int) -> bytes:
    """Return the body; of one that is too large, not more is read than shows that it is.

    raises : PayloadTooLarge; RequestTimeout; ClientDisconnected where it is cut, or malformed
    """
    length = request.content_length
    if length is not None and length > max_bytes:
        raise _too_large(f"{length} bytes long", max_bytes)
    with reading(max_bytes if length is None else length):
        raw = b"".join(in_turns(request.stream.read, max_bytes + 1))
    if len(raw) > max_bytes:
        raise _too_large("longer", max_bytes)
    if length is not None and len(raw) < length:
        raise ClientDisconnected
    return raw


def _too_large(was: str, max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is {was}; it must have at most {max_bytes} bytes")


def _decoded(raw: bytes, good: str) -> str:
    if not raw.strip():
        raise InvalidJson(f"the body is empty; {good}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidJson(
            f"the body has byte {raw[error.start]:#04x} at {error.start}; it must be UTF-8"
        ) from error


def _require_shallow(raw: bytes) -> None:
    """Refuse a body in which brackets stand deeper than MAX_DEPTH.

    What is left without its strings is only brackets; to take every `[]` out of it takes one level
    off. All of that runs in C, which matters: anybody may send a body full of brackets.
    """
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    left = _STRING.sub(b"", raw).translate(_BRACKETS, _NO_BRACKET)
    for _ in range(MAX_DEPTH):
        before, left = left, left.replace(b"[]", b"")
        if len(left) == len(before):
            break
    if b"[]" in left or left.count(b"[") > MAX_DEPTH:
        raise TooDeep(f"the body is nested deeper than {MAX_DEPTH} levels; it must be flatter")


def _loaded(text: str, good: str) -> Any:
    """Return the parsed text.

    raises : InvalidJson; what the first mark says, with its place
    """
    reader = _Reader()
    try:
        value = json.loads(
            text,
            object_pairs_hook=reader.object,
            parse_constant=reader.constant,
            parse_float=reader.decimal,
            parse_int=reader.integer,
        )
    except json.JSONDecodeError as error:
        raise InvalidJson(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
            + good
        ) from error
    if reader.has_marked:
        place, mark = next(_marks(value, ()))
        where = json_path([*place, *mark.step])
        raise mark.kind(f"{where or 'the body'} {mark.was}; {mark.right}", param=where)
    return value


class _Reader:
    """The hooks of the parser: each returns the value, or a mark in its place."""

    def __init__(self) -> None:
        self.has_marked = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Mark:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        names = Counter(name for name, _ in pairs)
        twice = names.most_common(1)[0][0]
        return self._mark(InvalidJson, "stands twice", "it must stand once", (twice,))

    def constant(self, name: str) -> _Mark:
        return self._mark(InvalidNumber, f"is {name}", "it must be a finite number")

    def decimal(self, digits: str) -> float | _Mark:
        number = float(digits)
        if isfinite(number):
            return number
        return self._mark(InvalidNumber, f"is {seen(digits)[1:-1]}", "it must be finite")

    def integer(self, digits: str) -> int | _Mark:
        if len(digits) <= MAX_DIGITS and LEAST_INTEGER <= int(digits) <= MAX_INTEGER:
            return int(digits)
        whole = digits if len(digits) <= SHOWN_DIGITS else f"{digits[:SHOWN_DIGITS]}..."
        return self._mark(InvalidInput, f"is {whole}", "it must lie from -2**63 to 2**64 - 1")

    def _mark(
        self, kind: type[InvalidInput], was: str, right: str, step: tuple[str, ...] = ()
    ) -> _Mark:
        self.has_marked = True
        return _Mark(kind, was, right, step)


def _marks(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[FieldPath, _Mark]]:
    """Yield each mark with its place, in the order of the text."""
    if isinstance(value, _Mark):
        yield place, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _marks(each, (*place, name))
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _marks(each, (*place, i))


def _printable(value: Any) -> Any:
    """Return JSON data without lone surrogates, which no store and no provider takes."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_printable(each) for each in value]
    if isinstance(value, dict):
        return {_printable(name): _printable(each) for name, each in value.items()}
    return value
