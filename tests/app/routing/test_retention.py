"""What is kept of what was said: in each mode what the operator chose, and no word beyond it."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.retention import CUT, MOST_CHARS, Prompts, Retention
from features.prompt import Prompt
from features.sketch import Sketch
from policy.errors import ConfigError
from storage.records import Round
from tests.app.faulty import Faulty, faulty, good, silent
from tests.app.processes.test_journal import lines as lines
from tests.app.routing.test_answering import events
from tests.app.running import Running, running
from tests.upstream.misbehaving import Conversation, chunk, completion, usage_frame

CANARY = "zanzibar-canary-7421"
ASKED = f"Please tell {CANARY} at ann@example.org the capital of France"
HEARD = f"ANN said {CANARY.upper()} before"
CONVERSATION = [
    {"role": "system", "content": f"You serve {CANARY}."},
    {"role": "user", "content": HEARD},
    {"role": "assistant", "content": f"Noted, {CANARY}."},
    {"role": "user", "content": [{"type": "text", "text": ASKED}]},
]


def said(body: dict[str, Any]) -> str:
    return json.dumps(body["messages"])


def echoing(status: str) -> Any:
    """Return a provider that repeats all it was told in an error."""

    def scenario(talk: Conversation) -> None:
        error = {"error": {"message": f"we cannot do {said(talk.body)} here"}}
        talk.reply(json.dumps(error).encode(), status)

    return scenario


def echoing_page(talk: Conversation) -> None:
    talk.reply(f"<html>{said(talk.body)}</html>".encode(), "502 Bad Gateway", "text/html")


def echoing_late(talk: Conversation) -> None:
    frame = {"error": {"message": f"out of memory at {said(talk.body)}"}}
    talk.events(chunk("Par"), json.dumps(frame).encode())


def greeting(talk: Conversation) -> None:
    if talk.body.get("stream"):
        talk.events(chunk("Bon"), chunk("jour", "stop"), usage_frame(), b"[DONE]")
    else:
        good(talk)


SCENARIOS = {
    "good": greeting,
    "wrong": echoing("400 Bad Request"),
    "refused": echoing("401 Unauthorized"),
    "busy": echoing("429 Too Many Requests"),
    "down": echoing("500 Internal Server Error"),
    "page": echoing_page,
    "late": echoing_late,
    "silent": silent,
}

SHORT = f"say {CANARY}"  # short enough to be shown whole
WRONG: list[Any] = [
    {"prompt": [SHORT]},
    {"prompt": SHORT, "messages": CONVERSATION},
    {"messages": [{"role": "user", "content": {"text": SHORT}}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": [SHORT]}]}]},
    {"messages": SHORT},
    {"prompt": SHORT, "models": ["nobody"]},
    {"prompt": SHORT, "max_cost_usd": 1e-12},
    {"prompt": SHORT, "temperature": -1},
]


def everything_asked(service: Running) -> Iterator[str]:
    """Ask in every way there is, and yield the bodies of all that went wrong."""
    for arm in (*SCENARIOS, None):
        for stream in (False, True):
            body = {"messages": CONVERSATION, "models": arm and [arm], "stream": stream}
            for path in ("/complete", "/v1/chat/completions"):
                given = {**body, "cache": "use"}
                if path.startswith("/v1"):
                    given = {"model": arm or "auto", "messages": CONVERSATION, "stream": stream}
                response = service.post(path, given)
                yield response.text if response.status_code >= 400 or stream else ""
    for body in WRONG:
        for path in ("/complete", "/route", "/v1/chat/completions"):
            yield service.post(path, {"model": "auto", **body} if "v1" in path else body).text
    yield service.client.post("/complete", data=SHORT).text
    broken = {"content-type": "application/json"}
    yield service.client.post("/complete", data=f'{{"prompt": "{SHORT}', headers=broken).text


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def assert_untold(where: str, text: str) -> None:
    assert CANARY not in text.lower(), where


@pytest.mark.parametrize("prompts", ["off", "hash"])
def test_no_word_of_a_prompt_is_anywhere(tmp_path: Path, lines: Any, prompts: str) -> None:
    with faulty(tmp_path, SCENARIOS, prompts=prompts) as made:
        service = made.service
        for told in everything_asked(service):
            assert_untold("an error", told)
        for round_ in made.decisions:
            assert_untold("a decision", json.dumps(service.get(f"/decisions/{round_.decision.id}")))
        for path in ("/policy", "/metrics", "/healthz"):
            assert_untold(path, service.client.get(path).text)
        assert len(made.decisions) > 30
        found = dict(files(tmp_path))
        assert {"turnpike.db", "turnpike.db-wal", "turnpike.db-spool"} <= found.keys()
        assert b"ann@example" not in b"".join(found.values())
        for name, content in found.items():
            assert_untold(name, content.decode("latin-1"))
    for name, content in files(tmp_path):  # what the end of the service has written too
        assert_untold(name, content.decode("latin-1"))
    for line in lines():
        assert_untold("a line", line)


def test_a_prompt_that_comes_back_as_the_name_of_the_model_is_not_kept(tmp_path: Path) -> None:
    def echoing_as_its_name(talk: Conversation) -> None:
        if talk.body.get("stream"):
            talk.events(chunk("Bon", "stop", model=ASKED), usage_frame(), b"[DONE]")
        else:
            talk.reply(completion(model=ASKED))

    with faulty(tmp_path, {"a": echoing_as_its_name}) as made:
        for stream in (False, True):
            made.service.post("/complete", {"prompt": ASKED, "stream": stream})
        assert [each.outcome and each.outcome.model for each in made.decisions] == ["a", "a"]
        for name, content in files(tmp_path):
            assert_untold(name, content.decode("latin-1"))


def kept(made: Faulty) -> dict[str, Any]:
    [round_] = made.decisions
    told = made.service.get(f"/decisions/{round_.decision.id}")
    return {"prompt": told["prompt"], "answer": told["answer"]}


def test_in_full_the_last_question_and_its_answer_are_shown(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        made.service.ask(prompt=ASKED)
        assert kept(made) == {
            "prompt": {"text": ASKED, "form": "full"},
            "answer": {"text": "hello", "form": "full"},
        }
        page = made.service.client.get(f"/decision/{made.decisions[0].decision.id}")
        assert CANARY in page.text or page.status_code == 404


def test_redacted_they_are_shown_without_what_tells_who_it_is(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="redacted") as made:
        made.service.ask(messages=CONVERSATION, prompt=None)
        assert kept(made)["prompt"] == {
            "text": f"Please tell {CANARY} at [e-mail] the capital of France",
            "form": "redacted",
        }
        assert HEARD not in json.dumps(kept(made))
    assert b"ann@example.org" not in b"".join(content for _, content in files(tmp_path))


def test_an_answer_that_two_arms_wrote_is_kept_with_each_its_part(tmp_path: Path) -> None:
    def breaking(talk: Conversation) -> None:
        talk.events(chunk("The capital "))

    arms = {name: {"capabilities": ["trailing_assistant"]} for name in ("a", "b")}
    with faulty(tmp_path, {"a": breaking, "b": greeting}, arms, prompts="full") as made:
        body = {"prompt": ASKED, "models": ["a"], "fallbacks": ["b"], "stream": True}
        told = events(made.service.post("/complete", body))
        assert told[-1] == "[DONE]"
        answers = [
            made.service.get(f"/decisions/{each.decision.id}")["answer"]["text"]
            for each in made.decisions
        ]
        assert answers == ["The capital ", "Bonjour"]


def test_a_stored_answer_is_kept_with_the_question_it_was_given_to(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        for _ in range(2):
            made.service.ask(prompt=ASKED, cache="use")
        first, again = made.decisions
        assert again.decision.answer_of == first.decision.id
        shown = made.service.get(f"/decisions/{again.decision.id}")
        assert (shown["prompt"]["text"], shown["answer"]["text"]) == (ASKED, "hello")


def test_off_is_nothing_to_check_a_guess_against(tmp_path: Path) -> None:
    """Two questions of the same length and form leave the same, but for what they cost."""
    texts = ("Tell me of cats", "Name us to dogs")

    def row(round_: Round) -> dict[str, Any]:
        decision = round_.decision
        return {"sketch": decision.sketch, "context": decision.context.tolist(),
                "hash": decision.prompt_sha256}  # fmt: skip

    with faulty(tmp_path, {"a": greeting}, prompts="off") as made:
        for text in texts:
            made.service.ask(prompt=text)
        first, second = map(row, made.decisions)
        assert first == second
        assert first["hash"] == ""
        assert made.service.get(f"/decisions/{made.decisions[0].decision.id}")["prompt"] is None
    with faulty(
        tmp_path / "..", {"a": greeting}, prompts="hash", database=tmp_path / "b.db"
    ) as made:
        for text in texts:
            made.service.ask(prompt=text)
        first, second = map(row, made.decisions)
        assert first["hash"] != second["hash"]
        assert first["sketch"] != second["sketch"]


def test_where_nothing_is_kept_no_answer_is_stored(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="off") as made:
        for _ in range(2):
            assert made.service.ask(prompt="hi", cache="use")["cache"] == "miss"
        assert list(tmp_path.rglob("cache.db*")) == []
    dials = {"prompts": "off", "cache": "exact", "sandbox_url": "http://127.0.0.1:9/v1"}
    says = "TURNPIKE_CACHE is exact while TURNPIKE_PROMPTS is off"
    with pytest.raises(ConfigError, match=says), running(tmp_path, **dials):
        pass


def test_words_are_durable_before_the_last_byte(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        made.service.ask(prompt=ASKED)
        with sqlite3.connect(f"file:{tmp_path / 'turnpike.db'}?mode=ro", uri=True) as log:
            parts = log.execute("SELECT part, text FROM transcripts ORDER BY part").fetchall()
        log.close()
        assert parts == [("answer", "hello"), ("prompt", ASKED)]


@pytest.mark.parametrize("prompts", ["redacted", "full"])
def test_a_long_text_is_cut_between_two_words(prompts: Prompts) -> None:
    long = "word " * (MOST_CHARS // 5) + "secret@example.org"
    found = Retention(prompts).transcript("d", "prompt", 0.0, long)
    assert found is not None
    assert found.text.endswith(f"word{CUT}")
    assert len(found.text) <= MOST_CHARS + len(CUT)


def test_a_long_text_without_a_space_is_cut_all_the_same() -> None:
    found = Retention("full").transcript("d", "prompt", 0.0, "x" * (MOST_CHARS + 1))
    assert found is not None
    assert found.text == "x" * MOST_CHARS + CUT


@given(st.sampled_from(["off", "hash", "redacted", "full"]), st.text(max_size=40))
def test_each_mode_keeps_what_the_one_before_it_does_and_more(mode: Any, text: str) -> None:
    retention = Retention(mode)
    prompt = Prompt.of([{"role": "user", "content": text}], task="a/b")
    sketch = retention.sketch(prompt)
    assert sketch.facts.tolist() == Sketch.of(prompt).facts.tolist()
    assert sketch.tags == ("a", "a/b")
    assert (len(sketch.buckets) > 0) == (mode != "off" and len(Sketch.of(prompt).buckets) > 0)
    assert (retention.digest(prompt) != "") == (mode != "off")
    found = retention.transcript("d", "prompt", 0.0, text)
    assert (found is not None) == (mode in {"redacted", "full"} and text.strip() != "")
