"""Plain answers through the real client: what passes, and each way a provider can fail."""

import json
import socket
import threading
import traceback

import pytest

from policy import VERSION
from policy.errors import (
    ConfigError,
    ContextLengthExceeded,
    UpstreamBusy,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorised,
)
from policy.types import Usage
from tests.upstream.misbehaving import Conversation, completion, misbehaving
from tests.upstream.talking import BODY, KEY, arm_on, talking_to, upstream_at
from upstream.catalogue import Catalogue, Provider
from upstream.client import Upstream


def replying(body: bytes, status: str = "200 OK", kind: str = "application/json"):
    return lambda conversation: conversation.reply(body, status, kind)


def failing(error: object, status: str, *headers: str):
    def scenario(conversation: Conversation) -> None:
        body = json.dumps({"error": error}).encode()
        conversation.head(status, "application/json", f"Content-Length: {len(body)}", *headers)
        conversation.send(body)

    return scenario


def test_a_good_answer_arrives_with_its_usage_and_times() -> None:
    with talking_to(replying(completion())) as (upstream, arm, _):
        answer = upstream.answer(arm, BODY)
    assert (answer.text, answer.finish_reason, answer.model) == ("hello", "stop", "m")
    assert answer.usage == Usage(3, 2)
    assert 0 < answer.ttft_s <= answer.latency_s < 0.3
    assert answer.data == json.loads(completion())


def test_the_provider_sees_the_arms_model_and_extra_body_and_our_key() -> None:
    extra = {"service_tier": "flex"}
    with talking_to(replying(completion()), extra_body=extra) as (upstream, arm, seen):
        upstream.answer(arm, {**BODY, "temperature": 0.5, "service_tier": "default"})
    assert seen.bodies == [{**BODY, "temperature": 0.5, "service_tier": "flex", "model": "m"}]
    assert f"authorization: bearer {KEY}" in seen.heads[0].lower()
    assert f"\r\nuser-agent: turnpike/{VERSION}\r\n" in seen.heads[0]
    assert "idempotency" not in seen.heads[0].lower()
    assert seen.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")


def test_what_the_environment_says_about_openai_stays_here(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with talking_to(replying(completion())) as (upstream, arm, seen):
        upstream.answer(arm, BODY)
    assert "somebody" not in seen.heads[0]


NO_ANSWERS = {
    "a page": (b"<html>Bad gateway</html>", "text/html"),
    "nothing": (b"", "application/json"),
    "an empty object": (b"{}", "application/json"),
    "a list": (b"[]", "application/json"),
    "cut JSON": (completion()[:-9], "application/json"),
    "NaN": (completion(extra=1).replace(b'"extra": 1', b'"extra": NaN'), "application/json"),
    "a number that is not finite": (
        completion(extra=1).replace(b'"extra": 1', b'"extra": -1e999'),
        "application/json",
    ),
    "not UTF-8": (completion().replace(b"hello", b"\xff\xfe"), "application/json"),
    "deep nesting": (b"[" * 100_000, "application/json"),
    "deep but parseable nesting": (
        completion({"content": "x", "tool_calls": json.loads("[" * 700 + "]" * 700)}),
        "application/json",
    ),
    "no choices": (b'{"choices": []}', "application/json"),
    "null choices": (b'{"choices": null}', "application/json"),
    "choices of text": (b'{"choices": ["hello"]}', "application/json"),
    "a choice without message": (b'{"choices": [{"finish_reason": "stop"}]}', "application/json"),
    "a message of text": (completion("hello"), "application/json"),
    "null content": (completion({"content": None}), "application/json"),
    "blank content": (completion({"content": " \n\t"}), "application/json"),
    "content that is a number": (completion({"content": 7}), "application/json"),
    "content with a part that is no text": (
        completion({"content": [{"type": "text", "text": 7}]}),
        "application/json",
    ),
    "tool calls that are no list": (completion({"tool_calls": True}), "application/json"),
    "tool calls that are no objects": (completion({"tool_calls": ["f"]}), "application/json"),
    "no tool call in a list of them": (completion({"tool_calls": []}), "application/json"),
    "no finish_reason": (completion(finish=None), "application/json"),
    "an end in an error": (completion(finish="error"), "application/json"),
    "an error": (b'{"error": {"message": "model overloaded"}}', "application/json"),
    "an error object": (b'{"object": "error", "message": "boom"}', "application/json"),
}


@pytest.mark.parametrize(("body", "kind"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_a_200_that_is_no_answer_is_invalid(body: bytes, kind: str) -> None:
    with (
        talking_to(replying(body, kind=kind)) as (upstream, arm, seen),
        pytest.raises(UpstreamInvalid, match="^arm-a: the provider sent") as caught,
    ):
        upstream.answer(arm, BODY)
    assert caught.value.arm == "arm-a"
    assert len(seen.bodies) == 1


def test_a_204_is_no_answer() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    with talking_to(scenario) as (upstream, arm, _), pytest.raises(UpstreamInvalid):
        upstream.answer(arm, BODY)


PASSED_ON = {
    "cut by its length": ({"content": "half an ans"}, "length"),
    "cut before its first word": ({"content": ""}, "length"),
    "held back by a filter": ({"content": None}, "content_filter"),
    "a refusal": ({"content": None, "refusal": "I will not."}, "stop"),
    "a function call": ({"content": None, "function_call": {"name": "f"}}, "function_call"),
    "sound": ({"content": None, "audio": {"id": "a", "data": "AA", "transcript": "hi"}}, "stop"),
    "a picture": ({"content": "", "images": [{"image_url": {"url": "data:,A"}}]}, "stop"),
    "content in parts": ({"content": [{"type": "text", "text": "hello"}]}, "stop"),
}


@pytest.mark.parametrize(("message", "finish"), PASSED_ON.values(), ids=PASSED_ON)
def test_an_unusual_answer_is_passed_on(message: dict, finish: str) -> None:
    with talking_to(replying(completion(message, finish=finish))) as (upstream, arm, _):
        answer = upstream.answer(arm, BODY)
    assert answer.finish_reason == finish
    assert answer.data["choices"][0]["message"] == message


ERRORS = [
    ("400 Bad Request", "temperature is too high", UpstreamRejected),
    ("413 Too Large", "too large", UpstreamRejected),
    ("422 Unprocessable", "unknown field", UpstreamRejected),
    ("400 Bad Request", "This model's maximum context length is 8 tokens", ContextLengthExceeded),
    ("401 Unauthorized", "bad key", UpstreamUnauthorised),
    ("403 Forbidden", "not for you", UpstreamUnauthorised),
    ("404 Not Found", "no such model", UpstreamError),
    ("408 Request Timeout", "slow", UpstreamTimeout),
    ("409 Conflict", "again", UpstreamError),
    ("429 Too Many Requests", "slow down", UpstreamBusy),
    ("500 Internal Server Error", "oops", UpstreamError),
    ("502 Bad Gateway", "oops", UpstreamError),
    ("503 Service Unavailable", "oops", UpstreamError),
    ("504 Gateway Timeout", "oops", UpstreamError),
    ("529 Overloaded", "oops", UpstreamError),
]


@pytest.mark.parametrize(("status", "said", "error"), ERRORS)
@pytest.mark.parametrize("method", ["answer", "stream"])
def test_each_status_is_one_error_after_one_call(method, status, said, error) -> None:
    with (
        talking_to(failing({"message": said}, status)) as (upstream, arm, seen),
        pytest.raises(UpstreamError) as caught,
    ):
        getattr(upstream, method)(arm, BODY)
    assert type(caught.value) is error
    assert caught.value.http_status == int(status[:3])
    assert str(caught.value) == f"arm-a: the provider answered {status[:3]}: {said}"
    assert len(seen.bodies) == 1


def test_a_context_length_code_counts_whatever_the_words() -> None:
    error = {"message": "no", "code": "context_length_exceeded"}
    with (
        talking_to(failing(error, "400 Bad Request")) as (upstream, arm, _),
        pytest.raises(ContextLengthExceeded),
    ):
        upstream.answer(arm, BODY)


def test_retry_after_is_told_and_not_slept() -> None:
    busy = failing({"message": "slow down"}, "429 Too Many Requests", "Retry-After: 120")
    with talking_to(busy) as (upstream, arm, seen), pytest.raises(UpstreamBusy) as caught:
        upstream.answer(arm, BODY)
    assert caught.value.retry_after_s == 120
    assert len(seen.bodies) == 1


def test_a_wait_that_stands_in_the_error_alone_is_told_too() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46.5s"}
    busy = failing({"message": "quota", "details": [info]}, "429 Too Many Requests")
    with talking_to(busy) as (upstream, arm, _), pytest.raises(UpstreamBusy) as caught:
        upstream.answer(arm, BODY)
    assert caught.value.retry_after_s == 46.5


def test_a_redirect_is_not_followed() -> None:
    with talking_to(replying(completion())) as (there, arm, seen_there):
        url = str(next(iter(there._clients.values())).base_url)
        redirect = failing({}, "307 Temporary Redirect", f"Location: {url}chat/completions")
        with (
            talking_to(redirect) as (upstream, arm, seen),
            pytest.raises(UpstreamError, match="answered 307"),
        ):
            upstream.answer(arm, BODY)
    assert len(seen.bodies) == 1
    assert seen_there.connections == 0


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/a/b"])
def test_the_address_of_a_provider_may_have_a_path_or_none(path: str) -> None:
    there = misbehaving({"m": replying(completion())})
    with there as (url, seen), upstream_at(url.removesuffix("/v1") + path) as upstream:
        upstream.answer(arm_on(), BODY)
    [head] = seen.heads
    assert head.startswith(f"POST {path.rstrip('/')}/chat/completions HTTP/1.1")


def test_a_refused_connection_is_an_error_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with (
        upstream_at(f"http://127.0.0.1:{port}/v1") as upstream,
        pytest.raises(UpstreamError, match="cannot be reached: .*refused"),
    ):
        upstream.answer(arm_on(), BODY)


def test_a_host_that_does_not_exist_is_an_error() -> None:
    url = "http://nowhere.invalid/v1"
    with upstream_at(url) as upstream, pytest.raises(UpstreamError, match="cannot be reached"):
        upstream.answer(arm_on(), BODY)


def test_a_provider_that_does_not_speak_tls_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet_in_plain_text() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        provider = threading.Thread(target=greet_in_plain_text, daemon=True)
        provider.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        error = pytest.raises(UpstreamError, match="cannot be reached.*SSL")
        with upstream_at(url) as upstream, error:
            upstream.answer(arm_on(), BODY)
        provider.join()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"220 ESMTP\r\n\r\n"])
def test_a_connection_without_an_answer_is_an_error(sent: bytes) -> None:
    with (
        talking_to(lambda conversation: conversation.send(sent)) as (upstream, arm, _),
        pytest.raises(UpstreamError, match="broke the connection"),
    ):
        upstream.answer(arm, BODY)


def test_a_body_cut_by_the_connection_is_an_error() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("200 OK", "application/json", "Content-Length: 9999")
        conversation.send(completion())
        conversation.reset()

    with (
        talking_to(scenario) as (upstream, arm, _),
        pytest.raises(UpstreamError, match="broke the connection"),
    ):
        upstream.answer(arm, BODY)


@pytest.mark.parametrize(
    ("status", "says"),
    [("200 OK", "sent more than 16777216 bytes"), ("500 Internal Server Error", "answered 500: ")],
)
def test_a_body_beyond_the_cap_is_not_read_to_its_end(status: str, says: str) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head(status)
        conversation.until_client_leaves(every_s=0.001, data=b" " * 1_000_000)

    with talking_to(scenario) as (upstream, arm, seen):
        with pytest.raises(UpstreamError, match=says):
            upstream.answer(arm, BODY)
        assert seen.closed_early.wait(2)


def test_a_body_that_says_it_is_not_compressed_is_read() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("200 OK", "application/json", "Content-Encoding: Identity")
        conversation.send(completion())

    with talking_to(scenario) as (upstream, arm, _):
        assert upstream.answer(arm, BODY).text == "hello"


def test_a_compressed_body_is_not_unpacked() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("200 OK", "application/json", "Content-Encoding: gzip")
        conversation.send(b"\x1f\x8b")

    with (
        talking_to(scenario) as (upstream, arm, seen),
        pytest.raises(UpstreamError, match="compressed"),
    ):
        upstream.answer(arm, BODY)
    assert "accept-encoding: identity" in seen.heads[0].lower()


@pytest.mark.parametrize("method", ["answer", "stream"])
@pytest.mark.parametrize("kind", ["error", "page"])
def test_a_key_that_the_provider_echoes_is_in_no_part_of_the_error(method, kind) -> None:
    echo = f"wrong key {KEY}, header Bearer {KEY}, also sk-abcdefgh12345678 " + "x" * 1000
    scenarios = {
        "error": failing({"message": echo}, "401 Unauthorized"),
        "page": replying(f"<html>{echo}</html>".encode(), "500 Error", "text/html"),
    }
    with talking_to(scenarios[kind]) as (upstream, arm, _), pytest.raises(UpstreamError) as caught:
        getattr(upstream, method)(arm, BODY)
    whole = "".join(traceback.format_exception(caught.value))
    assert KEY not in whole
    assert "abcdefgh" not in whole
    assert len(str(caught.value)) <= 300


def test_a_missing_key_is_named_at_the_start() -> None:
    catalogue = Catalogue({"p": Provider("p", "http://127.0.0.1:9/v1", "SOME_KEY")}, {})
    with pytest.raises(ConfigError, match="SOME_KEY is not set"):
        Upstream(lambda: catalogue, {})


def test_a_key_with_a_line_end_is_refused_without_being_shown() -> None:
    catalogue = Catalogue({"p": Provider("p", "http://127.0.0.1:9/v1", "SOME_KEY")}, {})
    with pytest.raises(ConfigError, match="SOME_KEY holds 8 characters") as caught:
        Upstream(lambda: catalogue, {"SOME_KEY": "hunter2\n"})
    assert "hunter2" not in str(caught.value)


def test_a_provider_that_comes_later_without_a_key_fails_alone() -> None:
    with talking_to(replying(completion())) as (upstream, arm, _):
        known = upstream._catalogue()
        later = {**known.providers, "q": Provider("q", "http://127.0.0.1:9/v1", "NEW_KEY")}
        upstream._catalogue = lambda: Catalogue(later, known.arms)
        with pytest.raises(UpstreamUnauthorised, match="NEW_KEY is not set"):
            upstream.answer(arm_on("q"), BODY)
        with pytest.raises(UpstreamError, match="no longer in the catalogue"):
            upstream.answer(arm_on("gone"), BODY)
        assert upstream.answer(arm, BODY).text == "hello"


@pytest.mark.parametrize("model", ["a\r\nx-evil: 1", "é" * 9, "m" * 500, None, 7, ""])
def test_a_model_name_unfit_for_a_header_is_replaced_by_ours(model) -> None:
    with talking_to(replying(completion(model=model))) as (upstream, arm, _):
        assert upstream.answer(arm, BODY).model == arm.model
