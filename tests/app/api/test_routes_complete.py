"""`/complete` as a client meets it: plain and streamed, with every wish a request may have."""

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.app.faulty import faulty
from tests.app.running import CATALOGUE, SUM, Provider, Running
from tests.upstream.misbehaving import Conversation, completion
from upstream.catalogue import load
from upstream.sandbox import sandbox_responder
from upstream.tokens import count, count_messages

ARMS = load(CATALOGUE).arms
PINNED = "gpt-4o"


def events(response: TestResponse) -> list[Any]:
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    payloads = [line.removeprefix("data: ") for line in lines]
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def test_an_answer_tells_who_gave_it_and_what_it_cost(service: Running) -> None:
    answer = service.ask(models=[PINNED])
    model = ARMS[PINNED].model
    messages = [{"role": "user", "content": SUM}]
    text = sandbox_responder()(model, {"messages": messages}).text
    spent = ARMS[PINNED].cost_usd(count_messages(messages), count(text))
    assert answer["text"] == text
    assert answer["cost_usd"] == pytest.approx(spent)
    assert (answer["arm"], answer["model"], answer["finish_reason"]) == (PINNED, model, "stop")
    assert (answer["cache"], answer["attempts"], answer["sandbox"]) == ("miss", 1, True)
    assert (answer["propensity"], answer["policy_version"]) == (1.0, 1)
    assert answer["usage"] == {
        "input_tokens": count_messages(messages),
        "cached_tokens": 0,
        "output_tokens": count(text),
        "estimated": False,
    }


def test_a_prompt_is_one_user_message(service: Running) -> None:
    asked = {"models": [PINNED], "messages": [{"role": "user", "content": SUM}]}
    assert service.post("/complete", asked).json["text"] == service.ask(models=[PINNED])["text"]


def test_a_stream_brings_the_same_answer_in_pieces(service: Running) -> None:
    plain = service.ask(models=[PINNED])
    response = service.post("/complete", {"prompt": SUM, "models": [PINNED], "stream": True})
    assert response.mimetype == "text/event-stream"
    started, *pieces, whole, done = events(response)
    assert started == {"id": whole["id"], "feedback_token": whole["feedback_token"], "arm": PINNED}
    assert len(pieces) > 1
    assert "".join(piece["text"] for piece in pieces) == plain["text"]
    assert done == "[DONE]"
    different = {"id", "feedback_token", "latency_s", "ttft_s"}
    same = plain.keys() - different
    assert {name: whole[name] for name in same} == {name: plain[name] for name in same}
    assert whole["ttft_s"] <= whole["latency_s"]


def test_both_ways_leave_a_decision_with_its_outcome(service: Running) -> None:
    plain = service.ask()["id"]
    streamed = events(service.post("/complete", {"prompt": SUM, "stream": True}))[0]["id"]
    for decision in (plain, streamed):
        found = service.get(f"/decisions/{decision}")
        assert found["outcome"]["status"] == "ok"
        assert [attempt["status"] for attempt in found["attempts"]] == ["ok"]
    assert service.get("/policy")["counts"]["decisions"] == 2


def test_parameters_of_openai_reach_the_provider_and_ours_do_not(
    service: Running, provider: Provider
) -> None:
    ours = {"task": "maths", "willingness_to_pay": 0.5, "explore": False, "session": "s-1"}
    service.ask(temperature=0.3, max_tokens=50, vendor_extra={"a": [1]}, **ours)
    body = provider.bodies[-1]
    assert (body["temperature"], body["max_tokens"]) == (0.3, 50)
    assert body["vendor_extra"] == {"a": [1]}
    assert not body.keys() & {*ours, "prompt", "models", "stream"}


def test_a_callers_model_never_replaces_the_arms(service: Running, provider: Provider) -> None:
    answer = service.ask(model="somebody/else")
    assert provider.bodies[-1]["model"] == ARMS[answer["arm"]].model


def test_models_restricts_the_choice(service: Running) -> None:
    allowed = {"qwen3-32b", "glm-4-plus"}
    answers = [service.ask(f"What is {n} + 4?", models=sorted(allowed)) for n in range(12)]
    assert {answer["arm"] for answer in answers} <= allowed
    found = service.get(f"/decisions/{answers[0]['id']}")
    assert {arm["arm"] for arm in found["arms"]} == allowed
    assert found["ineligible"][PINNED] == "the request does not list it"


def test_a_limit_on_cost_leaves_out_what_is_dearer(service: Running) -> None:
    every = {
        arm["arm"]: arm["cost_usd"] for arm in service.post("/route", {"prompt": SUM}).json["arms"]
    }
    limit = sorted(every.values())[2]
    asked = {"prompt": SUM, "max_cost_usd": limit}
    left = {arm["arm"] for arm in service.post("/route", asked).json["arms"]}
    assert left == {arm for arm, cost in every.items() if cost <= limit}
    assert PINNED not in left


def test_what_no_arm_can_do_is_refused_with_a_reason_for_each(
    service: Running, provider: Provider
) -> None:
    calls = len(provider.bodies)
    status, error = service.refused("/complete", {"prompt": SUM, "max_cost_usd": 1e-9})
    assert (status, error["code"], error["param"]) == (400, "no_eligible_arm", "max_cost_usd")
    assert all(f"{arm}: it would cost about $" in error["message"] for arm in ARMS)
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    messages = [{"role": "user", "content": [image]}]
    asked = {"messages": messages, "models": ["qwen3-32b", "glm-4-plus"]}
    status, error = service.refused("/complete", asked)
    assert status == 400
    assert error["reasons"] == {"qwen3-32b": "it lacks vision", "glm-4-plus": "it lacks vision"}
    assert "gpt-4o" not in error["message"]
    assert len(provider.bodies) == calls


def test_a_prompt_longer_than_a_window_is_not_sent_there(service: Running) -> None:
    asked = {"prompt": "word " * 40_000, "explore": False}
    assert service.post("/route", asked).json["ineligible"].keys() == {"qwen3-32b"}


@pytest.mark.parametrize(
    "wish",
    [
        {"explore": False},
        {"models": [PINNED]},
        {"messages": [{"role": "user", "content": SUM}, {"role": "tool", "content": "391"}]},
    ],
    ids=["explore-false", "pinned", "tool-loop"],
)
def test_nothing_is_tried_out_where_it_must_not_be(service: Running, wish: dict[str, Any]) -> None:
    asked = wish if "messages" in wish else {"prompt": SUM, **wish}
    for _ in range(20):
        assert service.post("/complete", asked).json["propensity"] == 1.0


def test_a_dollar_that_is_worth_more_buys_the_dearer_arm(service: Running) -> None:
    names = [PINNED, "glm-4-plus"]
    for n in range(12):
        for arm, thumbs in ((PINNED, "up"), ("glm-4-plus", "down" if n % 3 else "up")):
            service.rate(service.ask(f"What is {n} * 7?", models=[arm])["id"], thumbs)
    chosen = {
        pay: service.post(
            "/route", {"prompt": SUM, "models": names, "willingness_to_pay": pay, "explore": False}
        ).json["arm"]
        for pay in (1e-6, 10.0)
    }
    assert chosen == {1e-6: "glm-4-plus", 10.0: PINNED}


@pytest.mark.parametrize("none", [{}, "", False, 0, []])
def test_tool_calls_that_are_none_are_null(tmp_path: Path, none: object) -> None:
    message = {"role": "assistant", "content": "hello", "tool_calls": none}
    with faulty(tmp_path, {"a": lambda talk: talk.reply(completion(message))}) as made:
        answer = made.service.ask(models=["a"])
        assert (answer["text"], answer["tool_calls"]) == ("hello", None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_a_function_is_shown_as_one_of_a_tool(tmp_path: Path, stream: bool) -> None:
    called = {"name": "f", "arguments": '{"x": 1}'}
    message, place = {"function_call": called}, "delta" if stream else "message"
    choice = {"index": 0, "finish_reason": "function_call", place: message}

    def calls(talk: Conversation) -> None:
        data = json.dumps({"choices": [choice]}).encode()
        talk.events(data, b"[DONE]") if stream else talk.reply(data)

    with faulty(tmp_path, {"a": calls}, {"a": {"capabilities": ["tools"]}}) as made:
        asking = {"prompt": "hi", "functions": [{"name": "f"}], "stream": stream}
        response = made.service.post("/complete", asking)
        answer = events(response)[-2] if stream else response.json
        assert answer["tool_calls"] == [{"type": "function", "function": called}]


@pytest.mark.parametrize("stream", [False, True])
def test_what_stands_where_nobody_looks_for_an_answer_breaks_none(
    tmp_path: Path, stream: bool
) -> None:
    odd, place = {"message": 5, "delta": [5]}, "delta" if stream else "message"

    def oddly(talk: Conversation) -> None:
        choice = {"index": 0, "finish_reason": "stop", **odd, place: {"content": "hello"}}
        data = json.dumps({"choices": [choice]}).encode()
        talk.events(data, b"[DONE]") if stream else talk.reply(data)

    with faulty(tmp_path, {"a": oddly}) as made:
        response = made.service.post(
            "/complete", {"prompt": "hi", "cache": "use", "stream": stream}
        )
        answer = events(response)[-2] if stream else response.json
        assert answer["text"] == "hello"
