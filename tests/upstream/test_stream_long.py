"""How much of a stream is read: as much as long thoughts take, frame by frame, and no more."""

import pytest

from policy.errors import UpstreamInvalid
from tests.upstream.misbehaving import Conversation, chunk
from tests.upstream.talking import BODY, talking_to
from tests.upstream.test_stream import received, sending


def test_long_thoughts_in_small_frames_arrive() -> None:
    # As OpenRouter frames each token of them.
    thought = {"reasoning": " the", "reasoning_details": [{"type": "reasoning.text", "text": "a"}]}
    frame = chunk(delta={"role": "assistant", "content": "", **thought}, provider="p" * 200)

    def thinking(conversation: Conversation) -> None:
        conversation.events()
        for _ in range(64):  # each piece has its own time, on a machine however busy
            conversation.send((b"data: " + frame + b"\n\n") * 1_000)
        conversation.send(b"data: " + chunk("so", finish="stop") + b"\n\ndata: [DONE]\n\n")

    with talking_to(thinking) as (upstream, arm, _):
        assert received(upstream.stream(arm, BODY)) == "so"


def test_a_stream_without_end_and_a_frame_of_seventeen_megabytes_are_given_up() -> None:
    def endless(conversation: Conversation) -> None:
        conversation.head("200 OK", "text/event-stream")
        conversation.until_client_leaves(every_s=0.001, data=b": " + b" " * 1_000_000 + b"\n")

    for scenario, says in (
        (endless, "sent more than 67108864 bytes"),
        (sending(chunk("a" * 17_000_000), chunk(finish="stop")), "more than 16777216 bytes"),
    ):
        with (
            talking_to(scenario) as (upstream, arm, _),
            pytest.raises(UpstreamInvalid, match=says),
        ):
            received(upstream.stream(arm, BODY))
