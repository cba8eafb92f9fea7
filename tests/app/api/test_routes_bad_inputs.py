"""Whatever is wrong with a request is told in one form, and leaves no trace."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from app.api.body import MAX_DEPTH
from tests.app.bad_inputs import BAD, LIMIT_BYTES, ODD_BUT_GOOD, Bad
from tests.app.running import Provider, Running, running

LONGEST_MESSAGE = 600


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    """Return a service that has learned a little, so that a change of it would show."""
    folder: Path = tmp_path_factory.mktemp("bad")
    with running(folder, sandbox_url=provider.url, max_body_bytes=LIMIT_BYTES) as made:
        made.rate(made.ask()["id"])
        yield made


def traces(service: Running, provider: Provider) -> tuple[object, ...]:
    counts = service.parts.log.counts()
    return service.digest, service.parts.log.position(), counts, len(provider.bodies)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_body_is_refused_and_leaves_no_trace(
    service: Running, provider: Provider, bad: Bad
) -> None:
    before = traces(service, provider)
    response = service.client.post(bad.path, data=bad.raw, headers=bad.headers)
    error = response.json["error"]
    assert response.mimetype == "application/json"
    assert (response.status_code, error["code"]) == (bad.status, bad.code)
    assert error["type"] == "invalid_request_error"
    assert error.keys() == {"message", "type", "param", "code"}
    if bad.param is not None:
        assert error["param"] == bad.param
    assert bad.says in error["message"]
    assert len(error["message"]) <= LONGEST_MESSAGE
    assert error["message"].isprintable()
    assert traces(service, provider) == before


@pytest.mark.parametrize(
    "bad", [bad for bad in BAD if bad.path == "/complete"], ids=lambda bad: bad.name
)
def test_route_refuses_what_complete_refuses(service: Running, bad: Bad) -> None:
    told = [
        service.client.post(path, data=bad.raw, headers=bad.headers)
        for path in ("/complete", "/route")
    ]
    assert told[0].json == told[1].json
    assert told[0].status_code == told[1].status_code


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/complete", 200),
        ("/route", 200),
        ("/v1/chat/completions", 200),
        ("/feedback", 404),
        ("/v1/embeddings", 404),
        ("/v1/responses", 404),
    ],
)
def test_the_example_that_is_shown_where_a_body_is_none_is_a_good_one(
    service: Running, path: str, answer: int
) -> None:
    for raw in (b"", b"[]", b"{"):
        told = service.client.post(path, data=raw, content_type="application/json").json["error"]
        assert told["code"] == "invalid_json"
        example = told["message"].partition("it must be a JSON object such as ")[2]
        response = service.client.post(path, data=example, content_type="application/json")
        assert response.status_code == answer, response.text


@pytest.mark.parametrize("raw", ODD_BUT_GOOD.values(), ids=ODD_BUT_GOOD.keys())
def test_an_odd_body_is_answered(service: Running, raw: bytes) -> None:
    response = service.client.post("/complete", data=raw, content_type="application/json")
    assert response.status_code == 200, response.text
    assert service.get(f"/decisions/{response.json['id']}")["outcome"]["status"] == "ok"


def test_a_lone_surrogate_reaches_the_provider_as_a_replacement_character(
    service: Running, provider: Provider
) -> None:
    raw = ODD_BUT_GOOD["lone surrogate"]
    service.client.post("/complete", data=raw, content_type="application/json")
    assert provider.bodies[-1]["messages"][0]["content"] == "a\ufffdb"


def test_a_chunked_body_is_not_read_beyond_the_limit(service: Running) -> None:
    sent = BytesIO(b'{"prompt": "' + b"x" * (10 * LIMIT_BYTES))
    response = service.client.post(
        "/complete",
        input_stream=sent,
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert (response.status_code, response.json["error"]["code"]) == (413, "request_too_large")
    assert sent.tell() <= LIMIT_BYTES + 65_536


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
def test_the_limit_on_depth_is_exact(service: Running, depth: int) -> None:
    inner = depth - 1  # the body itself is the first level
    raw = b'{"prompt": "hi", "x": ' + b"[" * inner + b"]" * inner + b"}"
    response = service.client.post("/route", data=raw, content_type="application/json")
    assert response.status_code == (200 if depth == MAX_DEPTH else 400)
