"""`/v1` as a client of OpenAI's meets it: what goes through untouched, and what is ours."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.app.faulty import Faulty, broken, busy, faulty, refusing
from tests.app.running import CATALOGUE, SUM, Provider, Running, running
from tests.app.serving import served
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion, usage_frame
from upstream.catalogue import load

ARMS = load(CATALOGUE).arms
PINNED = "gpt-4o"
PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": SUM}]


def asked(model: str = "auto", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, **more}


def test_the_first_python_of_the_readme_is_answered_as_it_stands(shared: Running) -> None:
    page = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    script = page.partition("```python\n")[2].partition("```")[0]
    with served(shared) as url:
        command = [sys.executable, "-c", script.replace("http://127.0.0.1:8000", url)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    answered, _, text = ended.stdout.partition(" ")
    assert shared.get(f"/decisions/{answered}")["id"] == answered
    assert text.strip()


def frames(response: TestResponse) -> list[Any]:
    *payloads, last = [line.removeprefix("data: ") for line in response.text.split("\n\n")]
    assert last == ""
    return [payload if payload == "[DONE]" else json.loads(payload) for payload in payloads]


def rich(talk: Conversation) -> None:
    """Answer with all that a provider may say beyond a text."""
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(2)
    ]
    message = {"role": "assistant", "content": None, "tool_calls": calls, "reasoning": "hm"}
    logprobs = {"content": [{"token": "é", "logprob": -0.1234567890123, "bytes": [195, 169]}]}
    talk.reply(
        completion(message, finish="tool_calls", id="theirs", created=5, vendor={"x": [1.5]})
        .replace(b'"finish_reason"', b'"logprobs": ' + json.dumps(logprobs).encode()
                 + b', "finish_reason"')
    )  # fmt: skip


def told_in_pieces(talk: Conversation) -> None:
    """Send a stream whose bytes come one by one, in the middle of every character."""
    talk.head("200 OK", "text/event-stream")
    pieces = [
        chunk(delta={"role": "assistant", "content": ""}, id="theirs", usage=None),
        chunk("naïve 日本 🙂 ", id="theirs", usage=None, vendor=1),
        json.dumps({"model": "m", "choices": [{"index": 1, "delta": {"content": "b"}}]}).encode(),
        chunk(finish="stop", id="theirs", usage=None),
        json.dumps({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}).encode(),
        usage_frame(4, 3),
        b"[DONE]",
    ]
    for byte in b"".join(b"data: " + piece + b"\r\n\r\n" for piece in pieces):
        talk.send(bytes([byte]))


def usage_beside_text(talk: Conversation) -> None:
    talk.events(chunk("hello", finish="stop", usage=usage_of(3)), b"[DONE]")


def without_usage(talk: Conversation) -> None:
    talk.events(chunk("hello"), chunk(finish="stop"), b"[DONE]")


def counting_on(talk: Conversation) -> None:
    """Tell in every frame the tokens so far, as some engines do."""
    pieces = [chunk(piece, usage=usage_of(n)) for n, piece in enumerate(("hel", "lo"), 1)]
    talk.events(*pieces, chunk(finish="stop", usage=usage_of(3)), usage_frame(4, 3), b"[DONE]")


def cut_counting(talk: Conversation) -> None:
    talk.events(chunk("Once ", usage=usage_of(1)), chunk("upon", usage=usage_of(2)))


def usage_of(output_tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 4, "completion_tokens": output_tokens}


def goes_on(talk: Conversation) -> None:
    talk.events(chunk(" a time", finish="stop"), usage_frame(9, 4), b"[DONE]")


def cut(talk: Conversation) -> None:
    talk.events(chunk("Once "), chunk("upon"))


def test_what_a_provider_says_comes_back_untouched_under_the_decisions_id(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": rich}) as made:
        response = made.service.post(PATH, asked())
        assert response.status_code == 200, response.text
        answer = dict(response.json)
        assert answer.pop("id") == made.decisions[0].decision.id
        choice = answer["choices"][0]
        assert [call["id"] for call in choice["message"]["tool_calls"]] == ["call_0", "call_1"]
        assert choice["message"]["reasoning"] == "hm"
        assert choice["logprobs"]["content"][0]["logprob"] == -0.1234567890123
        assert (answer["vendor"], answer["created"], answer["model"]) == ({"x": [1.5]}, 5, "m")
        assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}


def test_what_an_answer_lacks_is_filled_in(tmp_path: Path) -> None:
    def lacking(talk: Conversation) -> None:
        talk.reply(completion(model=None, created=None))

    with faulty(tmp_path, {"a": lacking}) as made:
        answer = made.service.post(PATH, asked()).json
        assert (answer["model"], answer["object"]) == ("a", "chat.completion")
        assert answer["created"] == pytest.approx(time.time(), abs=60)


def test_what_a_client_says_goes_to_the_provider_untouched(
    service: Running, provider: Provider
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    theirs = {
        "tools": [tool], "tool_choice": "auto", "parallel_tool_calls": True, "seed": 7, "n": 2,
        "logprobs": True, "top_logprobs": 3, "stop": ["x"], "reasoning_effort": "low", "user": "u",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
        "some_vendors_field": {"deep": [1, None]}, "metadata": {"a": "b"}, "verbosity": "low",
    }  # fmt: skip
    parts = [
        {"type": "text", "text": SUM},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    messages = [
        {"role": "system", "content": "be brief", "name": "s"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
    ]
    ours = {"task": "maths", "explore": False, "session": "s", "cache": "off", "models": [PINNED]}
    response = service.post(PATH, {"model": "auto", "messages": messages, **theirs, **ours})
    assert response.status_code == 200, response.text
    sent = provider.bodies[-1]
    assert sent == {"model": ARMS[PINNED].model, "messages": messages, **theirs}


@pytest.mark.parametrize("number", [2**62, 2**63 - 1, -(2**63), 2**64 - 1])
def test_an_integer_of_64_bits_goes_to_the_provider_to_the_digit(
    service: Running, provider: Provider, number: int
) -> None:
    limited = {"type": "object", "properties": {"x": {"type": "integer", "maximum": number}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": limited}}
    theirs = {"seed": number, "tools": [tool], "cache": "off"}
    response = service.post(PATH, asked(PINNED, **theirs))
    assert response.status_code == 200, response.text
    assert (provider.bodies[-1]["seed"], provider.bodies[-1]["tools"]) == (number, [tool])


def test_the_headers_tell_what_openais_format_has_no_place_for(service: Running) -> None:
    response = service.post(PATH, asked(PINNED))
    headers = response.headers
    found = service.get(f"/decisions/{response.json['id']}")
    assert headers["x-turnpike-decision-id"] == found["id"]
    assert (headers["x-turnpike-arm"], headers["x-turnpike-attempts"]) == (PINNED, "1")
    assert (headers["x-turnpike-cache"], headers["x-turnpike-propensity"]) == ("miss", "1")
    assert headers["x-turnpike-sandbox"] == "true"
    assert float(headers["x-turnpike-cost-usd"]) == pytest.approx(found["outcome"]["cost_usd"])
    assert response.json["model"] == ARMS[PINNED].model
    assert service.rate(response.json["id"])["status"] == "recorded"


@pytest.mark.parametrize("model", [PINNED, ARMS[PINNED].model])
def test_a_name_pins_and_is_never_explored(service: Running, model: str) -> None:
    found = service.get(f"/decisions/{service.post(PATH, asked(model)).json['id']}")
    assert (found["arm"], found["kind"], found["propensity"]) == (PINNED, "pinned", 1.0)


def test_auto_shifts_what_a_better_answer_is_worth(service: Running) -> None:
    paid = {}
    for model in ("auto", "auto:cheap", "auto:best"):
        found = service.get(f"/decisions/{service.post(PATH, asked(model)).json['id']}")
        assert found["kind"] == "routed"
        paid[model] = found["willingness_to_pay_usd"]
    assert paid["auto:cheap"] == pytest.approx(paid["auto"] / 10)
    assert paid["auto:best"] == pytest.approx(paid["auto"] * 10)


def test_an_unknown_model_is_openais_404(service: Running, provider: Provider) -> None:
    calls = len(provider.bodies)
    status, error = service.refused(PATH, asked("gpt-99"))
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert all(arm in error["message"] for arm in ARMS)
    assert len(provider.bodies) == calls


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": MESSAGES}, "model"),
        ({"model": "auto"}, "messages"),
        ({"model": 3, "messages": MESSAGES}, "model"),
        (asked(messages=[]), "messages"),
        (asked(task="no\nlines"), "task"),
        (asked(PINNED, models=["glm-4-plus"]), "models"),
    ],
)
def test_a_mistake_names_its_field(service: Running, body: dict[str, Any], param: str) -> None:
    status, error = service.refused(PATH, body)
    assert (status, error["param"]) == (400, param)


def test_a_stream_is_the_providers_frames_under_the_decisions_id(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": told_in_pieces}) as made:
        response = made.service.post(PATH, asked(stream=True))
        *told, done = frames(response)
        assert done == "[DONE]"
        [only] = made.decisions
        assert {frame["id"] for frame in told} == {only.decision.id}
        assert {frame["object"] for frame in told} == {"chat.completion.chunk"}
        assert all("usage" not in frame for frame in told)
        assert told[1]["choices"][0]["delta"]["content"] == "naïve 日本 🙂 "
        assert (told[1]["vendor"], told[2]["choices"][0]["index"]) == (1, 1)
        assert response.headers["x-turnpike-decision-id"] == only.decision.id
        assert "x-turnpike-cost-usd" not in response.headers
        assert response.headers["x-turnpike-sandbox"] == "false"
        assert only.outcome is not None
        assert (only.outcome.input_tokens, only.outcome.output_tokens) == (4, 3)
        assert made.seen.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "scenario", [told_in_pieces, usage_beside_text, without_usage, counting_on]
)
def test_usage_is_shown_to_who_asks_and_to_nobody_else(tmp_path: Path, scenario: Any) -> None:
    wishes = {"include_usage": True, "include_obfuscation": False}
    with faulty(tmp_path, {"a": scenario}) as made:
        *shown, last, done = frames(
            made.service.post(PATH, asked(stream=True, stream_options=wishes))
        )
        assert made.seen.bodies[0]["stream_options"] == wishes
        *hidden, hidden_done = frames(made.service.post(PATH, asked(stream=True)))
    assert (done, hidden_done) == ("[DONE]", "[DONE]")
    assert (last["choices"], last["usage"]["prompt_tokens"] > 0) == ([], True)
    assert all(frame["choices"] and frame["usage"] is None for frame in shown)
    assert all(frame["choices"] and "usage" not in frame for frame in hidden)


def beginning_with_the_second(talk: Conversation) -> None:
    talk.events(chunk("It ").replace(b'"index": 0', b'"index": 1'))


@pytest.mark.parametrize("breaks", [cut, beginning_with_the_second])
def test_several_choices_that_break_off_are_not_continued(tmp_path: Path, breaks: Scenario) -> None:
    able = {"capabilities": ["trailing_assistant"]}
    cheap = {**able, "output_usd_per_mtok": 0.01, "input_usd_per_mtok": 0.01}
    with faulty(tmp_path, {"a": breaks, "b": goes_on}, {"a": cheap, "b": able}) as made:
        told = frames(made.service.post(PATH, asked(stream=True, explore=False, n=2)))
        assert told[-1]["error"]["code"] == "upstream_bad_response"
        assert made.asked == ["a"]


@pytest.mark.parametrize(("n", "status"), [(8, 200), (9, 400)])
def test_up_to_eight_choices_may_be_asked_for(service: Running, n: int, status: int) -> None:
    assert service.post(PATH, asked(n=n)).status_code == status


@pytest.mark.parametrize("wants_usage", [False, True])
@pytest.mark.parametrize("breaks", [cut, cut_counting])
def test_an_answer_of_two_arms_is_one_stream_with_the_tokens_of_both(
    tmp_path: Path, breaks: Scenario, wants_usage: bool
) -> None:
    able = {"capabilities": ["trailing_assistant"]}
    cheap = {**able, "output_usd_per_mtok": 0.01, "input_usd_per_mtok": 0.01}
    with faulty(tmp_path, {"a": breaks, "b": goes_on}, {"a": cheap, "b": able}) as made:
        body = asked(stream=True, explore=False, stream_options={"include_usage": wants_usage})
        *told, done = frames(made.service.post(PATH, body))
        assert (text_of(told), done) == ("Once upon a time", "[DONE]")
        assert len({frame["id"] for frame in told}) == 1
        outcomes = [each.outcome for each in made.decisions]
        assert len(outcomes) == 2
        if wants_usage:
            last = told.pop()
            both = sum(each.output_tokens for each in outcomes)
            assert (last["choices"], last["usage"]["completion_tokens"]) == ([], both)
        assert all(frame["choices"] and not frame.get("usage") for frame in told)


def test_what_a_frame_without_choices_says_is_said_in_the_next(tmp_path: Path) -> None:
    def filtering(talk: Conversation) -> None:
        first = {"choices": [], "usage": None, "prompt_filter_results": [{"prompt_index": 0}]}
        talk.events(json.dumps(first).encode(), chunk("hi", finish="stop"), b"[DONE]")

    with faulty(tmp_path, {"a": filtering}) as made:
        told = frames(made.service.post(PATH, asked(stream=True)))
        assert told[0]["prompt_filter_results"] == [{"prompt_index": 0}]
        assert told[0]["choices"][0]["delta"]["content"] == "hi"


def test_a_stream_that_is_cut_ends_with_an_error_and_without_done(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": cut}) as made:
        told = frames(made.service.post(PATH, asked("a", stream=True)))
        assert told[-1]["error"]["code"] == "upstream_bad_response"
        assert "[DONE]" not in told
        assert made.decisions[0].outcome.status == "truncated_upstream"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        (busy, 429, "rate_limited"),
        (broken, 502, "upstream_bad_response"),
        (refusing, 400, "invalid_value"),
    ],
    ids=["busy", "broken", "refusing"],
)
def test_a_failure_is_an_error_in_openais_envelope(
    tmp_path: Path, scenario: Any, status: int, code: str, stream: bool
) -> None:
    made: Faulty
    with faulty(tmp_path, {"a": scenario}) as made:
        response = made.service.post(PATH, asked(stream=stream))
        assert (response.status_code, response.mimetype) == (status, "application/json")
        assert response.json["error"].keys() == {"message", "type", "param", "code"}
        assert response.json["error"]["code"] == code


def test_the_models_are_listed_and_described(service: Running) -> None:
    listed = service.get("/v1/models")
    assert [each["id"] for each in listed["data"]] == ["auto", "auto:cheap", "auto:best", *ARMS]
    for model in (PINNED, "auto", ARMS[PINNED].model):
        assert service.get(f"/v1/models/{model}")["id"] == model
    response = service.client.get("/v1/models/gpt-99")
    assert (response.status_code, response.json["error"]["code"]) == (404, "model_not_found")


def test_the_key_is_asked_for_here_too(tmp_path: Path, provider: Provider) -> None:
    key = "k" * 16
    with running(tmp_path, sandbox_url=provider.url, api_key=key) as made:
        assert made.post(PATH, asked()).status_code == 401
        assert made.client.get("/v1/models").status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        assert made.client.post(PATH, json=asked(), headers=headers).status_code == 200


def test_an_answer_given_again_is_a_decision_of_its_own(service: Running) -> None:
    body = asked("glm-4-plus", cache="use", temperature=0)
    first, again = (service.post(PATH, body) for _ in range(2))
    assert [each.headers["x-turnpike-cache"] for each in (first, again)] == ["miss", "hit"]
    assert again.headers["x-turnpike-sandbox"] == "true"
    assert float(again.headers["x-turnpike-cost-usd"]) == 0
    texts = [each.json["choices"][0]["message"]["content"] for each in (first, again)]
    assert texts[0] == texts[1]
    assert again.json["id"] != first.json["id"]


def test_a_stream_given_again_is_a_stream(service: Running) -> None:
    body = asked("glm-4-plus", cache="use", temperature=0, stream=True)
    first, again = (frames(service.post(PATH, body)) for _ in range(2))
    assert text_of(first) == text_of(again) != ""
    assert (first[0]["id"] != again[0]["id"], again[-1]) == (True, "[DONE]")
    repeated = service.post(PATH, body)
    assert (repeated.headers["x-turnpike-cache"], repeated.text[:6]) == ("hit", "data: ")
    assert repeated.headers["x-turnpike-sandbox"] == "true"


def text_of(told: list[Any]) -> str:
    choices = [choice for frame in told if frame != "[DONE]" for choice in frame["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
