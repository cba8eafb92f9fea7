"""Bodies: one strict reading, quick whatever is sent, and never more than the limit."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import Any

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import ClientDisconnected
from werkzeug.test import EnvironBuilder

from app.api import body
from app.api.body import MAX_DEPTH
from policy.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from tests.app.bad_inputs import LIMIT_BYTES, MEDIA, NOT_JSON, NUMBERS, TOO_DEEP, Bad

EXAMPLE = '{"prompt": "..."}'
FULL_BODY_BYTES = 4 * 1024 * 1024
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab[{", max_size=3), inner),
    max_leaves=60,
)


def carrying(raw: bytes, *, headers: dict[str, str] | None = None, **environ: Any) -> Request:
    sent = {"Content-Type": "application/json"} if headers is None else headers
    builder = EnvironBuilder(method="POST", input_stream=BytesIO(raw), headers=sent)
    return Request({"CONTENT_LENGTH": str(len(raw)), **builder.get_environ(), **environ})


def json_body(request: Request, max_bytes: int) -> dict[str, Any]:
    return body.json_body(request, max_bytes, EXAMPLE)


def parsed(raw: bytes) -> dict[str, Any]:
    return body.parsed(raw, EXAMPLE)


def refused(read: Callable[[], object]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read()
    return caught.value


def tried(raw: bytes) -> dict[str, Any] | InvalidInput:
    try:
        return parsed(raw)
    except InvalidInput as error:
        return error


def depth_of(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)


@pytest.mark.parametrize("bad", [*NOT_JSON, *TOO_DEEP, *NUMBERS, *MEDIA], ids=lambda bad: bad.name)
def test_a_bad_body_is_refused_with_its_code_and_its_place(bad: Bad) -> None:
    error = refused(lambda: json_body(carrying(bad.raw, headers=dict(bad.headers)), LIMIT_BYTES))
    assert error.code == bad.code
    assert bad.says in error.message
    assert bad.param in {None, error.param}
    assert "; it must " in error.message or "; the body must " in error.message


@given(JSON_VALUES)
def test_what_json_can_say_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    raw = json.dumps({"x": value}).encode()
    if depth_of(value) >= MAX_DEPTH:
        assert refused(lambda: parsed(raw)).code == "too_deep"
    else:
        assert parsed(raw) == json.loads(raw)


def test_a_schema_may_be_as_deep_as_openai_takes_it() -> None:
    """Ten levels, each an array that may be null of objects, as generators write them."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(10):
        row = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
        schema = {"anyOf": [{"type": "array", "items": row}, {"type": "null"}]}
    asked = {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": schema}}}}
    assert parsed(json.dumps({"response_format": asked}).encode()) == {"response_format": asked}


@given(st.binary(max_size=200) | st.text('[]{}",:\\ud8 \n19eNa-.', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    codes = {"invalid_json", "invalid_number", "invalid_value", "too_deep"}
    outcome = tried(raw)
    assert isinstance(outcome, dict) or outcome.code in codes


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"temperature": NaN}', "temperature"),
        (b'{"a": [0, {"b": 1e999}]}', "a[1].b"),
        (b'{"a": {"b": [[-Infinity]]}}', "a.b[0][0]"),
        (b'{"a": {"b": 18446744073709551616}}', "a.b"),
        (b'{"a": [{"k": 1, "k": 2}]}', "a[0].k"),
        (b'{"a": 1, "first": NaN, "second": NaN}', "first"),
        (b'{"a": NaN, "a": 1}', "a"),
        (b"NaN", None),
    ],
)
def test_the_place_of_a_mistake_is_told(raw: bytes, param: str | None) -> None:
    assert refused(lambda: parsed(raw)).param == param


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_the_limit_on_integers_is_exact(number: int) -> None:
    assert parsed(b'{"a": %d}' % number) == {"a": number}
    beyond = number + (1 if number > 0 else -1)
    assert refused(lambda: parsed(b'{"a": %d}' % beyond)).code == "invalid_value"


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b"[" * 50_000 + b"]" * 50_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"[{" * 50_000,
        b"]" * 50_000 + b"[" * 50_000,
    ],
    ids=["open", "closed", "objects", "both", "backwards"],
)
def test_deep_brackets_are_refused_before_they_are_parsed(raw: bytes) -> None:
    began_s = time.process_time()
    assert refused(lambda: parsed(raw)).code == "too_deep"
    assert time.process_time() - began_s < 1


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * FULL_BODY_BYTES,
        b'"' + b'\\"' * (FULL_BODY_BYTES // 2) + b"[" * 40,
        b"[]" * (FULL_BODY_BYTES // 2),
        b'{"a":"' + b"[{" * (FULL_BODY_BYTES // 2) + b'"}',
        b'{"a":"' + b"\\ud800" * (FULL_BODY_BYTES // 6) + b'"}',
        b'{"a":' + b"9" * FULL_BODY_BYTES + b"}",
        b'{"a":0.' + b"9" * FULL_BODY_BYTES + b"}",
    ],
    ids=["open", "escapes", "flat", "text", "surrogates", "integer", "fraction"],
)
def test_the_worst_full_body_is_read_once_through(raw: bytes) -> None:
    began_s = time.process_time()
    outcome = tried(raw)
    assert time.process_time() - began_s < 5
    assert isinstance(outcome, dict) or len(outcome.message) < 300


@pytest.mark.parametrize(
    ("escaped", "read"),
    [
        (rb"a\ud800b", "a\ufffdb"),
        (rb"a\uDFFF", "a\ufffd"),
        (rb"\ud800\ud800", "\ufffd\ufffd"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\\ud800", "\\ud800"),
        (rb"\u0000", "\0"),
    ],
)
def test_only_lone_surrogates_are_replaced(escaped: bytes, read: str) -> None:
    assert parsed(b'{"k": ["' + escaped + b'"]}') == {"k": [read]}
    read.encode()


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", "application/json; charset=utf8"],
)
def test_json_in_utf8_is_taken(content_type: str) -> None:
    assert json_body(carrying(b"{}", headers={"Content-Type": content_type}), 100) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json", "Content-Encoding": "identity, gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
def test_other_media_are_refused_unread(headers: dict[str, str]) -> None:
    request = carrying(b"{}", headers=headers)
    with pytest.raises(UnsupportedMediaType):
        json_body(request, 100)
    assert request.environ["wsgi.input"].tell() == 0


@pytest.mark.parametrize("is_chunked", [False, True])
def test_the_limit_on_bytes_is_exact(is_chunked: bool) -> None:
    raw = b'{"prompt": "hi"}'
    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True} if is_chunked else {}
    assert json_body(carrying(raw, **chunked), len(raw)) == {"prompt": "hi"}
    with pytest.raises(PayloadTooLarge, match=f"at most {len(raw) - 1} bytes"):
        json_body(carrying(raw, **chunked), len(raw) - 1)


def test_a_body_announced_as_too_large_is_not_read() -> None:
    request = carrying(b"{}" + b" " * 1_000)
    with pytest.raises(PayloadTooLarge, match="1002 bytes"):
        json_body(request, 100)
    assert request.environ["wsgi.input"].tell() == 0


def test_a_body_of_unknown_length_is_read_to_one_byte_beyond_the_limit() -> None:
    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    request = carrying(b" " * 100_000, **chunked)
    with pytest.raises(PayloadTooLarge):
        json_body(request, 100)
    assert request.environ["wsgi.input"].tell() == 101


def test_a_body_that_comes_in_pieces_is_read_whole() -> None:
    class Trickle(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 3))

    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    request = carrying(b"", **chunked, **{"wsgi.input": Trickle(b'{"prompt": "hello"}')})
    assert json_body(request, 100) == {"prompt": "hello"}


CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


@pytest.mark.parametrize(
    ("chunked", "within_s"),
    [({}, 31.0), (CHUNKED, 40.0)],
)
def test_a_body_may_take_as_long_as_its_length_or_the_limit_needs(
    monkeypatch: pytest.MonkeyPatch, chunked: dict[str, Any], within_s: float
) -> None:
    given: list[float] = []

    def within(seconds: float, _error: type[Exception]) -> AbstractContextManager[None]:
        given.append(seconds)
        return nullcontext()

    monkeypatch.setattr(body, "within", within)
    json_body(carrying(b"{}".ljust(50_000), **chunked), 500_000)
    assert given == [within_s]


@pytest.mark.parametrize("server", [{}, {"wsgi.input_terminated": True}], ids=["wsgi", "gunicorn"])
def test_a_body_shorter_than_announced_is_a_client_that_has_gone(server: dict[str, Any]) -> None:
    with pytest.raises(ClientDisconnected):
        json_body(carrying(b'{"prompt": "hi"}', CONTENT_LENGTH="100", **server), 1_000)
