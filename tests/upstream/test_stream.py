"""Streams through the real client: what is handed out, and what never passes for a whole answer."""

import json
import threading

import pytest

from policy.errors import ContextLengthExceeded, UpstreamBusy, UpstreamError, UpstreamInvalid
from policy.types import Usage
from tests.upstream.misbehaving import Conversation, chunk, completion, usage_frame
from tests.upstream.talking import BODY, KEY, talking_to
from upstream.stream import Stream

ROLE = chunk(delta={"role": "assistant", "content": ""})
DONE = b"[DONE]"


def sending(*payloads: bytes):
    return lambda conversation: conversation.events(*payloads)


def received(stream: Stream) -> str:
    with stream:
        return "".join(chunk.text for chunk in stream)


def test_a_whole_stream_arrives_frame_by_frame() -> None:
    frames = [ROLE, chunk("hel"), chunk("lo"), chunk(finish="stop"), usage_frame()]
    with (
        talking_to(sending(*frames, DONE)) as (upstream, arm, seen),
        upstream.stream(arm, BODY) as stream,
    ):
        chunks = list(stream)
    assert [each.data for each in chunks] == [json.loads(frame) for frame in frames]
    assert [each.text for each in chunks] == ["", "hel", "lo", "", ""]
    assert (stream.usage, stream.finish_reason, stream.model) == (Usage(3, 2), "stop", "m")
    assert 0 < stream.ttft_s <= stream.latency_s
    assert seen.bodies[0] == {
        **BODY,
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_callers_stream_options_are_kept_but_usage_is_always_asked() -> None:
    options = {"include_usage": False, "include_obfuscation": False}
    with talking_to(sending(chunk("a", finish="stop"), DONE)) as (upstream, arm, seen):
        received(upstream.stream(arm, {**BODY, "stream_options": options}))
    assert seen.bodies[0]["stream_options"] == {**options, "include_usage": True}


@pytest.mark.parametrize("last", ["", None])
def test_a_frame_that_names_no_model_does_not_take_the_name_back(last: str | None) -> None:
    frames = [{**json.loads(chunk("hello")), "model": "dear"}, json.loads(chunk(finish="stop"))]
    sent = [json.dumps(each).encode() for each in (frames[0], {**frames[1], "model": last})]
    with talking_to(sending(*sent, DONE)) as (upstream, arm, _):
        stream = upstream.stream(arm, BODY)
        assert received(stream) == "hello"
    assert stream.model == "dear"


GOOD_ENDS = {
    "no [DONE]": [chunk("hello"), chunk(finish="stop")],
    "finish in the frame of the text": [chunk("hello", finish="stop"), DONE],
    "usage in the frame of the finish": [
        chunk("hello", finish="stop", usage={"prompt_tokens": 3, "completion_tokens": 2}),
        DONE,
    ],
    "usage beside an empty choice": [
        chunk("hello", finish="stop"),
        chunk("", usage={"prompt_tokens": 3, "completion_tokens": 2}),
        DONE,
    ],
    "usage twice": [chunk("hello", finish="stop"), usage_frame(), usage_frame(), DONE],
    "a first frame without choices": [
        b'{"choices": [], "prompt_filter_results": []}',
        chunk("hello", finish="stop"),
        DONE,
    ],
    "cut at the length": [chunk("hello"), chunk(finish="length"), DONE],
    "filtered": [chunk("hello"), chunk(finish="content_filter"), DONE],
    "frames after [DONE]": [chunk("hello", finish="stop"), DONE, chunk(" again")],
}


@pytest.mark.parametrize("payloads", GOOD_ENDS.values(), ids=GOOD_ENDS)
def test_a_stream_that_finished_is_whole(payloads: list[bytes]) -> None:
    with talking_to(sending(*payloads)) as (upstream, arm, _):
        stream = upstream.stream(arm, BODY)
        assert received(stream) == "hello"
    # 4 characters of role and 28 of prompt; 5 of answer: both ways of counting agree on 2.
    assert stream.usage in (Usage(3, 2), Usage(8, 2, estimated=True))


NO_BEGINNINGS = {
    "nothing": [],
    "only [DONE]": [DONE],
    "only a role": [ROLE],
    "only a role and [DONE]": [ROLE, DONE],
    "only white space": [ROLE, chunk(" \n"), chunk(finish="stop"), DONE],
    "only a finish": [chunk(finish="stop"), DONE],
    "tool calls that never came": [chunk(finish="tool_calls"), DONE],
    "an error frame": [b'{"error": {"message": "no capacity"}}'],
    "an error object": [b'{"object": "error", "message": "boom", "code": 50001}'],
    "null choices": [b'{"choices": null}'],
    "no JSON": [b"oops"],
    "cut JSON": [chunk("hello")[:-5]],
    "a list": [b"[1]"],
    "not UTF-8": [chunk("hello").replace(b"hello", b"\xff\xfe")],
    "a delta of text": [b'{"choices": [{"delta": "hello"}]}'],
    "content that is a number": [b'{"choices": [{"delta": {"content": 7}}]}'],
    "deep nesting": [b'{"choices": ' + b"[" * 100_000],
}


@pytest.mark.parametrize("payloads", NO_BEGINNINGS.values(), ids=NO_BEGINNINGS)
def test_a_failure_before_content_is_an_exception_and_no_stream(payloads: list[bytes]) -> None:
    with (
        talking_to(sending(*payloads)) as (upstream, arm, _),
        pytest.raises(UpstreamInvalid, match="^arm-a: the provider "),
    ):
        upstream.stream(arm, BODY)


THOUGHTS = [
    {"reasoning_content": "hm"},
    {"reasoning": "hm", "content": ""},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
]


@pytest.mark.parametrize("delta", THOUGHTS)
def test_thoughts_are_handed_out_as_they_come_and_may_be_the_whole_answer(delta: dict) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(ROLE, chunk(delta=delta))
        assert thought.wait(5)
        conversation.send(b"data: " + chunk(finish="stop") + b"\n\n")

    thought = threading.Event()
    with talking_to(scenario) as (upstream, arm, _), upstream.stream(arm, BODY) as stream:
        assert [next(stream).data["choices"][0]["delta"] for _ in range(2)][1] == delta
        thought.set()
        assert received(stream) == ""
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_empty_answer_with_a_reason_is_passed_on(finish: str) -> None:
    with talking_to(sending(ROLE, chunk(finish=finish), DONE)) as (upstream, arm, _):
        stream = upstream.stream(arm, BODY)
        assert (received(stream), stream.finish_reason) == ("", finish)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"refusal": "I will not."},
        {"audio": {"id": "a", "data": "AA"}},
        {"images": [{"image_url": {"url": "data:,A"}}]},
    ],
)
def test_a_tool_call_a_refusal_sound_or_a_picture_is_content(delta: dict) -> None:
    payloads = [ROLE, chunk(delta=delta), chunk(finish="tool_calls"), DONE]
    with talking_to(sending(*payloads)) as (upstream, arm, _):
        stream = upstream.stream(arm, BODY)
        assert received(stream) == ""
    assert stream.finish_reason == "tool_calls"


WHOLE_BODIES = {
    "a page": (b"<html>hi</html>", "text/html", UpstreamInvalid),
    "a JSON error": (b'{"error": {"message": "no"}}', "application/json", UpstreamInvalid),
    "a busy error": (
        b'{"error": {"message": "no", "code": 429}}',
        "application/json",
        UpstreamBusy,
    ),
    "a whole answer": (completion(), "application/json; charset=utf-8", UpstreamInvalid),
    "half an answer": (completion()[:9], "application/json", UpstreamInvalid),
    "deep nesting": (b'{"choices": ' + b"[" * 100_000, "application/json", UpstreamInvalid),
    "text": (b"hello", "text/plain", UpstreamInvalid),
    "an empty stream": (b"", "text/event-stream", UpstreamInvalid),
}


@pytest.mark.parametrize(("body", "kind", "error"), WHOLE_BODIES.values(), ids=WHOLE_BODIES)
def test_a_body_instead_of_a_stream_is_an_error(body, kind, error) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.reply(body, kind=kind)

    with talking_to(scenario) as (upstream, arm, _), pytest.raises(UpstreamError) as caught:
        upstream.stream(arm, BODY)
    assert type(caught.value) is error


def test_a_context_length_error_in_a_frame_is_known_as_one() -> None:
    frame = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    with (
        talking_to(sending(ROLE, frame)) as (upstream, arm, _),
        pytest.raises(ContextLengthExceeded),
    ):
        upstream.stream(arm, BODY)


def test_a_reset_before_content_is_an_exception() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(ROLE)
        conversation.reset()

    with talking_to(scenario) as (upstream, arm, _), pytest.raises(UpstreamError):
        upstream.stream(arm, BODY)


BREAKS = {
    "the end of the connection": [],
    "[DONE] without finish": [DONE],
    "a frame cut inside its JSON": [chunk(" world")[:-6]],
    "an error frame": [b'{"error": {"message": "out of memory"}}'],
    "an error object": [b'{"object": "error", "message": "out of memory"}'],
    "a broken frame": [b"{oops}", chunk(finish="stop"), DONE],
    "a frame without choices": [b"{}"],
}


@pytest.mark.parametrize("rest", BREAKS.values(), ids=BREAKS)
def test_a_stream_broken_after_content_raises_after_what_came(rest: list[bytes]) -> None:
    with talking_to(sending(ROLE, chunk("hello"), *rest)) as (upstream, arm, _):
        texts = []
        with upstream.stream(arm, BODY) as stream:
            with pytest.raises(UpstreamInvalid, match="^arm-a: the provider "):
                texts.extend(chunk.text for chunk in stream)
            assert list(stream) == []
    assert stream.finish_reason is None
    assert stream.usage == Usage(8, 2, estimated=True)


def test_a_chunked_body_cut_after_content_raises() -> None:
    def scenario(conversation: Conversation) -> None:
        event = b"data: " + chunk("hello") + b"\n\n"
        conversation.head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")
        conversation.send(b"%x\r\n%s\r\n7\r\nda" % (len(event), event))

    with talking_to(scenario) as (upstream, arm, _), upstream.stream(arm, BODY) as stream:
        assert next(stream).text == "hello"
        with pytest.raises(UpstreamError, match="broke the connection"):
            next(stream)


def test_a_reset_after_the_finish_costs_only_the_usage() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("200 OK", "text/event-stream", "Content-Length: 99999")
        for payload in (chunk("hello"), chunk(finish="stop")):
            conversation.send(b"data: " + payload + b"\n\n")

    with talking_to(scenario) as (upstream, arm, _):
        stream = upstream.stream(arm, BODY)
        assert received(stream) == "hello"
    assert stream.finish_reason == "stop"
    assert stream.usage.estimated


def choice(index: int, text: str, finish: str | None = None) -> bytes:
    body = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"choices": [body]}).encode()


NO_ENDS_OF_TWO = {
    "one has not ended": [choice(0, "a"), choice(1, "b"), choice(0, "", "stop")],
    "one began late": [choice(0, "a", "stop"), choice(1, "b")],
    "one never began": [choice(0, "a", "stop")],
}


@pytest.mark.parametrize("payloads", NO_ENDS_OF_TWO.values(), ids=NO_ENDS_OF_TWO)
def test_two_choices_must_both_finish(payloads: list[bytes]) -> None:
    with (
        talking_to(sending(*payloads)) as (upstream, arm, _),
        pytest.raises(UpstreamInvalid, match="without a finish_reason"),
    ):
        received(upstream.stream(arm, {**BODY, "n": 2}))


@pytest.mark.parametrize(
    "payloads",
    [
        [choice(0, "a"), choice(1, "b", "length"), choice(0, "", "stop")],
        [choice(0, "a", "stop"), DONE],
    ],
    ids=["both have ended", "a provider that gives one"],
)
def test_a_stream_of_two_choices_is_whole(payloads: list[bytes]) -> None:
    with talking_to(sending(*payloads)) as (upstream, arm, _):
        stream = upstream.stream(arm, {**BODY, "n": 2})
        assert (received(stream), stream.finish_reason) == ("a", "stop")


def test_what_another_choice_says_or_does_is_no_part_of_the_first() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    calling = {"index": 1, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    others = [choice(1, "b", "stop"), json.dumps({"choices": [calling]}).encode()]
    for other in others:
        with talking_to(sending(choice(0, "a", "stop"), other, DONE)) as (upstream, arm, _):
            stream = upstream.stream(arm, {**BODY, "n": 2})
            assert (received(stream), stream.message, stream.is_plain_text) == ("a", {}, False)


def test_every_choice_has_an_index_and_a_delta_and_every_call_an_index_of_its_own() -> None:
    def calling(city: str, finish: str | None = None) -> dict:
        call = {"id": f"call-{city}", "function": {"name": "w", "arguments": city}}  # as Gemini's
        return {"delta": {"tool_calls": [call]}, "finish_reason": finish}

    choices = [calling("Bern"), {"index": 0, "content_filter_offsets": {}}, calling("Rom", "stop")]
    frames = [json.dumps({"choices": [each]}).encode() for each in choices]
    with talking_to(sending(*frames, DONE)) as (upstream, arm, _):
        came = [each.data["choices"][0] for each in upstream.stream(arm, BODY)]
    assert [each["index"] for each in came] == [0, 0, 0]
    indexes = [[c["index"] for c in each["delta"].get("tool_calls", ())] for each in came]
    assert indexes == [[0], [], [1]]


def test_comments_names_and_line_ends_of_both_kinds_are_understood() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("200 OK", "text/event-stream; charset=utf-8")
        conversation.send(b": PROCESSING\r\n\r\nevent: message\r\nid: 1\r\nretry: 5\r\n")
        conversation.send(b"data:" + chunk("héllo") + b"\r\n\r\n: again\n\n")
        conversation.send(b"data: " + chunk(finish="stop") + b"\n\ndata: [DONE]")

    with talking_to(scenario) as (upstream, arm, _):
        assert received(upstream.stream(arm, BODY)) == "héllo"


def test_a_frame_of_five_megabytes_arrives() -> None:
    text = "ü" * 2_500_000
    payloads = [json.dumps(json.loads(chunk(text)), ensure_ascii=False).encode()]
    with talking_to(sending(*payloads, chunk(finish="stop"), DONE)) as (upstream, arm, _):
        assert received(upstream.stream(arm, BODY)) == text


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_closing_a_stream_hangs_up_on_the_provider(taken: int) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(ROLE)
        conversation.until_client_leaves(data=b"data: " + chunk("x") + b"\n\n")

    with talking_to(scenario) as (upstream, arm, seen):
        with upstream.stream(arm, BODY) as stream:
            for _ in range(taken):
                next(stream)
        assert seen.closed_early.wait(1)
        stream.close()
    assert stream.usage.input_tokens != 0


def test_a_finished_stream_leaves_its_connection_to_the_next_call() -> None:
    def scenario(conversation: Conversation) -> None:
        event = b"data: " + chunk("a", finish="stop") + b"\n\ndata: [DONE]\n\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        whole = head + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(event), event)
        conversation.send(whole)
        conversation.connection.recv(65536)
        conversation.send(whole)

    with talking_to(scenario) as (upstream, arm, seen):
        assert received(upstream.stream(arm, BODY)) == "a"
        assert received(upstream.stream(arm, BODY)) == "a"
    assert seen.connections == 1


def test_a_key_in_an_error_frame_is_not_repeated() -> None:
    frame = json.dumps({"error": {"message": f"key {KEY} is over its limit"}}).encode()
    with (
        talking_to(sending(chunk("a"), frame)) as (upstream, arm, _),
        pytest.raises(UpstreamError) as caught,
    ):
        received(upstream.stream(arm, BODY))
    assert KEY not in repr(caught.value)
