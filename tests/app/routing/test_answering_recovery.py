"""Streams that break off after content: continued, held back, or ended with an error."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.app.faulty import STREAMED, Faulty, broken, endless, faulty
from tests.app.routing.test_answering import PIECES, cut, events, pausing, reset, text
from tests.app.running import eventually
from tests.upstream.misbehaving import Conversation, Scenario, chunk, usage_frame

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
GOES_ON = {"capabilities": ["trailing_assistant", "tools"]}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
FIRST_A = {"a": {**CHEAP, **GOES_ON}, "b": {**DEAR, **GOES_ON}}
"""The arm that breaks off is so much cheaper that it is surely asked first; the other can go on."""


def rest(talk: Conversation) -> None:
    talk.events(
        chunk(delta={"role": "assistant", "content": ""}),
        chunk(" there"),
        chunk(" was."),
        chunk(finish="stop"),
        usage_frame(9, 4),
        b"[DONE]",
    )


def failing(talk: Conversation) -> None:
    talk.events(*map(chunk, PIECES), chunk(finish="network_error"), b"[DONE]")


def calling(talk: Conversation) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}
    talk.events(chunk(PIECES[0]), chunk(delta={"tool_calls": [call]}))


def spaced(talk: Conversation) -> None:
    talk.events(chunk("Once there "))


def statuses(made: Faulty) -> list[str]:
    return [each.outcome.status for each in made.decisions if each.outcome]


def streamed(made: Faulty, **more: Any) -> list[Any]:
    return events(made.service.post("/complete", {**STREAMED, **more}))


@pytest.mark.parametrize("breaks", [cut, reset, pausing, failing], ids=lambda each: each.__name__)
def test_another_arm_goes_on_and_the_client_sees_one_answer(
    tmp_path: Path, breaks: Scenario
) -> None:
    with faulty(tmp_path, {"a": breaks, "b": rest}, FIRST_A) as made:
        told = streamed(made)
        assert told[-1] == "[DONE]"
        whole = told[-2]
        before = made.seen.bodies[1]["messages"][-1]
        assert before["role"] == "assistant"
        assert before["content"] == "".join(PIECES) or breaks is not cut
        assert text(told) == whole["text"] == before["content"] + " there was."
        assert {each["id"] for each in told[:-1] if "id" in each} == {told[0]["id"]}
        assert (whole["arm"], whole["attempts"], whole["model"]) == ("a", 2, "m")


def test_the_log_has_both_decisions_and_both_costs(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, FIRST_A) as made:
        whole = streamed(made)[-2]
        first, second = made.decisions
        assert whole["id"] == first.decision.id
        assert whole["continued_by"] == [second.decision.id]
        assert (second.decision.kind, second.decision.retry_of) == ("fallback", first.decision.id)
        assert statuses(made) == ["continued", "ok"]
        assert [each.status for each in made.attempts()] == ["invalid", "ok"]
        ends = [each.outcome for each in (first, second) if each.outcome]
        assert whole["ttft_s"] == ends[0].ttft_s
        assert whole["latency_s"] >= sum(each.latency_s for each in ends)
        costs = [each.cost_usd for each in ends]
        assert all(cost > 0 for cost in costs)
        assert whole["cost_usd"] == pytest.approx(sum(costs))
        assert whole["usage"]["output_tokens"] == 4 + 4  # 16 characters estimated, 4 reported


def test_the_tokens_told_to_a_client_of_openai_are_those_of_all(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, FIRST_A) as made:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        asked = {**body, "explore": False, "stream_options": {"include_usage": True}}
        told = events(made.service.post("/v1/chat/completions", asked))
        [usage] = [each["usage"] for each in told[:-1] if each.get("usage")]
        assert usage["completion_tokens"] == 4 + 4
        roles = [c["delta"].get("role") for each in told[:-1] for c in each["choices"]]
        assert roles.count("assistant") <= 1


def test_a_thumb_on_an_answer_of_two_arms_teaches_neither(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, FIRST_A) as made:
        whole = streamed(made)[-2]
        for decision in (whole["id"], *whole["continued_by"]):
            assert made.service.rate(decision)["status"] == "recorded"
        arms = made.service.get("/policy")["arms"]
        assert [arm["belief"]["effective_n"] for arm in arms] == [0.0, 0.0]


def test_white_space_at_the_seam_is_sent_to_nobody_and_told_once(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": spaced, "b": rest}, FIRST_A) as made:
        assert text(streamed(made)) == "Once there there was."
        assert made.seen.bodies[1]["messages"][-1]["content"] == "Once there"


def test_a_client_of_openai_reads_one_role_and_the_white_space_at_the_seam_once(
    tmp_path: Path,
) -> None:
    def beginning(talk: Conversation) -> None:
        talk.events(chunk(delta={"role": "assistant", "content": ""}), chunk("Once there "))

    with faulty(tmp_path, {"a": beginning, "b": rest}, FIRST_A) as made:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        told = events(made.service.post("/v1/chat/completions", {**body, "explore": False}))
        deltas = [choice["delta"] for each in told[:-1] for choice in each["choices"]]
        assert "".join(each.get("content") or "" for each in deltas) == "Once there there was."
        assert [each["role"] for each in deltas if "role" in each] == ["assistant"]


def test_the_rest_may_be_as_long_as_what_is_left(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, FIRST_A) as made:
        streamed(made, max_tokens=10)
        assert [body["max_tokens"] for body in made.seen.bodies] == [10, 10 - 16 // 4]


def test_a_third_arm_goes_on_where_the_second_breaks_off_too(tmp_path: Path) -> None:
    arms = {**FIRST_A, "c": {**GOES_ON, **DEAR, "output_usd_per_mtok": 9e5}}
    with faulty(tmp_path, {"a": cut, "b": cut, "c": rest}, arms) as made:
        told = streamed(made)
        assert text(told) == 2 * "".join(PIECES) + " there was."
        assert (told[-2]["attempts"], told[-1]) == (3, "[DONE]")
        assert statuses(made) == ["continued", "continued", "ok"]


@pytest.mark.parametrize(
    ("breaks", "asked"),
    [
        (calling, {}),
        (cut, {"response_format": {"type": "json_object"}}),
        (cut, {"stream_recovery": "error"}),
        (cut, {"models": ["a"]}),
    ],
    ids=["tool call", "format", "error wanted", "pinned"],
)
def test_what_cannot_be_continued_ends_with_the_error(
    tmp_path: Path, breaks: Scenario, asked: dict[str, Any]
) -> None:
    with faulty(tmp_path, {"a": breaks, "b": rest}, FIRST_A) as made:
        told = streamed(made, **asked)
        assert told[-1]["error"]["code"] == "upstream_bad_response"
        assert made.asked == ["a"]
        assert statuses(made) == ["truncated_upstream"]


def thinking(talk: Conversation) -> None:
    talk.events(chunk(delta={"reasoning_content": "hm"}))


@pytest.mark.parametrize("asked", [{}, {"response_format": {"type": "json_object"}}])
def test_where_only_thoughts_have_come_another_arm_begins_anew(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    with faulty(tmp_path, {"a": thinking, "b": rest}, {"a": CHEAP, "b": DEAR}) as made:
        told = streamed(made, **asked)
        assert (text(told), told[-1]) == (" there was.", "[DONE]")
        assert made.seen.bodies[1]["messages"] == made.seen.bodies[0]["messages"]
        assert statuses(made) == ["continued", "ok"]


def test_an_arm_that_cannot_go_on_is_not_asked_to(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, {"a": CHEAP}) as made:
        assert "error" in streamed(made)[-1]
        assert made.asked == ["a"]


def long(talk: Conversation) -> None:
    talk.events(chunk("word " * 8_000))


def test_an_arm_whose_window_the_part_does_not_fit_is_not_asked_to_go_on(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": long, "b": rest}, FIRST_A) as made:
        assert "error" in streamed(made)[-1]
        assert made.asked == ["a"]


def test_where_the_next_arm_fails_too_the_error_is_the_first(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": pausing, "b": broken}, FIRST_A) as made:
        told = streamed(made)
        assert told[-1]["error"]["code"] == "upstream_timeout"
        assert made.asked == ["a", "b"]
        assert statuses(made) == ["timeout", "error"]


def test_where_the_log_fails_at_the_seam_nothing_is_held_of_the_arm_that_would_go_on(
    tmp_path: Path,
) -> None:
    def after_which_the_log_fails(talk: Conversation) -> None:
        assert eventually(lambda: len(made.decisions) == 2)
        made.service.parts.log._writer.close()
        endless(talk)

    scenarios = {"a": cut, "b": after_which_the_log_fails}
    with faulty(tmp_path, scenarios, FIRST_A) as made:
        assert streamed(made)[-1]["error"]["code"] == "store_unavailable"
        assert made.seen.closed_early.wait(2)
        arms = made.service.get("/policy")["arms"]
        assert [arm["health"]["under_way"] for arm in arms] == [0, 0]
        assert made.service.parts.live.pacer.books.reserved_usd == pytest.approx(0)


def test_a_held_answer_that_breaks_off_is_another_arm_s_from_the_start(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": rest}, FIRST_A, stream_recovery="hold") as made:
        told = streamed(made)
        assert (told[0]["arm"], told[-1]) == ("b", "[DONE]")
        assert text(told) == " there was."
        assert made.seen.bodies[1]["messages"] == made.seen.bodies[0]["messages"]
        assert statuses(made) == ["truncated_upstream", "ok"]
        assert [each.cost_usd > 0 for each in made.attempts()] == [True, True]


def test_of_a_held_answer_nothing_is_told_before_it_is_whole(tmp_path: Path) -> None:
    released_at: list[float] = []

    def slow(talk: Conversation) -> None:
        talk.events(chunk(PIECES[0]))
        time.sleep(0.2)
        released_at.append(time.monotonic())
        talk.send(b"data: " + chunk(PIECES[1], finish="stop") + b"\n\ndata: [DONE]\n\n")

    with faulty(tmp_path, {"a": slow}) as made:
        body = {**STREAMED, "stream_recovery": "hold"}
        response = made.service.client.post("/complete", json=body, buffered=False)
        next(response.iter_encoded())
        assert released_at
        assert released_at[0] <= time.monotonic()
        response.close()


def test_a_held_answer_that_nobody_can_give_is_an_error_with_its_status(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut, "b": cut}, FIRST_A) as made:
        status, error = made.service.refused("/complete", {**STREAMED, "stream_recovery": "hold"})
        assert (status, error["code"]) == (502, "upstream_bad_response")


def pondering(talk: Conversation) -> None:
    talk.events(chunk(delta={"reasoning_content": "hm"}), *map(chunk, PIECES))


@pytest.mark.parametrize(("breaks", "asked"), [(cut, 2), (pondering, 4)])
def test_a_continued_answer_is_kept_unless_an_arm_thought_that_broke_off(
    tmp_path: Path, breaks: Scenario, asked: int
) -> None:
    with faulty(tmp_path, {"a": breaks, "b": rest}, FIRST_A) as made:
        told = [text(streamed(made, cache="use")) for _ in range(2)]
        assert told[0] == told[1] == "".join(PIECES) + " there was."
        assert len(made.seen.bodies) == asked
