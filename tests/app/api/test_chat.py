"""Frames of `/v1/chat/completions`: nothing that a provider says beside its text is lost."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.app.api.test_v1 import PATH, asked, frames, text_of
from tests.app.faulty import faulty
from tests.upstream.misbehaving import Conversation, chunk, usage_frame

SOURCES = ["https://a.example"]


def naming_sources_last(talk: Conversation) -> None:
    last = {**json.loads(usage_frame(4, 3)), "citations": SOURCES, "object": "theirs"}
    talk.events(chunk("hel"), chunk("lo"), chunk(finish="stop"), json.dumps(last).encode())


@pytest.mark.parametrize("wants_usage", [False, True], ids=["plain", "with usage"])
def test_what_is_said_after_the_end_is_said_in_the_last_frame(
    tmp_path: Path, wants_usage: bool
) -> None:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if wants_usage else {}
    with faulty(tmp_path, {"a": naming_sources_last}) as made:
        *told, last, done = frames(made.service.post(PATH, asked(stream=True, **more)))
        assert (last["citations"], done) == (SOURCES, "[DONE]")
        assert all("citations" not in frame for frame in told)
        assert text_of([*told, last]) == "hello"
        ending = told[-1] if wants_usage else last
        assert (ending["choices"][0]["finish_reason"], ending["id"]) == ("stop", last["id"])
        assert ending["object"] == "chat.completion.chunk"
        assert bool(last.get("usage")) == wants_usage


def test_every_choice_ends_once_and_in_its_order(tmp_path: Path) -> None:
    def ending(index: int) -> bytes:
        choice = {"index": index, "delta": {"content": "x"}, "finish_reason": "stop"}
        return json.dumps({"choices": [choice]}).encode()

    def two(talk: Conversation) -> None:
        talk.events(ending(1), chunk("y"), ending(0), usage_frame(), b"[DONE]")

    with faulty(tmp_path, {"a": two}) as made:
        *told, _ = frames(made.service.post(PATH, asked(stream=True, n=2)))
        choices = [choice for frame in told for choice in frame["choices"]]
        assert [(each["index"], each["finish_reason"]) for each in choices] == [
            (1, "stop"), (0, None), (0, "stop"),
        ]  # fmt: skip


@pytest.mark.parametrize("ends", [b"[DONE]", json.dumps({"choices": [], "model": ""}).encode()])
def test_the_frame_of_the_tokens_says_the_same_as_those_before(tmp_path: Path, ends: bytes) -> None:
    head = {"created": 17, "model": "m-2026", "system_fingerprint": "fp", "service_tier": "default"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}

    def dated(talk: Conversation) -> None:
        talk.events(chunk("hi", **head), chunk(finish="stop", **head, usage=usage), ends)

    with faulty(tmp_path, {"a": dated}) as made:
        body = asked(stream=True, stream_options={"include_usage": True})
        *told, _ = frames(made.service.post(PATH, body))
        assert [len(frame["choices"]) for frame in told] == [1, 1, 0]
        assert [{name: frame[name] for name in head} for frame in told] == [head] * 3


def test_what_a_frame_lacks_is_filled_in(tmp_path: Path) -> None:
    nothing = {"object": "", "created": None, "model": None}

    def lacking(talk: Conversation) -> None:
        ending = {**json.loads(usage_frame()), **nothing}
        talk.events(
            chunk("hi", **nothing), chunk(finish="stop", **nothing), json.dumps(ending).encode()
        )

    with faulty(tmp_path, {"a": lacking}) as made:
        body = asked(stream=True, stream_options={"include_usage": True})
        *told, _ = frames(made.service.post(PATH, body))
        assert [len(frame["choices"]) for frame in told] == [1, 1, 0]
        assert {(frame["object"], frame["model"]) for frame in told} == {
            ("chat.completion.chunk", "a")
        }
        assert all(frame["created"] == pytest.approx(time.time(), abs=60) for frame in told)
