"""What a checked request asks of an arm."""

from typing import Any

import pytest

from app.routing.ask import Ask

USER = {"role": "user", "content": "hi"}


def asking(*messages: dict[str, Any], **parameters: Any) -> Ask:
    return Ask(messages=list(messages or (USER,)), parameters=parameters)


def test_a_plain_prompt_needs_nothing() -> None:
    assert asking().needs == frozenset()
    plain: dict[str, Any] = {"response_format": {"type": "text"}, "modalities": ["text"]}
    assert asking(**plain, tools=None).needs == frozenset()
    assert asking(modalities=5).needs == frozenset()


@pytest.mark.parametrize(
    ("ask", "need"),
    [
        (asking(tools=[{"type": "function"}]), "tools"),
        (asking(functions=[{"name": "f"}]), "tools"),
        (asking(response_format={"type": "json_schema", "json_schema": {}}), "json_schema"),
        (asking({"role": "user", "content": [{"type": "image_url"}]}), "vision"),
        (asking({"role": "user", "content": [{"type": "input_audio"}]}), "audio"),
        (asking(modalities=["text", "audio"], audio={"voice": "ash"}), "audio"),
        (asking({"role": "user", "content": [{"type": "file"}]}), "file"),
    ],
)
def test_what_is_used_is_needed(ask: Ask, need: str) -> None:
    assert ask.needs == {need}


def test_an_image_anywhere_in_the_conversation_needs_vision() -> None:
    picture = {"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url"}]}
    assert asking(picture, {"role": "assistant", "content": "a cat"}, USER).needs == {"vision"}


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 2_000, "max_completion_tokens": 1}, 2_000),
        ({"max_tokens": None}, None),
    ],
)
def test_the_larger_of_two_limits_counts_because_both_are_sent(
    parameters: dict[str, Any], limit: int | None
) -> None:
    assert asking(**parameters).max_output_tokens == limit


def test_after_a_tool_has_answered_the_arm_is_in_a_loop() -> None:
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    for role in ("tool", "function"):
        assert asking(USER, called, {"role": role, "content": "4"}).in_tool_loop
    assert not asking(USER).in_tool_loop


def test_the_provider_is_sent_the_messages_and_every_parameter() -> None:
    ask = asking(USER, temperature=0.5, top_k=3)
    assert ask.body == {"messages": [USER], "temperature": 0.5, "top_k": 3}


def test_beside_the_messages_a_model_reads_what_is_not_known_to_be_unread() -> None:
    schema = {"type": "json_object"}
    read = {"response_format": schema, "documents": ["a"], "system": "b"}
    unread = {"temperature": 1.0, "n": 2, "user": "ann", "metadata": {"a": "b"}, "stop": ["c"]}
    assert asking(**read, **unread, tools=[{"type": "function"}]).beside == [schema, ["a"], "b"]


@pytest.mark.parametrize(
    ("parameters", "is_free"),
    [
        ({}, True),
        ({"response_format": {"type": "text"}}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"n": 2}, False),
        ({"n": 2, "response_format": {"type": "json_object"}}, False),
    ],
)
def test_another_arm_can_go_on_where_one_text_in_no_format_is_asked_for(
    parameters: dict[str, Any], is_free: bool
) -> None:
    assert asking(**parameters).is_free_text == is_free
