"""What a provider may bill for a call that brought no answer, as its error carries it."""

import json
import socket

import pytest

from policy.errors import UpstreamError
from policy.types import NOTHING, Timeouts, Usage
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion, usage_frame
from tests.upstream.talking import BODY, arm_on, talking_to, upstream_at

ASKED = Usage(8, 0, estimated=True)
"""The 32 characters of the request."""
SHORT = Timeouts(first_content_s=0.3, idle_s=0.3, total_s=9)
ROLE = chunk(delta={"role": "assistant", "content": ""})
COUNTED = {"prompt_tokens": 3, "completion_tokens": 8000}
NONE_COUNTED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
ERROR = {"error": {"message": "no capacity"}}
BUSY = {"error": {"message": "slow down", "code": 429}}


def replying(body: bytes, status: str = "200 OK", kind: str = "application/json") -> Scenario:
    return lambda conversation: conversation.reply(body, status, kind)


def sending(*payloads: bytes) -> Scenario:
    return lambda conversation: conversation.events(*payloads)


def resetting(conversation: Conversation) -> None:
    conversation.reset()


def silent(conversation: Conversation) -> None:
    conversation.until_client_leaves()


BOTH: dict[str, tuple[Scenario, Usage]] = {
    "refused as wrong": (replying(b"{}", "400 Bad Request"), NOTHING),
    "refused as too much": (replying(b"{}", "429 Too Many Requests"), NOTHING),
    "broken": (replying(b"{}", "500 Internal Server Error"), NOTHING),
    "a page": (replying(b"<html>", kind="text/html"), ASKED),
    "reset after the request": (resetting, ASKED),
    "silent": (silent, ASKED),
}
PLAIN = BOTH | {
    "blank and counted": (replying(completion({"content": " "}, usage=COUNTED)), Usage(3, 8000)),
    "blank and not counted": (
        replying(completion({"content": "", "some_vendors_thoughts": "12345678"}, usage=None)),
        Usage(8, 2, estimated=True),
    ),
    "no JSON": (replying(b"{"), ASKED),
    "an error": (replying(json.dumps(ERROR).encode()), ASKED),
    "an error and a count": (
        replying(json.dumps(ERROR | {"usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
    "refused in a 200": (replying(json.dumps(BUSY).encode()), NOTHING),
    "refused in a 200 that counts nothing": (
        replying(json.dumps(BUSY | {"usage": NONE_COUNTED}).encode()),
        NOTHING,
    ),
    "refused in a 200 and counted": (
        replying(json.dumps(BUSY | {"usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
    "refused at the choice and counted": (
        replying(json.dumps({"choices": [BUSY], "usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
}
STREAMS = BOTH | {
    "blank and counted": (
        sending(ROLE, chunk(finish="stop"), usage_frame(3, 8000), b"[DONE]"),
        Usage(3, 8000),
    ),
    "blank and not counted": (sending(ROLE, chunk(finish="stop"), b"[DONE]"), ASKED),
    "one JSON body and a count": (
        replying(completion({"content": "12345678"}, usage=COUNTED)),
        Usage(3, 8000),
    ),
    "one JSON body, not counted": (
        replying(completion({"content": "12345678"}, usage=None)),
        Usage(8, 2, estimated=True),
    ),
    "an error and a count in one JSON body": (
        replying(json.dumps(ERROR | {"usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
    "no answer in one JSON body": (replying(b'{"choices": 7}'), ASKED),
    "what has passed": (
        sending(ROLE, chunk(delta={"some_vendors_thoughts": "12345678"})),
        Usage(8, 2, estimated=True),
    ),
    "an error": (sending(json.dumps(ERROR).encode()), ASKED),
    "an error and a count": (
        sending(json.dumps(ERROR | {"usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
    "an error and a count after thoughts": (
        sending(
            chunk(delta={"some_vendors_thoughts": "12345678"}),
            json.dumps(ERROR | {"usage": COUNTED}).encode(),
        ),
        Usage(3, 8000),
    ),
    "refused in a frame": (sending(json.dumps(BUSY).encode()), NOTHING),
    "refused in a frame and counted": (
        sending(json.dumps(BUSY | {"usage": COUNTED}).encode()),
        Usage(3, 8000),
    ),
}


@pytest.mark.parametrize(
    ("method", "scenario", "usage"),
    [("answer", *row) for row in PLAIN.values()] + [("stream", *row) for row in STREAMS.values()],
    ids=[*(f"plain: {name}" for name in PLAIN), *(f"stream: {name}" for name in STREAMS)],
)
def test_an_error_carries_what_may_be_billed(method: str, scenario: Scenario, usage: Usage) -> None:
    more = {"timeouts": SHORT} if scenario is silent else {}
    with talking_to(scenario, **more) as (upstream, arm, _), pytest.raises(UpstreamError) as caught:
        getattr(upstream, method)(arm, BODY)
    assert caught.value.usage == usage


def test_a_count_that_does_not_come_after_a_blank_end_is_not_waited_for() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(ROLE, chunk(finish="stop"))
        conversation.until_client_leaves()

    with (
        talking_to(scenario) as (upstream, arm, seen),
        pytest.raises(UpstreamError, match="a blank answer with finish_reason stop") as caught,
    ):
        upstream.stream(arm, BODY)
    assert caught.value.usage == ASKED
    assert seen.closed_early.wait(2)


@pytest.mark.parametrize("method", ["answer", "stream"])
def test_a_request_that_was_never_taken_costs_nothing(method: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with (
        upstream_at(url) as upstream,
        pytest.raises(UpstreamError, match="cannot be reached") as caught,
    ):
        getattr(upstream, method)(arm_on(), BODY)
    assert caught.value.usage == NOTHING
