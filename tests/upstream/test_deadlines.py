"""Each deadline ends a call that would otherwise go on, and the provider is hung up on."""

import socket
import time
from contextlib import closing
from dataclasses import replace

import pytest

from policy.errors import UpstreamError, UpstreamTimeout
from policy.types import NOTHING, Timeouts
from tests.upstream.misbehaving import Conversation, chunk, completion, misbehaving
from tests.upstream.talking import BODY, PATIENT, SHORT, arm_on, talking_to, upstream_at
from upstream.deadlines import Deadline

SLACK_S = 2.0
"""What a busy machine may be late by; a deadline that is missed lets a call go on for 5 s."""


def silent(conversation: Conversation) -> None:
    conversation.until_client_leaves()


def silent_after_head(conversation: Conversation) -> None:
    conversation.head("200 OK", "text/event-stream")
    conversation.until_client_leaves()


def only_comments(conversation: Conversation) -> None:
    conversation.head("200 OK", "text/event-stream")
    conversation.until_client_leaves(data=b": still thinking\n\n")


def only_roles(conversation: Conversation) -> None:
    conversation.head("200 OK", "text/event-stream")
    role = chunk(delta={"role": "assistant", "content": ""})
    conversation.until_client_leaves(data=b"data: " + role + b"\n\n")


def dripping_head(conversation: Conversation) -> None:
    conversation.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 500)


@pytest.mark.parametrize(
    ("method", "scenario"),
    [
        ("answer", silent),
        ("answer", silent_after_head),
        ("answer", dripping_head),
        ("stream", silent),
        ("stream", silent_after_head),
        ("stream", dripping_head),
        ("stream", only_comments),
        ("stream", only_roles),
    ],
)
def test_no_content_in_time_ends_the_call(method: str, scenario) -> None:
    timeouts = Timeouts(first_content_s=0.3, idle_s=5, total_s=5)
    with talking_to(scenario, timeouts=timeouts) as (upstream, arm, seen):
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"was late: no content within 0\.3 s"):
            getattr(upstream, method)(arm, BODY)
        assert 0.25 < time.monotonic() - began < 0.3 + SLACK_S
        assert seen.closed_early.wait(1)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"some_vendors_thoughts": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
    ],
)
def test_a_model_that_thinks_is_not_silent(delta: dict) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events()
        for _ in range(12):
            conversation.send(b"data: " + chunk(delta=delta) + b"\n\n")
            time.sleep(0.1)
        conversation.send(b"data: " + chunk("hello", finish="stop") + b"\n\n")

    timeouts = Timeouts(first_content_s=1, idle_s=9, total_s=9)
    with (
        talking_to(scenario, timeouts=timeouts) as (upstream, arm, _),
        upstream.stream(arm, BODY) as stream,
    ):
        assert "".join(each.text for each in stream) == "hello"


def test_what_is_passed_on_is_not_late_while_it_goes_on_coming() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events()
        for _ in range(12):
            conversation.send(b"data: hm\n\n")
            time.sleep(0.1)

    timeouts = Timeouts(first_content_s=1, idle_s=9, total_s=9)
    with (
        misbehaving({"m": scenario}) as (url, _),
        upstream_at(url, passes_on=("responses",)) as upstream,
        closing(upstream.pass_on("responses", {"model": "m"}, timeouts)) as passed,
    ):
        assert b"".join(passed.received) == 12 * b"data: hm\n\n"


def test_an_answer_that_drips_ends_at_the_total() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head()
        conversation.drip(completion())

    timeouts = Timeouts(first_content_s=5, idle_s=5, total_s=0.5)
    with talking_to(scenario, timeouts=timeouts) as (upstream, arm, _):
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"not finished within 0\.5 s"):
            upstream.answer(arm, BODY)
        assert 0.45 < time.monotonic() - began < 0.5 + SLACK_S


def test_an_error_page_that_drips_ends_as_well() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head("500 Internal Server Error")
        conversation.drip(b"x" * 500)

    with (
        talking_to(scenario, timeouts=SHORT) as (upstream, arm, seen),
        pytest.raises(UpstreamError, match="answered 500: x+$"),
    ):
        upstream.stream(arm, BODY)
    assert seen.closed_early.wait(2)


def test_blank_lines_keep_a_plain_answer_alive_only_until_the_first_content_is_due() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.head()
        conversation.until_client_leaves(data=b"\n")

    with (
        talking_to(scenario, timeouts=SHORT) as (upstream, arm, _),
        pytest.raises(UpstreamTimeout, match="no content within"),
    ):
        upstream.answer(arm, BODY)


@pytest.mark.parametrize("noise", [b"", b": still here\n\n", b"d"])
def test_a_stream_that_stalls_ends_at_the_idle_deadline(noise: bytes) -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(chunk("hello"))
        conversation.until_client_leaves(data=noise)

    timeouts = Timeouts(first_content_s=5, idle_s=0.3, total_s=5)
    with talking_to(scenario, timeouts=timeouts) as (upstream, arm, seen):
        with upstream.stream(arm, BODY) as stream:
            assert next(stream).text == "hello"
            began = time.monotonic()
            with pytest.raises(UpstreamTimeout, match=r"no content for 0\.3 s"):
                next(stream)
            assert 0.25 < time.monotonic() - began < 0.3 + SLACK_S
        assert seen.closed_early.wait(1)


def test_a_stream_without_end_ends_at_the_total() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(chunk("hello"))
        conversation.until_client_leaves(data=b"data: " + chunk("x") + b"\n\n")

    timeouts = Timeouts(first_content_s=5, idle_s=5, total_s=0.5)
    with talking_to(scenario, timeouts=timeouts) as (upstream, arm, seen):
        began = time.monotonic()
        with pytest.raises(UpstreamTimeout, match=r"not finished within 0\.5 s"):
            for _ in upstream.stream(arm, BODY):
                pass
        assert 0.45 < time.monotonic() - began < 0.5 + SLACK_S
        assert seen.closed_early.wait(1)


def test_a_slow_reader_is_not_the_providers_silence() -> None:
    payloads = [chunk("a"), chunk("b"), chunk(finish="stop"), b"[DONE]"]
    timeouts = Timeouts(first_content_s=5, idle_s=0.1, total_s=5)
    with (
        talking_to(lambda c: c.events(*payloads), timeouts=timeouts) as (upstream, arm, _),
        upstream.stream(arm, BODY) as stream,
    ):
        texts = []
        for each in stream:
            texts.append(each.text)
            time.sleep(0.15)
    assert texts == ["a", "b", ""]


def test_a_finished_stream_is_not_held_open_by_its_provider() -> None:
    def scenario(conversation: Conversation) -> None:
        conversation.events(chunk("hello", finish="stop"), b"[DONE]")
        conversation.until_client_leaves()

    timeouts = Timeouts(first_content_s=9, idle_s=9, total_s=9)
    with talking_to(scenario, timeouts=timeouts) as (upstream, arm, _):
        began = time.monotonic()
        assert [each.text for each in upstream.stream(arm, BODY)] == ["hello"]
        assert time.monotonic() - began < SLACK_S


def test_a_connection_that_nobody_accepts_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address):  # fills the backlog
            url = f"http://127.0.0.1:{address[1]}/v1"
            error = pytest.raises(UpstreamTimeout, match="took no connection in time")
            with upstream_at(url) as upstream, error:
                upstream.answer(arm_on(timeouts=SHORT), BODY)


def test_a_tls_greeting_that_nobody_answers_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        error = pytest.raises(UpstreamTimeout, match="took no connection in time")
        with upstream_at(url) as upstream, error:
            upstream.answer(arm_on(timeouts=SHORT), BODY)


def test_a_provider_that_does_not_read_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        long = {"messages": [{"role": "user", "content": "x" * 12_000_000}]}
        error = pytest.raises(UpstreamTimeout, match="no content within")
        with upstream_at(url) as upstream, error as caught:
            # A busy machine takes a while to write so much before it connects.
            upstream.answer(arm_on(timeouts=replace(PATIENT, first_content_s=2)), long)
    assert caught.value.usage == NOTHING


def test_the_deadlines_follow_the_clock() -> None:
    now = [100.0]
    timeouts = Timeouts(connect_s=5, first_content_s=60, idle_s=30, total_s=80)
    deadline = Deadline(timeouts, clock=lambda: now[0])
    assert (deadline.left_s(), deadline.connect_s()) == (60, 5)
    now[0] = 158.0
    assert (deadline.left_s(), deadline.connect_s()) == (2, 2)
    deadline.wait_no_shorter()
    assert deadline.left_s() == 22
    now[0] = 120.0
    deadline.wait_no_shorter()
    assert deadline.left_s() == 60
    now[0] = 158.0
    deadline.wait_for_more()
    assert deadline.left_s() == 22
    assert deadline.late() == "not finished within 80 s"
    deadline.wait_for_end()
    assert 0 < deadline.left_s() < 1
    assert deadline.elapsed_s() == 58
