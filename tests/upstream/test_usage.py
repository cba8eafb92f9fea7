"""What a call is said to have taken, and what is booked for it."""

import json

import pytest

from policy.errors import UpstreamInvalid
from policy.types import Usage
from tests.upstream.misbehaving import chunk, completion, usage_frame
from tests.upstream.talking import BODY, talking_to

USAGES = [
    ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(3, 2)),
    (
        {
            "prompt_tokens": 30,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 9},
        },
        Usage(30, 2, 9),
    ),
    ({"prompt_tokens": 30, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}, Usage(30, 2, 8)),
    (
        {"prompt_tokens": 30, "completion_tokens": 2, "prompt_cache_hit_tokens": 99},
        Usage(30, 2, 30),
    ),
    ({"prompt_tokens": 30, "completion_tokens": 2, "prompt_cache_hit_tokens": -1}, Usage(30, 2)),
    ({"prompt_tokens": 30, "completion_tokens": 2, "cached_tokens": 8}, Usage(30, 2, 8)),
    (
        {
            "prompt_tokens": 30,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 20},
        },
        Usage(30, 2, 9, cache_write_tokens=20),
    ),
    (
        {
            "prompt_tokens": 30,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 9},
            "cache_creation_input_tokens": 99,
        },
        Usage(30, 2, 9, cache_write_tokens=21),
    ),
    ({"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 532}, Usage(30, 502)),
    ({"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 9}, Usage(30, 2)),
    (None, None),
    ({}, None),
    ([], None),
    ({"prompt_tokens": -3, "completion_tokens": 50}, Usage(8, 50, estimated=True)),
    ({"prompt_tokens": "3", "completion_tokens": 50}, Usage(8, 50, estimated=True)),
    ({"prompt_tokens": True, "completion_tokens": 50}, Usage(8, 50, estimated=True)),
    (
        {"prompt_tokens": -3, "completion_tokens": 50, "total_tokens": 532},
        Usage(8, 50, estimated=True),
    ),
    ({"completion_tokens": 50, "prompt_cache_hit_tokens": 4}, Usage(8, 50, estimated=True)),
    ({"prompt_tokens": 1100}, Usage(1100, 2, estimated=True)),
    (
        {"prompt_tokens": 1100, "completion_tokens": 10**12, "prompt_cache_hit_tokens": 900},
        Usage(1100, 2, 900, estimated=True),
    ),
    ({"prompt_tokens": 1100, "completion_tokens": 0}, Usage(1100, 2, estimated=True)),
]


@pytest.mark.parametrize(("reported", "expected"), USAGES)
def test_what_is_told_is_booked_where_it_can_be_true_and_else_an_estimate(
    reported, expected
) -> None:
    with talking_to(lambda talk: talk.reply(completion(usage=reported))) as (upstream, arm, _):
        usage = upstream.answer(arm, BODY).usage
    # 4 characters of role and 28 of prompt; 5 of answer.
    assert usage == (expected or Usage(8, 2, estimated=True))


@pytest.mark.parametrize(("n", "tokens"), [(8, 24_000), (1, 2)])
def test_several_answers_may_take_more_together_than_one_could(n: int, tokens: int) -> None:
    told = {"prompt_tokens": 30, "completion_tokens": 24_000}
    with talking_to(lambda talk: talk.reply(completion(usage=told))) as (upstream, arm, _):
        assert arm.context_window == 8_000
        usage = upstream.answer(arm, {**BODY, "n": n}).usage
    assert usage == Usage(30, tokens, estimated=n == 1)


def ended_after(*frames: bytes) -> Usage:
    with (
        talking_to(lambda talk: talk.events(*frames, b"[DONE]")) as (upstream, arm, _),
        upstream.stream(arm, BODY) as stream,
    ):
        assert "".join(each.text for each in stream) == "hello, room!!"
    return stream.usage


COUNTED_EARLY = [
    chunk("hello", usage={"prompt_tokens": 3, "completion_tokens": 1}),
    chunk(", room", usage=None),
    chunk("!!"),
    chunk(finish="stop"),
]


def test_what_a_stream_brings_after_a_count_is_booked_too() -> None:
    assert ended_after(*COUNTED_EARLY) == Usage(3, 1 + 2, estimated=True)


def test_a_count_at_the_end_of_a_stream_is_booked_alone() -> None:
    assert ended_after(*COUNTED_EARLY, usage_frame(3, 5)) == Usage(3, 5)


def test_a_count_at_the_choice_that_ends_a_stream_is_booked_as_moonshot_tells_it() -> None:
    told = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35, "cached_tokens": 20}
    end = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": told}
    frames = (chunk("hello, room!!"), json.dumps({"choices": [end]}).encode())
    assert ended_after(*frames) == Usage(30, 5, 20)


def test_what_is_not_counted_is_estimated_by_its_letters() -> None:
    answered = completion({"content": "请问这份发票"}, usage=None)
    asked = {"messages": [{"role": "user", "content": "请问这份发票" * 10}]}
    with talking_to(lambda talk: talk.reply(answered)) as (upstream, arm, _):
        usage = upstream.answer(arm, asked).usage
    assert usage == Usage(40 + 1, 4, estimated=True)


SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"x" * 4_000: {}}}}
PICTURES = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}] * 3


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ({"response_format": SCHEMA}, 1_000),
        ({"documents": [{"text": "x" * 4_000}]}, 1_000),
        ({"messages": [{"role": "user", "content": PICTURES}]}, 2_400),
        ({"user": "x" * 4_000, "metadata": {"a": "x" * 4_000}}, 0),
    ],
)
def test_all_that_a_model_reads_is_estimated_where_nobody_has_counted(more, least) -> None:
    with talking_to(lambda talk: talk.reply(completion(usage=None))) as (upstream, arm, _):
        usage = upstream.answer(arm, {**BODY, **more}).usage
    assert least <= usage.input_tokens <= least + 30


THOUGHTS = [
    {"reasoning": "hm, ", "reasoning_details": [{"type": "reasoning.text", "text": "hm, "}]},
    {"reasoning_content": "hm, ", "thinking_blocks": [{"type": "thinking", "thinking": "hm, "}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm, "}]}]},
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_of_a_stream_that_is_left_each_thought_is_booked_once_and_no_mark_of_it(thought) -> None:
    frame = {"choices": [{"index": 0, "delta": {"role": "assistant", **thought}}]}
    frames = [json.dumps(frame).encode()] * 50
    with (
        talking_to(lambda talk: talk.events(*frames)) as (upstream, arm, _),
        upstream.stream(arm, BODY) as stream,
        pytest.raises(UpstreamInvalid),
    ):
        list(stream)
    assert stream.usage == Usage(8, 50, estimated=True)


@pytest.mark.parametrize(
    ("billed_in", "told", "billed_usd"),
    [
        ("cost", {"cost": 0.0125}, 0.0125),
        ("cost", {"cost": 0}, 0),
        ("cost.total_cost", {"cost": {"total_cost": 2}}, 2),
        ("cost.total_cost", {"cost": 0.0125}, None),
        ("cost", {"cost": {"total_cost": 2}}, None),
        ("cost", {"cost": "0.0125"}, None),
        ("cost", {"cost": True}, None),
        ("cost", {"cost": -0.0125}, None),
        ("cost", {"cost": 1e5}, None),
        ("cost", {"cost": None}, None),
        ("cost", {}, None),
        (None, {"cost": 0.0125}, None),
    ],
)
def test_what_a_provider_says_it_bills_is_believed_where_it_is_asked_to(
    billed_in, told, billed_usd
) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, **told}
    reply = completion(usage=usage)
    with talking_to(lambda talk: talk.reply(reply), billed_in=billed_in) as (upstream, arm, _):
        assert upstream.answer(arm, BODY).usage == Usage(3, 2, billed_usd=billed_usd)


def test_a_bill_before_the_end_of_a_stream_is_not_the_whole() -> None:
    told = {"prompt_tokens": 3, "completion_tokens": 1, "cost": 0.25}
    end = {**told, "completion_tokens": 9, "cost": 0.5}
    with (
        talking_to(
            lambda talk: talk.events(
                chunk("hello", usage=told),
                chunk(" there", finish="stop"),
                json.dumps({"choices": [], "usage": end}).encode(),
                b"[DONE]",
            ),
            billed_in="cost",
        ) as (upstream, arm, _),
        upstream.stream(arm, BODY) as stream,
    ):
        bills = [stream.usage.billed_usd for _ in stream]
    assert bills == [0.25, None, 0.5]
