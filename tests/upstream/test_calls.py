"""Tool calls that no client could act on: refused like any other answer that is none."""

import json

import pytest

from policy.errors import UpstreamError, UpstreamInvalid
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion
from tests.upstream.talking import BODY, talking_to

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SOUND = {
    "a function": CALL,
    "no type and no arguments": {"id": "c", "function": {"name": "f"}},
    "no id": {**CALL, "id": None},
    "a custom tool": {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}},
    "a kind of their own": {"id": "c", "type": "web_search", "web_search": {"query": "x"}},
}
MALFORMED = {
    "null": {"id": "c", "type": "function", "function": None},
    "no function": {"id": "c"},
    "a function of text": {**CALL, "function": "f"},
    "no name": {**CALL, "function": {"arguments": "{}"}},
    "a name of a number": {**CALL, "function": {"name": 7, "arguments": "{}"}},
    "arguments that are no text": {**CALL, "function": {"name": "f", "arguments": {}}},
    "an id of a number": {**CALL, "id": 1},
    "a type of a list": {**CALL, "type": []},
    "a custom tool of nothing": {"id": "c", "type": "custom", "custom": {}},
}


def plain(call: object) -> Scenario:
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return lambda talk: talk.reply(completion(message, finish="tool_calls"))


def streamed(call: object, ends: str) -> Scenario:
    frames = [chunk(delta={"tool_calls": [call]}, finish=None if ends == "later" else "tool_calls")]
    if ends == "later":
        frames.append(chunk(finish="tool_calls"))
    return lambda talk: talk.events(*frames, b"[DONE]")


@pytest.mark.parametrize("call", SOUND.values(), ids=SOUND)
def test_a_call_that_can_be_acted_on_is_an_answer(call: dict[str, object]) -> None:
    with talking_to(plain(call)) as (upstream, arm, _):
        assert upstream.answer(arm, BODY).data["choices"][0]["message"]["tool_calls"] == [call]
    with talking_to(streamed(call, "later")) as (upstream, arm, _), upstream.stream(arm, BODY) as s:
        assert json.loads(chunk(finish="tool_calls")) == list(s)[-1].data


@pytest.mark.parametrize("call", MALFORMED.values(), ids=MALFORMED)
def test_a_call_that_cannot_is_no_answer_and_ends_no_stream(call: dict[str, object]) -> None:
    with talking_to(plain(call)) as (upstream, arm, _), pytest.raises(UpstreamInvalid):
        upstream.answer(arm, BODY)
    with talking_to(streamed(call, "at once")) as (upstream, arm, _), pytest.raises(UpstreamError):
        upstream.stream(arm, BODY)
    with talking_to(streamed(call, "later")) as (upstream, arm, _), upstream.stream(arm, BODY) as s:
        assert next(s).data["choices"][0]["finish_reason"] is None
        with pytest.raises(UpstreamInvalid, match="sent a broken frame: a call "):
            next(s)


def test_a_legacy_call_without_a_name_is_no_answer() -> None:
    def scenario(talk: Conversation) -> None:
        message = {"content": None, "function_call": {"arguments": "{}"}}
        talk.reply(completion(message, finish="function_call"))

    with talking_to(scenario) as (upstream, arm, _), pytest.raises(UpstreamInvalid):
        upstream.answer(arm, BODY)
