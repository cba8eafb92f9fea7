"""Streams through the service: however one ends, the log knows it and the client can tell."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.keys.holder import ANYBODY
from app.routing.ask import Ask
from storage.records import Outcome
from tests.app.faulty import STREAMED, Faulty, broken, endless, faulty, late
from tests.upstream.misbehaving import Conversation, Scenario, chunk, usage_frame

PIECES = ("Once ", "upon ", "a time")


def telling(*ending: bytes) -> Scenario:
    """Return a scenario that streams the pieces and then the ending."""

    def tell(talk: Conversation) -> None:
        talk.events(*(chunk(piece) for piece in PIECES), *ending)

    return tell


def cut(talk: Conversation) -> None:
    talk.events(*(chunk(piece) for piece in PIECES))


def reset(talk: Conversation) -> None:
    talk.events(*(chunk(piece) for piece in PIECES))
    time.sleep(0.1)  # a reset throws away what has not been read yet
    talk.reset()


def failing(talk: Conversation) -> None:
    talk.events(chunk(PIECES[0]), b'{"error": {"message": "out of memory"}}')


def pausing(talk: Conversation) -> None:
    talk.events(chunk(PIECES[0]))
    talk.until_client_leaves()


late(pausing, idle_s=0.4)


def role_then_nothing(talk: Conversation) -> None:
    talk.events(chunk(delta={"role": "assistant", "content": ""}))


CUT_LETTER = telling(chunk("a\ud83d"), chunk("\ude00b"), chunk(finish="stop"), b"[DONE]")
WHOLE = telling(chunk(finish="stop"), usage_frame(4, 3), b"[DONE]")


def events(response: TestResponse) -> list[Any]:
    payloads = [line.removeprefix("data: ") for line in response.text.split("\n\n")[:-1]]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def outcome(made: Faulty) -> Outcome:
    [only] = made.decisions
    assert only.outcome is not None
    return only.outcome


def text(told: list[Any]) -> str:
    return "".join(each.get("text", "") for each in told if each != "[DONE]" and "arm" not in each)


def test_a_whole_stream_ends_with_the_bill_and_done(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": WHOLE}) as made:
        told = events(made.service.post("/complete", STREAMED))
        assert told[-1] == "[DONE]"
        assert text(told) == told[-2]["text"] == "".join(PIECES)
        assert told[-2]["usage"]["output_tokens"] == 3
        assert told[-2]["cost_usd"] == pytest.approx((4 * 1.0 + 3 * 2.0) / 1e6)
        assert outcome(made).status == "ok"


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        (cut, "truncated_upstream", "upstream_bad_response"),
        (reset, "truncated_upstream", "upstream_bad_response"),
        (failing, "truncated_upstream", "upstream_bad_response"),
        (pausing, "timeout", "upstream_timeout"),
    ],
    ids=["cut", "reset", "failing", "pausing"],
)
def test_a_stream_that_breaks_after_content_never_looks_whole(
    tmp_path: Path, scenario: Scenario, status: str, code: str
) -> None:
    with faulty(tmp_path, {"a": scenario, "b": scenario}) as made:
        told = events(made.service.post("/complete", STREAMED))
        assert "[DONE]" not in told
        assert told[-1]["error"]["code"] == code
        assert text(told).startswith(PIECES[0])
        assert "".join(PIECES).startswith(text(told))
        assert len(made.asked) == 1
        ended = outcome(made)
        assert ended.status == status
        assert ended.usage_estimated
        assert ended.output_tokens > 0


@pytest.mark.parametrize("scenario", [broken, role_then_nothing])
def test_a_stream_that_fails_before_content_comes_from_another_arm(
    tmp_path: Path, scenario: Scenario
) -> None:
    cheap = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
    with faulty(tmp_path, {"bad": scenario, "good": WHOLE}, {"bad": cheap}) as made:
        told = events(made.service.post("/complete", STREAMED))
        assert (told[0]["arm"], told[-2]["attempts"], told[-1]) == ("good", 2, "[DONE]")
        assert [each.decision.kind for each in made.decisions] == ["routed", "fallback"]


@pytest.mark.parametrize("read", [0, 1, 3], ids=lambda read: f"after-{read}")
def test_a_client_that_leaves_ends_the_call_and_is_recorded(tmp_path: Path, read: int) -> None:
    with faulty(tmp_path, {"a": endless}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        pieces = response.iter_encoded()
        for _ in range(read):
            next(pieces)
        response.close()
        assert made.seen.closed_early.wait(timeout=2)
        ended = outcome(made)
        assert ended.status == "client_gone"
        assert [each.status for each in made.attempts()] == ["client_gone"]
        assert ended.usage_estimated
        assert ended.cost_usd > 0


@pytest.mark.parametrize("scenario", [endless, cut], ids=["late", "hung up"])
def test_what_comes_of_a_client_that_hardly_reads_is_no_fault_of_the_arm(
    tmp_path: Path, scenario: Scenario
) -> None:
    soon = {"timeouts": {"connect_s": 1, "first_content_s": 2, "idle_s": 1, "total_s": 2}}
    with faulty(tmp_path, {"a": scenario}, {"a": soon}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        pieces = response.iter_encoded()
        next(pieces)
        next(pieces)
        time.sleep(2)
        told = b"".join(pieces)
        assert b'"code": "client_gone"' in told
        assert outcome(made).status == "client_gone"
        assert [each.status for each in made.attempts()] == ["client_gone"]
        [standing] = made.service.get("/policy")["arms"]
        assert standing["health"]["failures"] == 0


def test_a_stream_left_early_can_be_rated_and_teaches(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": endless}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        next(response.iter_encoded())
        response.close()
        assert made.service.rate(made.decisions[0].decision.id)["status"] == "recorded"
        assert made.service.get("/policy")["arms"][0]["belief"]["effective_n"] == pytest.approx(1)


def test_frames_tell_what_the_provider_said_besides_the_text(tmp_path: Path) -> None:
    ask = Ask(messages=[{"role": "user", "content": "hi"}], explore=False)
    with (
        faulty(tmp_path, {"a": WHOLE}) as made,
        closing(made.service.parts.router.stream(ask, ANYBODY)) as it,
    ):
        frames = [chunk.data for chunk in it.chunks()]
        assert frames[-1]["usage"]["completion_tokens"] == 3
        assert it.completion.text == "".join(PIECES)
        assert outcome(made).status == "ok"


def test_the_outcome_is_in_the_log_before_the_last_event_is_sent(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": WHOLE}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        for event in response.iter_encoded():
            if b'"cost_usd"' in event:
                assert outcome(made).status == "ok"
                break
        response.close()
        assert outcome(made).status == "ok"


def test_the_decision_is_in_the_log_before_the_first_event_is_sent(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": endless}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        first = next(response.iter_encoded())
        found = [each.decision.id for each in made.decisions]
        response.close()
        assert found == [json.loads(first.removeprefix(b"data: "))["id"]]


def test_a_letter_that_is_cut_by_two_frames_is_whole_at_the_end_and_when_given_again(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"a": CUT_LETTER}) as made:
        asked = {**STREAMED, "cache": "use"}
        first, again = (events(made.service.post("/complete", asked)) for _ in range(2))
        assert first[-2]["text"] == again[-2]["text"] == text(again) == "".join(PIECES) + "a😀b"
