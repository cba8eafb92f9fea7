"""The small provider as the real openai client and a plain socket see it."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import openai
import pytest

from policy.errors import InvalidInput
from upstream.provider import Serving, listening, serve
from upstream.replies import Reply

TEXT = "Höchst erfreulich: the answer is forty-two, and it is streamed in pieces."
ASKED = [{"role": "user", "content": "hi"}]


def respond(model: str, body: dict) -> Reply:
    if body["messages"] == []:
        raise InvalidInput("there must be a message")
    return Reply(TEXT, 7, 11, finish_reason="length", latency_s=body.get("top_p", 0.0))


@pytest.fixture
def provider() -> Iterator[Serving]:
    with serve(respond, lambda: ["vendor/one", "vendor/two", "vendor/one"]) as provider:
        yield provider


@pytest.fixture
def client(provider: Serving) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.url, api_key="none", max_retries=0) as client:
        yield client


def port_of(provider: Serving) -> int:
    port = urlsplit(provider.url).port
    assert port is not None
    return port


def test_who_calls_before_a_provider_has_started_waits_for_it() -> None:
    listener = listening()
    with closing(http.client.HTTPConnection(*listener.getsockname(), timeout=30.0)) as early:
        early.request("GET", "/healthz")
        with serve(respond, lambda: ["vendor/one"], listener=listener) as provider:
            assert early.getresponse().status == http.HTTPStatus.OK
            assert port_of(provider) == early.port


def status_after_head(provider: Serving, content_length: str) -> int:
    """Return the status the provider answers with before any body was sent."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {content_length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port_of(provider))) as raw:
        raw.sendall(head.encode())
        with raw.makefile("rb") as file:
            return int(file.readline().split()[1])


def test_a_plain_answer_parses(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="vendor/one", messages=ASKED)
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 11)
    assert (answer.model, answer.system_fingerprint) == ("vendor/one", "replay")


@pytest.mark.parametrize("with_usage", [True, False])
def test_a_streamed_answer_parses(client: openai.OpenAI, with_usage: bool) -> None:
    with client.chat.completions.create(
        model="vendor/two",
        messages=ASKED,
        stream=True,
        stream_options={"include_usage": with_usage},
    ) as stream:
        chunks = list(stream)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == TEXT
    assert len(said) > 3
    usages = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
    assert usages == [18] * with_usage


def test_the_models_are_listed_once(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["vendor/one", "vendor/two"]


def test_what_is_wrong_is_refused_in_the_shape_of_openai(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'vendor/nine'"):
        client.chat.completions.create(model="vendor/nine", messages=ASKED)
    with pytest.raises(openai.BadRequestError, match="there must be a message"):
        client.chat.completions.create(model="vendor/one", messages=[])
    with pytest.raises(openai.NotFoundError, match="no such path"):
        client.embeddings.create(model="vendor/one", input="x")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"messages": 1}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused_and_the_connection_stays(provider, body) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(provider))
    for _ in range(2):
        connection.request("POST", "/v1/chat/completions", body)
        response = connection.getresponse()
        assert response.status == 400
        assert response.headers["x-replay"] == "true"
        assert "error" in json.load(response)
    connection.close()


def test_a_body_too_large_is_not_read(provider: Serving) -> None:
    assert status_after_head(provider, "99999999") == 413
    assert status_after_head(provider, "9" * 5000) == 413


@pytest.mark.parametrize("length", ["x", "-5", "1e3"])
def test_a_length_that_is_none_is_refused(provider: Serving, length: str) -> None:
    assert status_after_head(provider, length) == 400


def test_it_says_that_it_is_well(provider: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(provider))
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b'{"status": "ok"}'
    connection.close()


def test_many_wait_at_the_same_time(client: openai.OpenAI) -> None:
    began = time.monotonic()
    threads = [
        threading.Thread(
            target=client.chat.completions.create,
            kwargs={"model": "vendor/one", "messages": ASKED, "top_p": 0.3},
        )
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.3 <= time.monotonic() - began < 2


def test_a_client_that_leaves_early_disturbs_nobody(provider, client, capfd) -> None:
    body = json.dumps({"model": "vendor/one", "messages": ASKED, "stream": True, "top_p": 0.1})
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port_of(provider))) as raw:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            raw.sendall((head + body).encode())
    time.sleep(0.2)
    assert client.chat.completions.create(model="vendor/one", messages=ASKED).choices
    assert capfd.readouterr().err == ""


def test_a_closed_provider_is_gone_and_its_waiter_is_told() -> None:
    provider = serve(respond, lambda: ["m"])
    waiter = threading.Thread(target=provider.wait, daemon=True)
    waiter.start()
    with openai.OpenAI(base_url=provider.url, api_key="none", max_retries=0) as client:
        client.models.list()
        provider.close()
        waiter.join(timeout=2)
        assert not waiter.is_alive()
        with pytest.raises(openai.APIConnectionError):
            client.models.list()
