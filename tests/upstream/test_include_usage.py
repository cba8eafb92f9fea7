"""Streams of a provider that rejects the question for a count, as Mistral's, and counts unasked."""

import json

import pytest

from policy.errors import UpstreamRejected
from policy.types import Usage
from tests.upstream.misbehaving import Conversation, chunk, usage_frame
from tests.upstream.talking import BODY, talking_to

EXTRA = {
    "type": "extra_forbidden",
    "loc": ["body", "stream_options", "include_usage"],
    "msg": "Extra inputs are not permitted",
    "input": True,
}
MISTRAL = {"object": "error", "message": {"detail": [EXTRA]}, "param": None, "code": None}
GROQ = {"error": {"message": "property 'stream_options' is unsupported", "type": "invalid_request"}}
COUNTED = {**json.loads(usage_frame()), **json.loads(chunk(finish="stop"))}
FRAMES = (chunk("hello"), json.dumps(COUNTED).encode(), b"[DONE]")


def refusing(error: object, status: str):
    def scenario(talk: Conversation) -> None:
        if "include_usage" in (talk.body.get("stream_options") or {}):
            talk.reply(json.dumps(error).encode(), status)
        else:
            talk.events(*FRAMES)

    return scenario


@pytest.mark.parametrize("given", [{}, {"stream_options": {"include_usage": True}}])
@pytest.mark.parametrize(
    ("error", "status"), [(MISTRAL, "422 Unprocessable Entity"), (GROQ, "400 Bad Request")]
)
def test_who_rejects_the_question_for_a_count_is_asked_without_it_from_then_on(
    error: object, status: str, given: dict
) -> None:
    with talking_to(refusing(error, status)) as (upstream, arm, seen):
        for _ in range(3):
            with upstream.stream(arm, {**BODY, **given}) as stream:
                assert "".join(each.text for each in stream) == "hello"
            assert stream.usage == Usage(3, 2)
    asked = [body.get("stream_options") for body in seen.bodies]
    assert asked == [{"include_usage": True}, None, None, None]


def test_another_option_that_is_rejected_is_told_and_not_remembered() -> None:
    error = {"error": {"message": "Unknown parameter: 'stream_options.x'", "param": "x"}}

    def scenario(talk: Conversation) -> None:
        if "x" in talk.body["stream_options"]:
            talk.reply(json.dumps(error).encode(), "400 Bad Request")
        else:
            talk.events(*FRAMES)

    with talking_to(scenario) as (upstream, arm, seen):
        with pytest.raises(UpstreamRejected, match=r"stream_options\.x"):
            upstream.stream(arm, {**BODY, "stream_options": {"x": 1}})
        with upstream.stream(arm, BODY) as stream:
            list(stream)
    assert seen.bodies[-1]["stream_options"] == {"include_usage": True}
