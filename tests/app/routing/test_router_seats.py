"""A conversation stays with its arm while that is worth it, and never leaves one amid its tools."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy.decide import Question, decide, seeded
from policy.eligibility import Demand
from tests.app.faulty import STREAMED, Faulty, faulty
from tests.app.routing.test_answering import WHOLE, cut
from tests.app.running import Running, catalogue, running, sandbox
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion

PATH = "/v1/chat/completions"
DOCUMENT = "The quick brown fox jumps over the lazy dog. " * 300
ARMS = ("a", "b", "c")
PRICES = {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 3.0, "context_window": 100_000}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.fixture
def priced(tmp_path: Path) -> Iterator[Running]:
    """Yield a service of equal arms whose providers read from cache at a tenth."""
    arms = {name: {**PRICES, "cached_input_usd_per_mtok": 0.3} for name in ARMS}
    with sandbox(catalogue(tmp_path, "http://127.0.0.1:1/v1", arms)) as provider:
        path = catalogue(tmp_path, provider.url, arms)
        with running(tmp_path, arms=path, sandbox="off") as made:
            yield made


def talked(made: Running, turns: int, **more: Any) -> list[Any]:
    """Return the decisions of a conversation over a long document."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": DOCUMENT}]
    decisions = []
    for n in range(turns):
        messages.append({"role": "user", "content": f"What is {n} + {n}?"})
        body = {"model": "auto", "messages": messages, "cache": "off", **more}
        answer = made.post(PATH, body).json
        messages.append(answer["choices"][0]["message"])
        decisions.append(made.parts.log.decision(answer["id"]).decision)
    return decisions


def test_a_conversation_stays_where_its_words_are_cached(priced: Running) -> None:
    first, *rest = talked(priced, 10)
    assert {each.arm for each in rest} == {first.arm}
    for each in rest:
        cost = dict(zip(each.eligible, each.cost_usd_predicted, strict=True))
        saved = min(cost[arm] for arm in ARMS if arm != each.arm) - cost[each.arm]
        assert saved == pytest.approx(2.7e-6 * each.input_tokens_estimated, rel=0.3)
        assert each.propensity == pytest.approx(
            each.propensities[each.eligible.index(each.arm)], abs=0
        )
        assert sum(each.propensities) == pytest.approx(1.0)


def test_a_decision_amid_a_conversation_can_be_made_again_from_its_row(priced: Running) -> None:
    arms = list(priced.parts.catalogue().arms.values())
    for row in talked(priced, 3, session="s-1")[1:]:
        assert row.cached_by_arm.keys() == {row.arm}
        told = priced.get(f"/decisions/{row.id}")
        assert told["cached_by_arm"] == row.cached_by_arm
        learned = priced.learned
        question = Question(
            context=learned.context(row),
            demand=Demand(row.input_tokens_estimated, cached_tokens=row.cached_by_arm),
            willingness_to_pay_usd=row.willingness_to_pay_usd,
            words=row.words,
            explore=row.explore,
        )
        again = decide(arms, question, learned.beliefs, seeded(row.id))
        assert (again.arm, tuple(again.propensities.tolist())) == (row.arm, row.propensities)


def test_leaving_is_worth_it_for_who_pays_enough_for_what_is_better(priced: Running) -> None:
    [first] = talked(priced, 1, session="s-1")
    for _ in range(12):
        for arm in ARMS:
            made = priced.ask("What is 2 + 2?", models=[arm])
            priced.rate(made["id"], "down" if arm == first.arm else "up")
    for pays, stays in ((1e-4, True), (100.0, False)):
        [later] = talked(priced, 1, session="s-1", willingness_to_pay=pays, explore=False)
        assert (later.arm == first.arm) == stays


@pytest.mark.parametrize("header", ["x-turnpike-session", "x-session-id", "x-conversation-id"])
def test_a_session_in_a_header_is_the_conversation(priced: Running, header: str) -> None:
    messages = [{"role": "user", "content": DOCUMENT}]
    rows = []
    for n in range(3):
        # Every turn says something else altogether: only the name holds them together.
        body = {"model": "auto", "messages": [*messages, {"role": "user", "content": str(n)}]}
        made = priced.client.post(PATH, json={**body, "cache": "off"}, headers={header: "s-1"})
        rows.append(priced.parts.log.decision(made.json["id"]).decision)
    assert len({row.arm for row in rows}) == 1
    assert {row.session for row in rows} == {"s-1"}
    costs = [dict(zip(row.eligible, row.cost_usd_predicted, strict=True)) for row in rows]
    assert len(set(costs[0].values())) == 1
    assert min(costs[1], key=costs[1].__getitem__) == rows[0].arm


def calling(talk: Conversation) -> None:
    """Call a tool under an id of its own, streamed or not."""
    talk.seen.connections += 0
    number = len(talk.seen.bodies)
    call = {**CALL, "id": f"call_{number}", "index": 0}
    if talk.body["messages"][-1]["role"] == "tool":
        message: dict[str, Any] = {"role": "assistant", "content": "done"}
    else:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    finish = "tool_calls" if "tool_calls" in message else "stop"
    if talk.body.get("stream"):
        talk.events(chunk(delta=message), chunk(finish=finish), b"[DONE]")
    else:
        talk.reply(completion(message, finish=finish))


def failing_with_tools(talk: Conversation) -> None:
    if talk.body["messages"][-1]["role"] == "tool":
        talk.reply(b"{}", "500 Internal Server Error")
    else:
        calling(talk)


def looped(made: Faulty, *, stream: bool) -> tuple[str, Any]:
    """Return who called a tool, and the decision on who gets its result."""
    asked = {"model": "auto", "tools": TOOLS, "cache": "off", "stream": stream}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
    first = made.service.post(PATH, {**asked, "messages": messages})
    if stream:
        told = json.loads(first.text.split("\n\n")[0].removeprefix("data: "))
        called = told["choices"][0]["delta"]
    else:
        called = first.json["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": called["tool_calls"][0]["id"], "content": "42"}
    last = made.service.post(PATH, {**asked, "messages": [*messages, called, result]})
    assert last.status_code == 200, last.text
    log = made.service.parts.log
    return (
        first.headers["x-turnpike-arm"],
        log.decision(last.headers["x-turnpike-decision-id"]).decision,
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_a_tool_says_goes_to_the_arm_that_called_it(tmp_path: Path, stream: bool) -> None:
    able = {name: {"capabilities": ["tools"]} for name in ARMS}
    with faulty(tmp_path, dict.fromkeys(ARMS, calling), able) as made:
        callers = set()
        for _ in range(15):
            caller, decision = looped(made, stream=stream)
            callers.add(caller)
            assert (decision.arm, decision.propensity) == (caller, 1.0)
            others = dict.fromkeys(ARMS, f"{caller} waits for what its tools say")
            assert decision.ineligible == {k: v for k, v in others.items() if k != caller}
        assert len(callers) > 1


def calling_a_function(talk: Conversation) -> None:
    message = {"role": "assistant", "content": None, "function_call": CALL["function"]}
    talk.reply(completion(message, finish="function_call"))


def test_what_a_function_says_goes_to_the_arm_that_called_it(tmp_path: Path) -> None:
    able = {"a": {}} | {name: {"capabilities": ["tools"]} for name in ("b", "c")}
    asked = {"model": "auto", "functions": [{"name": "f"}], "cache": "off"}
    hello = {"role": "user", "content": "hello"}
    with faulty(tmp_path, dict.fromkeys(ARMS, calling_a_function), able) as made:
        for _ in range(15):
            first = made.service.post(PATH, {**asked, "messages": [hello]})
            called = first.json["choices"][0]["message"]
            result = {"role": "function", "name": "f", "content": "42"}
            made.service.post(PATH, {**asked, "messages": [hello, called, result]})
        assert made.asked[::2] == made.asked[1::2]
        assert set(made.asked) == {"b", "c"}


def test_a_caller_that_fails_does_not_keep_the_conversation(tmp_path: Path) -> None:
    able = {name: {"capabilities": ["tools"]} for name in ARMS}
    dear = {"input_usd_per_mtok": 1_000.0}
    scenarios = {"a": failing_with_tools, "b": calling, "c": calling}
    arms = {"a": able["a"], "b": able["b"] | dear, "c": able["c"] | dear}
    with faulty(tmp_path, scenarios, arms) as made:
        caller, decision = looped(made, stream=False)
        while caller != "a":
            caller, decision = looped(made, stream=False)
        assert decision.arm != "a"
        assert decision.kind == "fallback"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_equal_conversations_are_told_apart_by_the_tools_that_were_called(
    tmp_path: Path, stream: bool
) -> None:
    able = {name: {"capabilities": ["tools"]} for name in "ab"}
    asked = {"tools": TOOLS, "cache": "off", "explore": False, "stream": stream}
    hello = {"role": "user", "content": "hello"}
    with faulty(tmp_path, dict.fromkeys("ab", calling), able) as made:
        for arm in "ab":
            made.service.post(PATH, {**asked, "model": arm, "messages": [hello]}).get_data()
        for number, arm in enumerate("ab", 1):
            call = {**CALL, "id": f"call_{number}"}
            called = {"role": "assistant", "content": None, "tool_calls": [call]}
            result = {"role": "tool", "tool_call_id": call["id"], "content": "42"}
            body = {**asked, "model": "auto", "messages": [hello, called, result]}
            told = made.service.post(PATH, body)
            assert told.text
            assert told.headers["x-turnpike-arm"] == arm


@pytest.mark.parametrize(("scenario", "seats"), [(cut, 0), (WHOLE, 1)])
def test_only_an_answer_that_came_to_its_end_is_where_a_conversation_sits(
    tmp_path: Path, scenario: Scenario, seats: int
) -> None:
    with faulty(tmp_path, {"a": scenario}) as made:
        made.service.post("/complete", STREAMED).get_data()
        assert len(made.service.parts.router._seats) == seats
