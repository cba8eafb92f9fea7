"""What is read of a request is right for every shape of message, and its tokens are about right."""

import json
from hashlib import sha256
from typing import Any

import pytest

from features.prompt import IMAGE_TOKENS, MESSAGE_TOKENS, Prompt
from tests.features.texts import STRANGE, asked
from upstream.tokens import count, count_messages

ENGLISH = """The parcel arrived on Tuesday, three days later than promised, and the box was open.
Two of the five cups were broken. I would like a replacement, or my money back, before the end of
the month; please tell me which of the two is faster and what you need from me."""
GERMAN = """Das Paket kam am Dienstag an, drei Tage später als versprochen, und der Karton war
offen. Zwei der fünf Tassen waren zerbrochen. Ich hätte gern Ersatz oder mein Geld zurück."""
QUESTION = "What is the capital of Australia, and when was it founded?"
MINUTES = """Minutes of the meeting on 14 March. Present were the chair, the treasurer and four
members. The treasurer reported a surplus of 1,240 dollars. It was agreed to repair the roof first
and to ask two more firms for an offer. The next meeting is on 11 April at seven in the evening."""


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize(
    "text", [ENGLISH, GERMAN, QUESTION, MINUTES], ids=["letter", "German", "question", "minutes"]
)
def test_the_tokens_guessed_are_within_a_quarter_of_those_counted(text: str, times: int) -> None:
    messages = [{"role": "user", "content": " ".join([text] * times)}]
    counted = count_messages(messages)
    assert Prompt.of(messages).input_tokens == pytest.approx(counted, rel=0.25)


def test_the_tokens_of_a_long_conversation_are_guessed_within_a_quarter() -> None:
    messages = [
        {"role": role, "content": text}
        for text in (ENGLISH, MINUTES, QUESTION)
        for role in ("user", "assistant")
    ]
    assert Prompt.of(messages).input_tokens == pytest.approx(count_messages(messages), rel=0.25)


def test_wide_letters_are_more_tokens_each_than_narrow_ones() -> None:
    wide, narrow = asked("请问这份发票" * 50), asked("refund" * 50)
    assert wide.input_tokens == 200 + MESSAGE_TOKENS
    assert narrow.input_tokens == 75 + MESSAGE_TOKENS
    assert count("a" * 700) == 100  # the sandbox has its own rule, and it is not this one


SPEECH: dict[str, Any] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "Which of these"},
        {"type": "image_url", "image_url": {"url": "https://example.org/1.png"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/2.png"}},
        {"type": "text", "text": "is a cat?"},
    ],
}


def test_a_conversation_is_read_as_its_last_question_and_a_few_counts() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "No lists."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        SPEECH,
    ]
    prompt = Prompt.of(messages, "vision/cats", tools)
    assert prompt.text == "Which of these\nis a cat?"
    assert (prompt.turns, prompt.tools, prompt.images) == (5, 1, 2)
    assert prompt.system_chars == len("Be brief.No lists.")
    assert prompt.words == 6
    assert prompt.task == "vision/cats"
    plain = sum(map(len, ("Be brief.", "No lists.", "Hello", "Yes?", prompt.text)))
    chars = plain + len('{"type": "function", "function": {"name": "look"}}')
    assert prompt.input_tokens == round(chars / 4) + 5 * MESSAGE_TOKENS + 2 * IMAGE_TOKENS


def test_what_an_answer_or_a_tool_said_last_is_not_the_question() -> None:
    said: list[dict[str, Any]] = [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "17 degrees", "tool_call_id": "1"},
    ]
    assert Prompt.of(said).text == "What is the weather?"


def test_without_any_question_the_last_message_is_read() -> None:
    said = [{"role": "system", "content": text} for text in ("Be brief.", "Write a haiku.")]
    assert Prompt.of(said).text == "Write a haiku."
    assert Prompt.of([]).text == ""


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": 7},
        {"role": "user", "content": {"text": "not a list"}},
        {"role": "user", "content": ["bare", None, 3, {"type": "text"}, {"text": 5}]},
        {"role": 5, "content": ""},
    ],
)
def test_a_message_without_text_reads_as_none_and_is_still_a_turn(message: dict[str, Any]) -> None:
    prompt = Prompt.of([message])
    assert (prompt.text, prompt.text_tokens, prompt.images, prompt.turns) == ("", 0, 0, 1)
    assert prompt.input_tokens == MESSAGE_TOKENS


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_any_text_has_a_digest_and_a_number_of_tokens(text: str) -> None:
    prompt = asked(text)
    assert prompt.digest == sha256(text.encode("utf-8", "replace")).hexdigest()
    assert MESSAGE_TOKENS <= prompt.input_tokens <= len(text) + MESSAGE_TOKENS
    assert prompt.words == len(text.split())


def test_half_of_a_pair_is_replaced_and_nothing_else_is() -> None:
    assert asked("a\ud83db").text == "a?b"
    assert asked("a\x00😀é b").text == "a\x00😀é b"


def test_calls_of_tools_and_a_schema_are_input_and_no_text() -> None:
    call = {
        "id": "c",
        "function": {"name": "write", "arguments": json.dumps({"text": "x" * 4_000})},
    }
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    formerly = {"role": "assistant", "content": None, "function_call": call["function"]}
    schema = {"type": "json_schema", "json_schema": {"name": "y" * 4_000}}
    hi = {"role": "user", "content": "hi"}
    plain, *more = (Prompt.of([hi, message]) for message in ({}, called, formerly))
    for prompt in (*more, Prompt.of([hi], beside=[schema])):
        assert prompt.text == "hi"
        assert prompt.input_tokens > plain.input_tokens + 1_000


@pytest.mark.parametrize("said", ["Договор заключён. ", "合同双方就货物。", "été "])
def test_what_is_beside_the_messages_counts_like_one_in_every_script(said: str) -> None:
    text = said * 1_000
    message = Prompt.of([{"role": "user", "content": text}]).input_tokens
    hi = [{"role": "user", "content": "hi"}]
    tool = {"type": "function", "function": {"name": "f", "description": text}}
    for prompt in (Prompt.of(hi, beside=[text]), Prompt.of(hi, tools=[tool])):
        assert prompt.input_tokens == pytest.approx(message, abs=30)


def test_thoughts_refusals_and_names_are_input_and_pictures_and_sounds_are_not() -> None:
    long, plain = "x" * 4_000, Prompt.of([{"role": "assistant", "content": "hi"}])

    def tokens(content: object = "hi", **more: object) -> int:
        message = {"role": "assistant", "content": content, **more}
        return Prompt.of([message]).input_tokens - plain.input_tokens

    hi = {"type": "text", "text": "hi"}
    assert tokens(reasoning_content=long) == tokens(refusal=long) == tokens(name=long) == 1_000
    assert tokens([hi, {"type": "refusal", "refusal": long}]) == 1_000
    assert tokens([{**hi, "thinking": [{"type": "text", "text": long}]}]) == 1_000
    assert tokens(tool_call_id=long, audio={"id": long}) == 0
    assert tokens([hi, {"type": "image_url", "image_url": {"url": long}}]) == IMAGE_TOKENS
    assert tokens([hi, {"type": "file", "file": {"file_data": long}}]) == 0
    assert tokens([hi, {"type": "video", "video": {"url": long, "data": long}}]) == 0
