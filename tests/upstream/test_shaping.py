"""The sandbox does what a request asks beside its question, as OpenAI's own client sees it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from upstream.catalogue import load
from upstream.sandbox import sandbox_responder, serve_sandbox
from upstream.tasks import is_right, recovered
from upstream.tokens import count

CATALOGUE = load(Path(__file__).parents[2] / "data" / "arms.toml")
SUM = "What is 17 * 23?"
MESSAGES: Any = [{"role": "user", "content": SUM}]
MODEL = "openai/gpt-4o"
LONG = "deepseek-ai/DeepSeek-V4-Pro"
TOOLS: Any = [
    {"type": "custom", "custom": {"name": "free"}},
    {"type": "function", "function": {"name": "now"}},
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
                "required": ["city", "unit"],
            },
        },
    },
]
WEATHER = {"type": "function", "function": {"name": "weather"}}


class Trip(BaseModel):
    city: str
    days: int


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with (
        serve_sandbox(lambda: CATALOGUE, latency_s=0) as sandbox,
        openai.OpenAI(base_url=sandbox.url, api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(params=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, client: openai.OpenAI) -> Any:
    def whole(model: str = MODEL, **more: Any) -> ChatCompletion:
        return client.chat.completions.create(model=model, messages=MESSAGES, **more)

    def streamed(model: str = MODEL, **more: Any) -> ChatCompletion:
        more["stream_options"] = {"include_usage": True}
        with client.chat.completions.stream(model=model, messages=MESSAGES, **more) as stream:
            return stream.get_final_completion()

    return whole if request.param == "whole" else streamed


def said(answer: ChatCompletion) -> list[str]:
    return [choice.message.content or "" for choice in answer.choices]


@pytest.fixture(scope="module")
def text() -> str:
    """Return what the model says when nothing is asked beside the question."""
    return sandbox_responder()(LONG, {"messages": MESSAGES}).text


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_as_long_as_it_may_be(client: openai.OpenAI, limit: str, text: str) -> None:
    for most in (1, 5, count(text) - 1, count(text), count(text) + 1):
        more: Any = {limit: most}
        answer = client.chat.completions.create(model=LONG, messages=MESSAGES, **more)
        is_cut = most < count(text)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == min(most, count(text)) == count(said(answer)[0])
        assert text.startswith(said(answer)[0])
        assert answer.choices[0].finish_reason == ("length" if is_cut else "stop")
        assert (said(answer) == [text]) is not is_cut


def test_a_stream_ends_where_it_may_be_no_longer(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=LONG,
        messages=MESSAGES,
        max_tokens=1,
        max_completion_tokens=2,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        *chunks, last = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (count(text), chunks[-1].choices[0].finish_reason) == (2, "length")
    assert last.usage is not None
    assert last.usage.completion_tokens == 2


@pytest.mark.parametrize(
    ("stop", "end"),
    [
        ("Answer", "\nAnswer"),
        (["nowhere", "\n", "Answer"], "\n"),
        (["nowhere"], None),
        ([""], None),
    ],
)
def test_an_answer_ends_before_a_stop(ask: Any, stop: Any, end: str | None, text: str) -> None:
    answer = ask(LONG, stop=stop)
    [told] = said(answer)
    assert told.rstrip("\n") == text.partition(end)[0] if end else told == text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == count(told)


def test_each_of_several_answers_is_drawn_anew_and_counted(ask: Any) -> None:
    one, eight = ask(), ask(n=8)
    assert [choice.index for choice in eight.choices] == [*range(8)]
    assert said(eight)[0] == said(one)[0]
    assert len(set(said(eight))) > 1
    task = recovered(SUM)
    assert task is not None
    assert sum(is_right(task, told) for told in said(eight)) >= 4
    assert eight.usage.completion_tokens == sum(map(count, said(eight)))
    assert eight.usage.prompt_tokens == one.usage.prompt_tokens
    assert said(ask(n=8)) == said(eight)


def test_json_that_is_asked_for_has_the_answer_in_it(ask: Any) -> None:
    [plain], [told] = said(ask()), said(ask(response_format={"type": "json_object"}))
    assert json.loads(told) == {"answer": plain}


def test_openais_client_parses_the_object_whose_schema_it_sent(client: openai.OpenAI) -> None:
    parsed = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Trip)
    assert parsed.choices[0].message.parsed == Trip(city="sandbox", days=0)
    with client.chat.completions.stream(
        model=MODEL, messages=MESSAGES, response_format=Trip, n=2
    ) as stream:
        choices = stream.get_final_completion().choices
    assert [each.message.parsed for each in choices] == [Trip(city="sandbox", days=0)] * 2
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model=MODEL, messages=MESSAGES, response_format=Trip, max_tokens=3
        )


@pytest.mark.parametrize(
    ("choice", "name", "arguments"),
    [("required", "now", {}), (WEATHER, "weather", {"city": "sandbox", "unit": "C"})],
)
def test_a_tool_that_must_be_called_is_called(
    ask: Any, choice: Any, name: str, arguments: Any
) -> None:
    answers = [ask(tools=TOOLS, tool_choice=choice, stop=["s"]) for _ in range(2)]
    calls = []
    for answer in answers:
        [told] = answer.choices
        [call] = told.message.tool_calls
        assert (told.message.content, told.finish_reason) == (None, "tool_calls")
        assert (call.type, call.function.name) == ("function", name)
        assert json.loads(call.function.arguments) == arguments
        assert answer.usage.completion_tokens == count(call.function.arguments)
        calls.append(call)
    assert calls[0].id != calls[1].id


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_a_tool_that_need_not_be_called_is_not(ask: Any, choice: str) -> None:
    assert said(ask(tools=TOOLS, tool_choice=choice)) == said(ask())


def test_arguments_are_cut_like_a_text(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice=WEATHER, max_tokens=2
    )
    assert answer.choices[0].finish_reason == "length"
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == '{"'


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"max_tokens": 0}, "max_tokens is 0; it must be a whole number from 1 to 1000000"),
        ({"n": 10**9}, "n is 1000000000; it must be a whole number from 1 to 128"),
        ({"n": True}, "n is True"),
        ({"tool_choice": "required"}, "tools has no such function"),
        ({"tools": [5, {"function": 5}], "tool_choice": {"function": {"name": []}}}, "no such"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}},
            "'#' in the schema",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(client: openai.OpenAI, asked: Any, says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_body=asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"response_format": {"type": "text"}, "tools": {}, "tool_choice": {"type": "custom"}},
        {"response_format": "json", "stop": 5, "n": None, "max_tokens": None},
    ],
)
def test_what_asks_for_nothing_changes_nothing(client: openai.OpenAI, asked: Any) -> None:
    ask = client.chat.completions.create
    plain = ask(model=MODEL, messages=MESSAGES)
    assert said(ask(model=MODEL, messages=MESSAGES, extra_body=asked)) == said(plain)
