"""The lines of our processes: JSON with the request's id, and never a key or a word of a prompt."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog import get_logger

from app.processes.journal import Unhurried, write_lines
from app.processes.worker import Lines
from tests.app.faulty import faulty
from tests.upstream.misbehaving import Conversation, chunk

PROMPT = "the canary sings in the coal mine at dawn"
OUR_KEY = "0123456789abcdef-our-own-key"
THEIR_KEY = "provider-key-without-any-known-shape"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Yield a function that gives the lines written since the last time."""
    before = structlog.get_config()
    write_lines("debug", {"TURNPIKE_API_KEY": OUR_KEY, "PROVIDER_API_KEY": THEIR_KEY})
    # Standard error is another stream in every part of every test.
    structlog.configure(
        cache_logger_on_first_use=False, logger_factory=lambda *_: structlog.PrintLogger(sys.stderr)
    )
    yield lambda: capsys.readouterr().err.splitlines()
    structlog.configure(**before)


def echoing_500(talk: Conversation) -> None:
    said = json.dumps({"error": {"message": f"cannot do {PROMPT} for {THEIR_KEY}"}})
    talk.reply(said.encode(), "500 Internal Server Error")


def echoing_page(talk: Conversation) -> None:
    talk.reply(f"<html>{PROMPT} {THEIR_KEY}</html>".encode())


def echoing_401(talk: Conversation) -> None:
    said = json.dumps({"error": {"message": f"no such key {THEIR_KEY}: {PROMPT}"}})
    talk.reply(said.encode(), "401 Unauthorized")


def test_no_line_holds_a_key_or_a_word_of_a_prompt(tmp_path: Path, lines: Any) -> None:
    scenarios = {"a": echoing_500, "b": echoing_page, "c": echoing_401}
    with faulty(tmp_path, scenarios, api_key=OUR_KEY) as made:
        client = made.service.client
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {OUR_KEY}"
        for n in range(6):
            arms = [["a"], ["b"], ["c"], None][n % 4]
            body = {"prompt": f"{PROMPT} {n}", "models": arms, "stream": n % 2 == 1}
            assert client.post("/complete", json=body).status_code >= 500
        client.post("/complete", data=PROMPT, headers={"content-type": "application/json"})
        client.get(f"/decisions/{OUR_KEY}")
        client.post("/complete", json={"prompt": 5, "task": PROMPT * 9})
    written = lines()
    told = [json.loads(line) for line in written]
    assert {"request failed", "an arm is left alone"} <= {line["event"] for line in told}
    for line in written:
        for canary in ("canary", "coal mine", OUR_KEY, THEIR_KEY):
            assert canary not in line


def test_a_line_of_a_request_has_its_id(tmp_path: Path, lines: Any) -> None:
    with faulty(tmp_path, {"a": echoing_500}) as made:
        headers = {"x-request-id": "mine-1"}
        made.service.client.post("/complete", json={"prompt": "hi"}, headers=headers)
    failed = [line for line in map(json.loads, lines()) if line["event"] == "request failed"]
    assert [line["request_id"] for line in failed] == ["mine-1"]
    assert failed[0]["arm"] == "a"
    assert failed[0]["http_status"] == 500


@pytest.mark.parametrize("path", ["/complete", "/v1/chat/completions"])
def test_a_stream_that_breaks_off_is_told_in_one_line(
    tmp_path: Path, lines: Any, path: str
) -> None:
    def cut(talk: Conversation) -> None:
        talk.events(chunk(PROMPT))

    with faulty(tmp_path, {"a": cut}) as made:
        body = {"model": "a", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
        response = made.service.client.post(path, json=body, headers={"x-request-id": "mine-1"})
        assert "[DONE]" not in response.text
        [decision] = [each.decision.id for each in made.decisions]
    written = lines()
    [line] = [line for line in map(json.loads, written) if line["event"] == "answer broke off"]
    assert (line["request_id"], line["decision_id"], line["arm"]) == ("mine-1", decision, "a")
    assert (line["code"], line["http_status"]) == ("upstream_bad_response", None)
    assert not any("canary" in line for line in written)


def test_an_error_that_may_quote_is_told_by_kind_and_place(lines: Any) -> None:
    def parse() -> None:
        raise ValueError(f"no number: {PROMPT}")

    try:
        parse()
    except ValueError as cause:
        error = KeyError(PROMPT)
        error.__cause__ = cause
        get_logger().error("a defect of ours", exc_info=error)
    [line] = lines()
    exception = json.loads(line)["exception"]
    assert "builtins.ValueError" in exception
    assert "builtins.KeyError" in exception
    assert "in parse" in exception
    assert "canary" not in exception


def test_an_exception_that_the_server_tells_of_is_told_by_kind_and_place(lines: Any) -> None:
    try:
        float(PROMPT)
    except ValueError:
        now = sys.exc_info()
    said = ("gunicorn.error", logging.ERROR, __file__, 1, "Error handling request %s", ("/x",), now)
    Lines().emit(logging.LogRecord(*said))
    [line] = map(json.loads, lines())
    assert (line["event"], line["level"]) == ("Error handling request /x", "error")
    assert "builtins.ValueError" in line["exception"]
    assert "canary" not in str(line)


def test_an_error_of_the_disk_says_what_it_is(lines: Any) -> None:
    try:
        Path("/nowhere/at/all").read_text()
    except OSError:
        get_logger().exception("chores not done")
    [line] = lines()
    assert "No such file or directory: '/nowhere/at/all'" in json.loads(line)["exception"]


def test_a_line_cannot_be_broken_or_forged(lines: Any) -> None:
    get_logger().warning("odd", arm='a"}\n{"event": "forged', n=3, found=None)
    [line] = lines()
    assert json.loads(line)["event"] == "odd"
    assert json.loads(line)["n"] == 3
    assert json.loads(line)["found"] is None


def test_what_looks_like_a_key_is_taken_out(lines: Any) -> None:
    get_logger().warning("odd", reason="Bearer abc.def and sk-0123456789 and api_key=12345")
    assert not {"abc.def", "sk-0123456789", "12345"} & set(lines()[0].split())


@pytest.mark.parametrize("size", [20, 3_000, 10_000])
def test_who_stops_to_read_the_lines_holds_up_nobody_and_is_told_what_it_lost(size: int) -> None:
    reader, writer = os.pipe()
    with open(reader, encoding="ascii") as read, open(writer, "w", encoding="ascii") as file:
        logger = structlog.PrintLogger(Unhurried(file))  # type: ignore[arg-type]

        def write(names: range) -> None:
            for n in names:
                logger.msg(json.dumps({"event": "x" * size, "n": n}))

        writing = threading.Thread(target=write, args=(range(5_000),), daemon=True)
        writing.start()
        writing.join(20)
        assert not writing.is_alive()
        os.set_blocking(reader, False)
        taken = read.read()
        write(range(5_000, 5_003))
        whole = (taken + read.read()).splitlines()
    torn = [line for line in whole if not line.endswith("}")]
    told = [json.loads(line) for line in whole if line.endswith("}")]
    [lost] = [line["lines"] for line in told if "lost" in line["event"]]
    seen = [line["n"] for line in told if "lost" not in line["event"]]
    assert seen == [*range(5_000 - lost), 5_000, 5_001, 5_002]
    assert len(torn) == (size > 4_096)
