"""When a provider fails: who is asked next, what the client sees, and what the log keeps."""

from pathlib import Path
from typing import Any

import pytest

from storage.snapshots import digest
from tests.app.faulty import (
    Faulty,
    broken,
    busy,
    empty,
    faulty,
    filtered,
    good,
    hanging_up,
    page,
    refusing,
    silent,
    too_long,
    unauthorised,
    unsupported,
)
from tests.app.hostile_streams import ENDING, told
from tests.app.routing.test_answering import events
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
FIRST_BAD = {"bad": CHEAP, "good": DEAR}
"""The failing arm is so cheap that it is surely asked first."""

SOBER = {"prompt": "hi", "explore": False}


def quality(faulty: Faulty) -> str:
    """Return the digest of what is believed of quality alone: an answer teaches its length too."""
    arrays = faulty.service.learned.to_arrays()
    return digest(
        {name: array for name, array in arrays.items() if name.startswith(("rated/", "evals/"))}
    )


FAILURES: dict[str, tuple[Scenario, str, str]] = {
    "busy": (busy, "busy", "error"),
    "broken": (broken, "error", "error"),
    "unauthorised": (unauthorised, "unauthorised", "error"),
    "silent": (silent, "timeout", "timeout"),
    "hanging up": (hanging_up, "error", "error"),
    "empty": (empty, "invalid", "error"),
    "a page": (page, "invalid", "error"),
}


@pytest.mark.parametrize(("scenario", "attempt", "outcome"), FAILURES.values(), ids=FAILURES.keys())
def test_another_arm_answers_when_the_first_fails(
    tmp_path: Path, scenario: Scenario, attempt: str, outcome: str
) -> None:
    with faulty(tmp_path, {"bad": scenario, "good": good}, FIRST_BAD) as made:
        before = quality(made)
        answer = made.service.post("/complete", SOBER)
        assert answer.status_code == 200
        assert (answer.json["arm"], answer.json["attempts"]) == ("good", 2)
        assert made.asked == ["bad", "good"]
        first, second = made.decisions
        assert (first.decision.kind, first.decision.arm) == ("routed", "bad")
        assert (second.decision.kind, second.decision.arm) == ("fallback", "good")
        assert second.decision.retry_of == first.decision.id
        assert second.decision.id == answer.json["id"]
        assert [each.outcome.status for each in (first, second) if each.outcome] == [outcome, "ok"]
        assert [each.status for each in made.attempts()] == [attempt, "ok"]
        assert "it has just failed" in second.decision.ineligible["bad"]
        assert quality(made) == before


def test_a_thumb_after_a_fallback_credits_the_arm_that_answered(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": broken, "good": good}, FIRST_BAD) as made:
        made.service.rate(made.service.post("/complete", SOBER).json["id"])
        weight = {
            arm["arm"]: arm["belief"]["effective_n"] for arm in made.service.get("/policy")["arms"]
        }
        assert weight == {"bad": 0.0, "good": pytest.approx(1.0)}


def test_a_failed_decision_teaches_nothing_even_if_rated(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": broken, "good": good}, FIRST_BAD) as made:
        made.service.post("/complete", SOBER)
        before = quality(made)
        assert made.service.rate(made.decisions[0].decision.id, "down")["status"] == "recorded"
        assert quality(made) == before


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_pinned_arm_falls_back_to_its_own_fallbacks_only(tmp_path: Path, stream: bool) -> None:
    scenarios = {"bad": broken, "good": good, "spare": good}
    arms = {"good": CHEAP, "bad": {"fallbacks": ["spare"]}, "spare": DEAR}
    with faulty(tmp_path, scenarios, arms) as made:
        asked = {"prompt": "hi", "models": ["bad"], "stream": stream}
        made.service.post("/complete", asked).get_data()
        assert made.asked == ["bad", "spare"]
        assert [each.decision.kind for each in made.decisions] == ["pinned", "fallback"]


def test_a_pinned_arm_without_fallbacks_is_alone(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": broken, "good": good}) as made:
        status, error = made.service.refused("/complete", {"prompt": "hi", "models": ["bad"]})
        assert (status, error["type"]) == (502, "upstream_error")
        assert made.asked == ["bad"]


def test_the_fallback_stays_among_the_models_that_were_allowed(tmp_path: Path) -> None:
    scenarios = {"bad": broken, "good": good, "spare": good}
    with faulty(tmp_path, scenarios, {"bad": CHEAP, "spare": DEAR}) as made:
        answer = made.service.post("/complete", {**SOBER, "models": ["bad", "spare"]})
        assert answer.json["arm"] == "spare"


def test_a_request_that_the_provider_refuses_is_passed_on_and_not_shopped_around(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"bad": refusing, "good": good}, FIRST_BAD) as made:
        status, error = made.service.refused("/complete", {**SOBER, "temperature": 2})
        assert (status, error["type"]) == (400, "invalid_request_error")
        assert error["param"] == "temperature"
        assert "temperature must be below 2" in error["message"]
        assert made.asked == ["bad"]
        assert [each.status for each in made.attempts()] == ["rejected"]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_one_model_does_not_take_is_tried_with_one_other(tmp_path: Path, stream: bool) -> None:
    answers = told(*ENDING) if stream else good
    with faulty(tmp_path, {"bad": unsupported, "good": answers}, FIRST_BAD) as made:
        response = made.service.post("/complete", {**SOBER, "temperature": 0, "stream": stream})
        assert (response.status_code, "error" in response.text) == (200, False)
        assert made.asked == ["bad", "good"]
        assert [each.status for each in made.attempts()] == ["rejected", "ok"]
        health = made.service.get("/policy")["arms"][0]["health"]
        assert (health["state"], health["calls"], health["failures"]) == ("closed", 0, 0)


@pytest.mark.parametrize(
    ("wish", "asked"),
    [({}, 2), ({"models": ["bad"]}, 1), ({"models": ["bad"], "fallbacks": ["worse"]}, 1)],
    ids=["routed", "pinned", "pinned with a fallback"],
)
def test_what_two_models_do_not_take_or_the_wanted_one_is_the_callers(
    tmp_path: Path, wish: dict[str, Any], asked: int
) -> None:
    scenarios = {"bad": unsupported, "worse": unsupported, "good": good}
    with faulty(tmp_path, scenarios, {"bad": CHEAP, "worse": CHEAP, "good": DEAR}) as made:
        status, error = made.service.refused("/complete", {**SOBER, "temperature": 0, **wish})
        assert (status, error["code"], error["param"]) == (400, "invalid_value", "temperature")
        assert len(made.asked) == asked


def test_a_filtered_answer_is_passed_on_and_not_shopped_around(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": filtered, "good": good}, FIRST_BAD) as made:
        answer = made.service.post("/complete", SOBER)
        assert (answer.status_code, answer.json["finish_reason"]) == (200, "content_filter")
        assert made.asked == ["bad"]
        assert made.decisions[0].outcome.status == "filtered"


def test_a_prompt_that_overflows_the_largest_window_is_the_callers(tmp_path: Path) -> None:
    with faulty(tmp_path, {"bad": too_long, "good": good}, FIRST_BAD) as made:
        status, error = made.service.refused("/complete", SOBER)
        assert (status, error["code"]) == (400, "context_length_exceeded")
        assert made.asked == ["bad"]


ALL_DOWN: dict[str, tuple[Scenario, int, str, str]] = {
    "broken": (broken, 502, "upstream_error", "upstream_bad_response"),
    "silent": (silent, 504, "upstream_error", "upstream_timeout"),
    "busy": (busy, 429, "rate_limit_error", "rate_limited"),
    "unauthorised": (unauthorised, 502, "upstream_error", "upstream_auth"),
    "empty": (empty, 502, "upstream_error", "upstream_bad_response"),
}


@pytest.mark.parametrize(
    ("scenario", "status", "kind", "code"), ALL_DOWN.values(), ids=ALL_DOWN.keys()
)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_when_every_arm_fails_the_last_failure_is_told(
    tmp_path: Path, scenario: Scenario, status: int, kind: str, code: str, stream: bool
) -> None:
    with faulty(tmp_path, {"a": scenario, "b": scenario, "c": scenario}) as made:
        response = made.service.post("/complete", {**SOBER, "stream": stream})
        error = response.json["error"]
        assert (response.status_code, error["type"], error["code"]) == (status, kind, code)
        assert "sk-abcdef" not in response.text
        assert sorted(made.asked) == ["a", "b", "c"]
        assert len(made.decisions) == len([each for each in made.decisions if each.outcome]) == 3
        assert response.headers["x-should-retry"] == "false"
        if status == 429:
            assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_tool_call_comes_back_whole(tmp_path: Path, stream: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    def calling(talk: Conversation) -> None:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        if not stream:
            talk.reply(completion(message, finish="tool_calls"))
            return
        begun = {"index": 0, **call, "function": {"name": "f", "arguments": ""}}
        talk.events(
            chunk(delta={**message, "tool_calls": [begun]}),
            chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}),
            chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
            chunk(finish="tool_calls"),
            b"[DONE]",
        )

    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with faulty(tmp_path, {"a": calling}, {"a": {"capabilities": ["tools"]}}) as made:
        asked = {"prompt": "hi", "tools": [tool], "stream": stream}
        response = made.service.post("/complete", asked)
        assert response.status_code == 200, response.text
        answer = events(response)[-2] if stream else response.json
        assert answer["tool_calls"] == [call]
        assert answer["finish_reason"] == "tool_calls"
        assert made.seen.bodies[0]["tools"] == [tool]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "made_of",
    [{"audio": {"id": "a", "data": "UklGRg==", "transcript": "hi"}}, {"images": [{"url": "x"}]}],
    ids=["sound", "picture"],
)
def test_sound_or_a_picture_is_an_answer(
    tmp_path: Path, made_of: dict[str, Any], stream: bool
) -> None:
    def making(talk: Conversation) -> None:
        if stream:
            talk.events(chunk(delta={"content": "", **made_of}), chunk(finish="stop"), b"[DONE]")
        else:
            talk.reply(completion({"role": "assistant", "content": None, **made_of}))

    with faulty(tmp_path, {"a": making}) as made:
        response = made.service.post("/complete", {"prompt": "hi", "stream": stream})
        answer = events(response)[-2] if stream else response.json
        assert {"text": answer["text"], **made_of}.items() <= answer.items()
        asked = {"model": "a", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        response = made.service.post("/v1/chat/completions", asked)
        answer = events(response)[0] if stream else response.json
        said = answer["choices"][0]["delta" if stream else "message"]
        assert made_of.items() <= said.items()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_refusal_comes_back_in_its_words(tmp_path: Path, stream: bool) -> None:
    def declining(talk: Conversation) -> None:
        if not stream:
            talk.reply(completion({"role": "assistant", "content": None, "refusal": "I will not."}))
            return
        pieces = [chunk(delta={"refusal": each}) for each in ("I will ", "not.")]
        talk.events(*pieces, chunk(finish="stop"), b"[DONE]")

    with faulty(tmp_path, {"a": declining}) as made:
        response = made.service.post("/complete", {"prompt": "hi", "stream": stream})
        answer = events(response)[-2] if stream else response.json
        assert (answer["text"], answer["refusal"]) == ("", "I will not.")
