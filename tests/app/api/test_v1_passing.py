"""`/v1/embeddings` and `/v1/responses`: given to the provider that takes them, as they came."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseErrorEvent
from structlog.testing import capture_logs

from app.api import caller
from tests.app.faulty import Faulty, broken, busy, page, refusing
from tests.app.running import Running, catalogue, running
from tests.app.serving import openai_client
from tests.upstream.misbehaving import Conversation, Scenario, misbehaving

VECTORS = {"object": "list", "data": [{"embedding": "AAAA", "index": 0}], "model": "theirs"}
EVENTS = b'event: response.created\ndata: {"type": "response.created"}\n\n'
PASSES_ON = {"passes_on": ["embeddings", "responses"]}


def vectors(talk: Conversation) -> None:
    talk.reply(json.dumps(VECTORS).encode())


def streaming(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream")
    for byte in EVENTS:
        talk.send(bytes([byte]))


def breaking(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream", "Content-Length: 1000")
    talk.send(EVENTS + b"data: {half")


def pausing(talk: Conversation) -> None:
    streaming(talk)
    talk.until_client_leaves()


def missing(talk: Conversation) -> None:
    talk.reply(b'{"error": {"message": "no such model"}}', "404 Not Found")


def gone(talk: Conversation) -> None:
    said = {"message": "The requested model 'theirs' does not exist.", "code": "model_not_found"}
    talk.reply(json.dumps({"error": said}).encode(), "400 Bad Request")


def loud_page(talk: Conversation) -> None:
    talk.reply(b"<HTML>Busy</HTML>", kind="Text/HTML")


@contextmanager
def passing(
    folder: Path, scenario: Scenario, provider: dict[str, Any] = PASSES_ON
) -> Iterator[Faulty]:
    with misbehaving({"theirs": scenario}) as (url, seen):
        path = catalogue(folder, url, {"a": {}}, provider)
        with running(folder, arms=path, sandbox="off") as service:
            yield Faulty(service, seen)


def test_what_goes_in_and_what_comes_out_is_untouched(tmp_path: Path) -> None:
    asked = {"model": "theirs", "input": ["é", [1, 2]], "encoding_format": "base64", "odd": None}
    with passing(tmp_path, vectors) as made:
        response = made.service.post("/v1/embeddings", asked)
        assert (response.status_code, response.json) == (200, VECTORS)
        assert made.seen.bodies == [asked]
        assert made.seen.heads[0].startswith("POST /v1/embeddings ")
        assert made.decisions == []


@pytest.mark.parametrize(
    ("told", "passed_on"),
    [
        ("application/json; x=é😀", "application/json"),
        ("application/json; x=\t1", "application/json"),
        ("", "application/json"),
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
def test_a_type_that_no_header_may_hold_is_not_passed_on(
    tmp_path: Path, told: str, passed_on: str
) -> None:
    with passing(tmp_path, lambda talk: talk.reply(b"{}", kind=told)) as made:
        response = made.service.post("/v1/embeddings", {"model": "theirs", "input": "hi"})
    assert (response.status_code, response.data) == (200, b"{}")
    assert response.headers.getlist("content-type") == [passed_on]


def test_a_stream_comes_as_it_is(tmp_path: Path) -> None:
    with passing(tmp_path, streaming) as made:
        response = made.service.post("/v1/responses", {"model": "theirs", "stream": True})
        assert (response.mimetype, response.data) == ("text/event-stream", EVENTS)


def test_a_stream_that_breaks_off_ends_with_an_error_event(tmp_path: Path) -> None:
    with passing(tmp_path, breaking) as made, capture_logs() as lines:
        response = made.service.post("/v1/responses", {"model": "theirs", "stream": True})
        assert response.data.startswith(EVENTS + b"event: error\ndata: ")
        told = json.loads(response.data.splitlines()[-2].removeprefix(b"data: "))
        event = ResponseErrorEvent.model_validate(told, strict=True)
        assert (event.type, event.code) == ("error", "upstream_bad_response")
        assert (event.sequence_number, event.message) == (1, told["error"]["message"])
        assert [line["code"] for line in lines] == ["upstream_bad_response"]


def test_a_client_that_leaves_a_stream_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[bool] = []
    monkeypatch.setattr(caller, "_always", lambda: not gone)
    with passing(tmp_path, pausing) as made, capture_logs() as lines:
        asked = {"model": "theirs", "stream": True}
        response = made.service.client.post("/v1/responses", json=asked, buffered=False)
        pieces = response.iter_encoded()
        next(pieces)
        gone.append(True)
        list(pieces)
        assert [(line["event"], line["code"]) for line in lines] == [
            ("answer broke off", "client_gone")
        ]
        assert made.seen.closed_early.wait(2)


def test_a_stream_that_a_defect_of_ours_breaks_off_ends_with_an_error_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    monkeypatch.setattr(caller, "_always", lambda: 1 / 0 if begun else True)
    with passing(tmp_path, pausing) as made:
        asked = {"model": "theirs", "stream": True}
        response = made.service.client.post("/v1/responses", json=asked, buffered=False)
        pieces = response.iter_encoded()
        next(pieces)
        begun.append(True)
        came = [b""]
        with pytest.raises(ZeroDivisionError):
            came.extend(pieces)
        name, data = came[-1].decode().strip().split("\n")
        told = json.loads(data.removeprefix("data: "))
        assert (name, told["type"], told["code"]) == ("event: error", "error", "internal_error")
        assert made.seen.closed_early.wait(2)


def test_a_stream_that_breaks_off_is_an_error_to_openai_s_client(tmp_path: Path) -> None:
    with passing(tmp_path, breaking) as made, openai_client(made.service) as client:
        came = client.responses.create(model="theirs", input="hi", stream=True)
        assert next(came).type == "response.created"
        with pytest.raises(openai.APIError) as error:
            next(came)
        assert error.value.code == "upstream_bad_response"


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        (missing, 404, "model_not_found"),
        (gone, 404, "model_not_found"),
        (refusing, 400, "invalid_value"),
        (busy, 429, "rate_limited"),
        (broken, 502, "upstream_bad_response"),
        (page, 502, "upstream_bad_response"),
        (loud_page, 502, "upstream_bad_response"),
    ],
)
def test_a_failure_is_an_error_of_ours(
    tmp_path: Path, scenario: Scenario, status: int, code: str
) -> None:
    with passing(tmp_path, scenario) as made:
        told = made.service.refused("/v1/embeddings", {"model": "theirs", "input": "hi"})
        assert (told[0], told[1]["code"]) == (status, code)


@pytest.mark.parametrize("endpoint", ["embeddings", "responses"])
def test_where_nobody_takes_them_the_error_says_how(
    shared: Running, tmp_path: Path, endpoint: str
) -> None:
    asked = f"/v1/{endpoint}", {"model": "m", "input": "hi"}
    with passing(tmp_path, vectors, {}) as made:
        status, error = made.service.refused(*asked)
    assert (status, error["code"]) == (404, "endpoint_not_served")
    assert f'passes_on = ["{endpoint}"]' in error["message"]
    status, error = shared.refused(*asked)
    assert (status, error["code"]) == (404, "endpoint_not_served")
    assert f"the sandbox does not take {endpoint}" in error["message"]


@pytest.mark.parametrize("endpoint", ["embeddings", "responses"])
@pytest.mark.parametrize("model", ["auto", "auto:best"])
def test_a_name_that_routes_is_sent_to_where_it_does(
    tmp_path: Path, endpoint: str, model: str
) -> None:
    with passing(tmp_path, vectors) as made:
        status, error = made.service.refused(f"/v1/{endpoint}", {"model": model, "input": "hi"})
        assert made.seen.bodies == []
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert f"'{model}'" in error["message"]
    assert "/v1/chat/completions" in error["message"]
