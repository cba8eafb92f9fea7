"""What is kept of an answer to be given again: its text and its thoughts, or nothing."""

from pathlib import Path
from typing import Any

import pytest

from tests.app.api.test_v1 import PATH, asked, frames
from tests.app.faulty import Faulty, faulty
from tests.upstream.misbehaving import Conversation, Scenario, chunk, completion

NAMES = ("reasoning_content", "reasoning", "thinking")


def pondering(*pieces: object, name: str = "reasoning_content") -> Scenario:
    """Return a provider that thinks in such pieces before it says hello; in one piece the last."""

    def talk(talk: Conversation) -> None:
        if talk.body.get("stream"):
            thoughts = [chunk(delta={name: piece}) for piece in pieces]
            talk.events(*thoughts, chunk("hello"), chunk(finish="stop"), b"[DONE]")
        else:
            talk.reply(completion({"role": "assistant", "content": "hello", name: pieces[-1]}))

    return talk


def told(made: Faulty, name: str, stream: bool) -> tuple[str, Any, Any]:
    """Return whether it was a hit, the thoughts and the text."""
    response = made.service.post(PATH, asked(cache="use", stream=stream))
    cache = response.headers["x-turnpike-cache"]
    if not stream:
        message = response.json["choices"][0]["message"]
        return cache, message.get(name), message["content"]
    deltas = [frame["choices"][0]["delta"] for frame in frames(response)[:-1]]
    thoughts, text = ("".join(each.get(key) or "" for each in deltas) for key in (name, "content"))
    return cache, thoughts, text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_hit_thinks_as_the_answer_did(tmp_path: Path, name: str, stream: bool) -> None:
    pieces = ("hm", ", well") if stream else ("hm, well",)
    with faulty(tmp_path, {"a": pondering(*pieces, name=name)}) as made:
        assert told(made, name, stream) == ("miss", "hm, well", "hello")
        assert told(made, name, stream) == ("hit", "hm, well", "hello")
        assert told(made, name, not stream) == ("hit", "hm, well", "hello")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize(
    ("name", "thoughts"),
    [
        ("reasoning_details", [{"type": "reasoning.encrypted", "data": "x"}]),
        ("reasoning", {"summary": "hm"}),
        ("content", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hello"}]),
    ],
)
def test_thoughts_in_another_form_than_a_text_are_not_kept_nor_is_their_answer(
    tmp_path: Path, name: str, thoughts: object, stream: bool
) -> None:
    with faulty(tmp_path, {"a": pondering(thoughts, name=name)}) as made:
        body = {"prompt": "hi", "cache": "use", "stream": stream}
        for _ in range(2):
            response = made.service.post("/complete", body)
            assert "hello" in response.text
            assert response.headers["x-turnpike-cache"] == "miss"


def test_what_two_arms_thought_is_not_kept(tmp_path: Path) -> None:
    def breaking(talk: Conversation) -> None:
        talk.events(chunk(delta={"reasoning": "hm"}))

    scenarios = {"a": breaking, "b": pondering("well", name="reasoning")}
    with faulty(tmp_path, scenarios, {"a": {"fallbacks": ["b"]}}) as made:
        for _ in range(2):
            response = made.service.post(PATH, asked("a", cache="use", stream=True))
            assert response.text.endswith("[DONE]\n\n")
            assert response.headers["x-turnpike-cache"] == "miss"
        assert made.asked == ["a", "b", "a", "b"]
