"""Arms from the command line: listed, asked at their provider, and found at one."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from app.commands.told import EX_INTERRUPTED
from policy.errors import InvalidInput
from tests.app.commands.test_cli import turnpike
from tests.app.running import catalogue
from tests.storage.test_handover import NOBODY
from tests.upstream.test_reach import plain, saying
from upstream.catalogue import load
from upstream.provider import Serving, serve
from upstream.replies import Reply

ARMS = {"one": {}, "two": {"model": "vendor/two"}}


def ok(model: str, body: dict[str, Any]) -> Reply:
    if model == "strict" and "max_tokens" in body:
        raise InvalidInput("max_tokens is not known here; say max_completion_tokens")
    return Reply("ok", input_tokens=9, output_tokens=1)


@pytest.fixture
def provider() -> Iterator[Serving]:
    with serve(ok, lambda: ["one", "vendor/two", "strict", "three", "Vendor/Four+B"]) as serving:
        yield serving


def arms(path: Path, *arguments: str) -> Result:
    return turnpike(path.parent, "arms", *arguments, TURNPIKE_ARMS=str(path))


def test_the_list_shows_every_arm_with_its_price(tmp_path: Path, provider: Serving) -> None:
    path = catalogue(tmp_path, provider.url, ARMS)
    assert arms(path, "list").stdout.splitlines()[0].split()[:3] == ["arm", "provider", "model"]
    rows = json.loads(arms(path, "list", "--json").stdout)
    assert [(each["name"], each["input_usd_per_mtok"]) for each in rows] == [
        ("one", 1.0),
        ("two", 1.0),
    ]


def test_each_arm_that_answers_is_ok(tmp_path: Path, provider: Serving) -> None:
    path = catalogue(tmp_path, provider.url, {**ARMS, "strict": {}})
    ended = arms(path, "check", "--json")
    assert ended.exit_code == 0, ended.stderr
    assert [each["answers"] for each in json.loads(ended.stdout)] == [True] * 3
    assert all(each["latency_s"] > 0 for each in json.loads(ended.stdout))
    [only] = json.loads(arms(path, "check", "two", "--json").stdout)
    assert (only["arm"], only["says"]) == ("two", "answers as vendor/two")


def test_an_arm_that_does_not_answer_fails_and_the_others_are_told(
    tmp_path: Path, provider: Serving
) -> None:
    path = catalogue(tmp_path, provider.url, {"one": {}, "gone": {"model": "no-such"}})
    ended = arms(path, "check")
    assert ended.exit_code == 1
    assert [line.split()[:2] for line in ended.stdout.splitlines()[1:]] == [
        ["ok", "one"],
        ["FAILED", "gone"],
    ]
    assert "no-such" in ended.stdout


def test_who_interrupts_it_waits_for_no_provider_that_is_silent(tmp_path: Path) -> None:
    def silent(_model: str, _body: dict[str, Any]) -> Reply:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30.0)
        raise AssertionError

    with serve(silent, lambda: ["one"]) as silence:
        started = time.monotonic()
        ended = arms(catalogue(tmp_path, silence.url, {"one": {}}), "check")
    assert (ended.exit_code, ended.stdout) == (EX_INTERRUPTED, "")
    assert time.monotonic() - started < 15.0


def test_an_arm_without_its_key_is_not_asked(tmp_path: Path, provider: Serving) -> None:
    path = catalogue(tmp_path, provider.url, {"one": {}}, {"api_key_env": "NO_SUCH_KEY"})
    ended = arms(path, "check", "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)[0]["says"] == "NO_SUCH_KEY is not set"


def test_an_arm_that_answers_as_another_model_is_noted(tmp_path: Path) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}}
    said = {"model": "another-model", "choices": [{**choice, "finish_reason": "stop"}]}
    with saying(plain("200 OK", body=json.dumps(said).encode())) as (provider, _):
        path = catalogue(tmp_path, provider.base_url, {"one": {}})
        ended = arms(path, "check")
    assert (ended.exit_code, ended.stdout.splitlines()[1].split()[:2]) == (0, ["note", "one"])
    assert "answers as another-model; if that is right, say answers_as in its table" in ended.stdout


def test_an_arm_that_does_not_say_what_it_bills_is_noted(tmp_path: Path, provider: Serving) -> None:
    path = catalogue(tmp_path, provider.url, {"one": {}}, {"billed_in": "cost"})
    ended = arms(path, "check")
    assert (ended.exit_code, ended.stdout.splitlines()[1].split()[:2]) == (0, ["note", "one"])
    assert "answers as one; no usage.cost says what is billed: its prices count" in ended.stdout


def test_a_name_that_is_no_arm_is_told(tmp_path: Path, provider: Serving) -> None:
    ended = arms(catalogue(tmp_path, provider.url, ARMS), "check", "nobody")
    assert (ended.exit_code, "'nobody' is no arm; the arms are one, two" in ended.stderr) == (
        2,
        True,
    )


def test_sync_prints_what_is_missing_and_writes_nothing(tmp_path: Path, provider: Serving) -> None:
    path = catalogue(tmp_path, provider.url, ARMS)
    before = path.read_bytes()
    ended = arms(path, "sync", "p")
    assert ended.exit_code == 0, ended.stderr
    assert '# [arm."three"]' in ended.stdout
    assert "# input_usd_per_mtok =   # look it up: the provider does not say" in ended.stdout
    assert '"one"' not in ended.stdout
    assert "5 models listed, 3 not in the catalogue; nothing is written" in ended.stdout
    assert path.read_bytes() == before


def test_sync_appends_comments_that_leave_the_catalogue_as_it_is(
    tmp_path: Path, provider: Serving
) -> None:
    path = catalogue(tmp_path, provider.url, ARMS)
    before, text = load(path), path.read_text(encoding="utf-8")
    assert arms(path, "sync", "p", "--write").exit_code == 0
    after = path.read_text(encoding="utf-8")
    again = arms(path, "sync", "p", "--write")
    assert "3 not in the catalogue; 0 appended" in again.stdout
    assert path.read_text(encoding="utf-8") == after
    assert after.startswith(text)
    assert '# [arm."four-b"]' in after
    assert load(path) == before
    assert [each.name for each in tmp_path.iterdir()] == ["arms.toml"]


def test_sync_appends_whole_arms_where_the_provider_tells_prices(tmp_path: Path) -> None:
    offered = [
        {"id": "x/one", "context_length": 1_000, "pricing": {"prompt": "1e-6", "completion": "0"}},
        {"id": "y/ONE", "context_length": 2_000, "pricing": {"prompt": "2e-6", "completion": "0"}},
        {"id": "z/auto-7", "context_length": 9, "pricing": {"input": 1, "output": 1}},
        {"id": 'q/"\n[arm.evil]', "context_length": 9, "pricing": {"input": 1, "output": 1}},
    ]
    with saying(plain("200 OK", body=json.dumps({"data": offered}).encode())) as (provider, _):
        path = catalogue(tmp_path, provider.base_url, {"one": {"model": "x/one"}})
        found = json.loads(arms(path, "sync", "p", "--json").stdout)
        assert [each["model"] for each in found] == [each["id"] for each in offered[1:3]]
        assert [each["is_complete"] for each in found] == [True] * 2
        assert arms(path, "sync", "p", "--write").exit_code == 0
        again = arms(path, "sync", "p", "--write")
        assert "3 models listed, 0 not in the catalogue" in again.stdout
    made = load(path).arms
    assert list(made) == ["one", "one-2", "model-auto-7"]
    assert made["one-2"].input_usd_per_mtok == 2.0


def test_sync_takes_only_what_matches_and_an_unknown_provider_is_told(
    tmp_path: Path, provider: Serving
) -> None:
    path = catalogue(tmp_path, provider.url, ARMS)
    [only] = json.loads(arms(path, "sync", "p", "--match", "FOUR", "--json").stdout)
    assert only["model"] == "Vendor/Four+B"
    ended = arms(path, "sync", "q")
    assert (ended.exit_code, "'q' is no provider" in ended.stderr) == (2, True)


def test_sync_writes_nothing_where_a_link_in_the_place_of_its_draft_leads(
    tmp_path: Path, provider: Serving
) -> None:
    path, elsewhere = catalogue(tmp_path, provider.url, ARMS), tmp_path / "elsewhere"
    elsewhere.write_text("somebody else's")
    (tmp_path / f".arms.toml.{os.getpid()}.draft").symlink_to(elsewhere)
    assert arms(path, "sync", "p", "--write").exit_code == 0
    assert elsewhere.read_text() == "somebody else's"
    assert '[arm."three"]' in path.read_text(encoding="utf-8")


def test_sync_keeps_the_mode_and_the_owner_of_the_catalogue(
    tmp_path: Path, provider: Serving
) -> None:
    path = catalogue(tmp_path, provider.url, ARMS)
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(path, user, -1)
    path.chmod(0o640)
    assert arms(path, "sync", "p", "--write").exit_code == 0
    found = path.stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o640, user)


def test_a_catalogue_that_cannot_be_written_stays_and_is_told(
    tmp_path: Path, provider: Serving
) -> None:
    path = tmp_path / f"{'a' * 250}.toml"  # one beside it has no room for a longer name
    catalogue(tmp_path, provider.url, ARMS).rename(path)
    before = path.read_bytes()
    ended = arms(path, "sync", "p", "--write")
    assert (ended.exit_code, path.read_bytes()) == (78, before)
    assert ended.stderr.startswith(f"turnpike: cannot write to {path}: ")
