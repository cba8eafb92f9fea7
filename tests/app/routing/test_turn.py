"""How a turn ends, whatever ends it: an outcome in the log, and nothing held for it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from storage.events import OutcomeEvent
from tests.app.faulty import STREAMED, Faulty, broken, busy, endless, faulty, good, silent
from tests.app.running import SUM, Running
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion
from upstream.stream import Stream

BUDGET = {"budget_usd": 5.0}
PATHS: dict[str, dict[str, Any]] = {
    "/complete": {"prompt": "hi"},
    "/v1/chat/completions": {"model": "auto", "messages": [{"role": "user", "content": "hi"}]},
}
ENDLESS = b'"logprobs": {"x": 1e999}, "finish_reason"'


def held_usd(made: Faulty) -> float:
    """Return what is held of the budget for calls under way."""
    return made.service.parts.live.pacer.books.reserved_usd


def ended(made: Faulty) -> list[tuple[str, str]]:
    """Return how each decision ended, and its call."""
    statuses = [each.outcome.status for each in made.decisions if each.outcome]
    assert len(statuses) == len(made.decisions)
    return list(zip(statuses, [each.status for each in made.attempts()], strict=True))


def saying(choice: dict[str, Any]):
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return lambda talk: talk.reply(json.dumps({"choices": [choice], "usage": usage}).encode())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("choice", "status"),
    [
        ({"index": 0, "finish_reason": "length"}, "ok"),
        ({"index": 0, "message": None, "finish_reason": "length"}, "ok"),
        ({"index": 0, "message": None, "finish_reason": "content_filter"}, "filtered"),
        ({"index": 0, "message": None, "finish_reason": "sensitive"}, "filtered"),
    ],
    ids=["no message", "null, cut", "null, filtered", "null, GLM's filtered"],
)
def test_an_answer_without_a_message_is_answered_and_booked(
    tmp_path: Path, path: str, choice: dict[str, Any], status: str
) -> None:
    with faulty(tmp_path, {"a": saying(choice)}, **BUDGET) as made:
        response = made.service.post(path, PATHS[path])
        assert response.status_code == 200, response.text
        assert ended(made) == [(status, "ok")]
        assert held_usd(made) == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_number_that_is_not_finite_is_no_answer(tmp_path: Path, path: str, stream: bool) -> None:
    def endlessly(talk: Conversation) -> None:
        if stream:
            talk.events(chunk("hello").replace(b'"finish_reason"', ENDLESS))
        else:
            talk.reply(completion().replace(b'"finish_reason"', ENDLESS))

    with faulty(tmp_path, {"a": endlessly}, **BUDGET) as made:
        status, error = made.service.refused(path, {**PATHS[path], "stream": stream})
        assert (status, error["code"]) == (502, "upstream_bad_response")
        assert "1e999 is no finite number" in error["message"]
        assert ended(made) == [("error", "invalid")]
        assert held_usd(made) == 0


def broke(*_: object) -> None:
    raise KeyError("message")


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("app.routing.router.completed", {"prompt": "hi"}),
        ("upstream.stream.choices_of", STREAMED),
        ("upstream.client.Stream.hold", {**STREAMED, "stream_recovery": "hold"}),
    ],
)
def test_a_defect_of_ours_ends_the_decision_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, asked: dict[str, Any]
) -> None:
    scenario = endless if "stream" in asked else good
    with faulty(tmp_path, {"a": scenario}, **BUDGET) as made:
        monkeypatch.setattr(what, broke)
        status, error = made.service.refused("/complete", asked)
        assert (status, error["code"]) == (500, "internal_error")
        assert ended(made) == [("error", "error")]
        [call] = made.attempts()
        assert "something of ours broke" in str(call.message)
        assert call.input_tokens > 0  # it was sent, so it may be billed
        assert held_usd(made) == 0
        health = made.service.get("/policy")["arms"][0]["health"]
        assert (health["under_way"], health["failures"]) == (0, 0)
        assert health["calls"] == int("stream_recovery" in asked)  # only there had content come


@pytest.mark.parametrize("path", PATHS)
def test_a_defect_amid_a_stream_ends_the_decision_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    with faulty(tmp_path, {"a": endless}, **BUDGET) as made:
        asked = {**PATHS[path], "stream": True}
        response = made.service.client.post(path, json=asked, buffered=False)
        pieces = response.iter_encoded()
        next(pieces)
        monkeypatch.setattr(Stream, "__next__", broke)
        came = [b""]
        with pytest.raises(KeyError):
            came.extend(pieces)
        # The envelope, and no [DONE].
        assert json.loads(came[-1].removeprefix(b"data: "))["error"]["code"] == "internal_error"
        assert made.seen.closed_early.wait(2)
        assert ended(made) == [("error", "error")]
        assert held_usd(made) == 0
        response.close()


def test_a_decision_that_the_log_does_not_take_holds_nothing(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}, **BUDGET) as made:
        made.service.parts.log._writer.close()
        status, error = made.service.refused("/complete", {"prompt": "hi"})
        assert (status, error["code"]) == (503, "store_unavailable")
        assert held_usd(made) == 0


def blank(talk: Conversation) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 8000}
    talk.reply(completion({"content": " "}, usage=usage))


def thinking_in_vain(talk: Conversation) -> None:
    talk.events(chunk(delta={"some_vendors_thoughts": "hm"}))


def test_what_a_failed_call_is_billed_counts_against_the_budget(tmp_path: Path) -> None:
    bill_usd = (3 * 1.0 + 8000 * 2.0) / 1e6
    with faulty(tmp_path, {"a": blank}, **BUDGET) as made:
        made.service.refused("/complete", {"prompt": "hi"})
        [only], [call] = made.decisions, made.attempts()
        assert only.outcome is not None
        assert (only.outcome.status, only.outcome.output_tokens) == ("error", 8000)
        assert only.outcome.cost_usd == call.cost_usd == pytest.approx(bill_usd)
        assert made.service.get("/policy")["goal"]["spent_usd"] == pytest.approx(bill_usd)


def test_what_a_provider_had_in_its_cache_is_booked_at_the_price_of_that(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    cached = {**usage, "prompt_tokens_details": {"cached_tokens": 1}}
    scenarios = {"a": lambda talk: talk.reply(completion(usage=cached, model="a"))}
    with faulty(tmp_path, scenarios, {"a": {"cached_input_usd_per_mtok": 0.1}}) as made:
        made.service.ask()
        outcome, [call] = made.decisions[0].outcome, made.attempts()
        assert outcome is not None
        assert (outcome.cached_tokens, call.cached_tokens) == (1, 1)
        assert outcome.cost_usd == call.cost_usd == pytest.approx((2 + 0.1 + 2 * 2.0) / 1e6)


def test_what_a_provider_wrote_into_its_cache_is_booked_at_the_price_of_that(
    tmp_path: Path,
) -> None:
    details = {"cached_tokens": 1, "cache_write_tokens": 5}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": details}
    scenarios = {"a": lambda talk: talk.reply(completion(usage=usage, model="a"))}
    prices = {"cached_input_usd_per_mtok": 0.1, "cache_write_usd_per_mtok": 1.25}
    with faulty(tmp_path, scenarios, {"a": prices}) as made:
        made.service.ask()
        outcome, [call] = made.decisions[0].outcome, made.attempts()
        assert outcome is not None
        bill_usd = (1 + 0.1 + 5 * 1.25 + 2 * 2.0) / 1e6
        assert outcome.cost_usd == call.cost_usd == pytest.approx(bill_usd)


def test_what_was_asked_and_not_answered_in_time_counts_too(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": silent}, **BUDGET) as made:
        made.service.refused("/complete", {"prompt": "hi"})
        outcome = made.decisions[0].outcome
        assert outcome is not None
        assert (outcome.status, outcome.output_tokens) == ("timeout", 0)
        assert outcome.usage_estimated
        assert made.service.get("/policy")["goal"]["spent_usd"] == outcome.cost_usd > 0


def test_what_the_provider_refuses_costs_nothing(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": busy}, **BUDGET) as made:
        made.service.refused("/complete", {"prompt": "hi"})
        assert [each.cost_usd for each in made.attempts()] == [0, 0]


def test_a_clock_that_is_set_makes_no_call_shorter_or_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time

    def amid_a_clock_that_is_set(talk: Conversation) -> None:
        monkeypatch.setattr("time.time", lambda: real() - 3_600.0)
        broken(talk)

    with faulty(tmp_path, {"a": amid_a_clock_that_is_set}, **BUDGET) as made:
        made.service.refused("/complete", {"prompt": "hi"})
        [call] = made.attempts()
        assert 0 < call.latency_s < 60


@pytest.mark.parametrize(("scenario", "stream"), [(blank, False), (thinking_in_vain, True)])
def test_a_failed_call_that_is_billed_teaches_nothing(
    tmp_path: Path, scenario: Scenario, stream: bool
) -> None:
    with faulty(tmp_path, {"a": scenario}, **BUDGET) as made:
        made.service.refused("/complete", {"prompt": "hi", "stream": stream})
        [only] = made.decisions
        assert only.outcome is not None
        assert only.outcome.output_tokens > 0
        made.service.rate(only.decision.id, "down")
        arrays = made.service.learned.to_arrays()
        assert not [name for name in arrays if name.startswith(("rated/", "tokens/"))]


def of_the_only_outcome(service: Running) -> tuple[int, int, float]:
    """Return of how many answers it tells, their tokens, and how long one is."""
    [event] = [each for each in service.parts.log.events() if isinstance(each, OutcomeEvent)]
    return event.choices, event.output_tokens, event.length


@pytest.mark.parametrize("stream", [False, True])
def test_an_outcome_tells_how_many_answers_have_come(
    service: Running, tmp_path: Path, stream: bool
) -> None:
    """One provider answers as often as it was asked to, another does not know how."""
    body = {"model": "auto", "messages": [{"role": "user", "content": SUM}], "n": 3}
    assert service.post("/v1/chat/completions", {**body, "stream": stream}).get_data()
    choices, tokens, length = of_the_only_outcome(service)
    assert (choices, length) == (3, tokens / 3)
    other = tmp_path / "other"
    other.mkdir()
    with faulty(other, {"a": good}) as made:
        assert made.service.post("/v1/chat/completions", body).status_code == 200
        choices, tokens, length = of_the_only_outcome(made.service)
        assert (choices, length) == (1, tokens)
