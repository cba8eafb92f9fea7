"""Somebody is forgotten: nothing of theirs is anywhere, and the policy is folded from the rest."""

import errno
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from app.commands.delivery import delivered, delivered_all
from jobs.forget import stripped
from jobs.intake import of_stripped
from jobs.learned import Learned
from storage.erasing import FORGOTTEN, Whose, held, transcripts
from storage.handover import hand_over
from storage.snapshots import digest
from storage.spool import Spare, spool_path
from storage.spool_file import SpoolFile
from storage.sqlite_reader import SqliteReader
from storage.stores import open_log
from tests.app.commands.test_cli import turnpike
from tests.app.faulty import Faulty, faulty
from tests.app.routing.test_retention import ASKED, CANARY, files, greeting
from tests.app.running import Running, eventually
from tests.upstream.misbehaving import Conversation

SESSION, RATER, COMMENT = "session-of-ann-77", "ann-the-rater-77", "ann comments 77"
OURS = (CANARY, SESSION, RATER, COMMENT)


def forgot(folder: Path, *arguments: str) -> Result:
    return turnpike(folder, "forget", *arguments)


def told(ended: Result) -> Any:
    """Return the JSON at the end: a service in the same process writes its lines before."""
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout[ended.stdout.index("{\n") :])


def asked(service: Running, session: str | None = SESSION, **more: Any) -> str:
    """Ask and rate as one who is to be forgotten, or as another without a session."""
    answer = service.ask(prompt=ASKED if session else "hello", session=session, **more)
    who = {"rater": RATER, "comment": COMMENT} if session else {}
    service.rate(answer["id"], "up" if session else "down", **who)
    return str(answer["id"])


def left_of_us(folder: Path) -> set[tuple[str, str]]:
    return {
        (name, word) for name, content in files(folder) for word in OURS if word.encode() in content
    }


def folded(made: Faulty) -> str:
    """Return the digest of a fold of the whole log under the policy that serves."""
    log = made.service.parts.log
    policy = log.latest_policy()
    assert policy is not None
    return digest(Learned.start(policy).fold(log.events()).to_arrays())


@pytest.mark.parametrize("whose", [("--session", SESSION), ("--tenant", "default")], ids=str)
def test_beside_a_service_nothing_of_theirs_is_left(tmp_path: Path, whose: tuple[str, str]) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        service = made.service
        ours = [asked(service, cache="use") for _ in range(3)]
        theirs = asked(service, session=None)
        spent = service.parts.log.spend_usd(0.0)
        before = service.get("/healthz")["policy_version"]
        assert left_of_us(tmp_path) >= {("turnpike.db-wal", word) for word in OURS}
        said = told(forgot(tmp_path, *whose, "--yes", "--json"))
        all_of_us = whose[0] == "--tenant"
        assert said == {
            "decisions": 3 + all_of_us,
            "transcripts": 6 + 2 * all_of_us,
            "ratings": 3 + all_of_us,
            "comments": 3,
            "policy_version": before + 1,
        }
        assert eventually(lambda: service.get("/healthz")["policy_version"] == before + 1)
        assert eventually(lambda: service.get("/policy")["cache"]["answers"] == 0)
        assert left_of_us(tmp_path) == set()
        assert service.digest == folded(made)
        shown = service.get(f"/decisions/{ours[0]}")
        assert (shown["prompt"], shown["answer"], shown["reward"]) == (None, None, 1.0)
        assert service.get(f"/decisions/{theirs}")["reward"] == 0.0
        assert service.parts.log.spend_usd(0.0) == spent
        tenant = service.parts.log.decision(ours[0]).decision.tenant
        assert (tenant == FORGOTTEN) == all_of_us
    assert left_of_us(tmp_path) == set()


@pytest.mark.parametrize("whose", [("--session", SESSION), ("--tenant", "default")], ids=str)
def test_an_answer_that_comes_after_who_asked_was_forgotten_leaves_no_words(
    tmp_path: Path, whose: tuple[str, str]
) -> None:
    said: list[Any] = []

    def slow(talk: Conversation) -> None:
        assert eventually(lambda: made.service.parts.log.counts().decisions == 1)
        said.append(told(forgot(tmp_path, *whose, "--yes", "--json")))
        greeting(talk)

    with faulty(tmp_path, {"a": slow}, prompts="full") as made:
        answer = made.service.ask(prompt=ASKED, session=SESSION)
        assert [each["decisions"] for each in said] == [1]
        shown = made.service.get(f"/decisions/{answer['id']}")
        assert (shown["prompt"], shown["answer"]) == (None, None)
        with SqliteReader(tmp_path / "turnpike.db") as log:
            assert not [each for each in transcripts(log.ask, answer["id"]) if each.text]
            assert held(log.ask, Whose(tenant=FORGOTTEN)).transcripts == 0
            assert held(log.ask, Whose(tenant="default")).transcripts == 0
    assert left_of_us(tmp_path) == set()


def test_without_a_service_nothing_of_theirs_is_left(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full", cache="exact") as made:
        for _ in range(2):
            asked(made.service)
        asked(made.service, session=None)
    assert left_of_us(tmp_path)
    ended = forgot(tmp_path, "--session", SESSION, "--tenant", "default", "--yes")
    assert ended.stdout == (
        f"forgotten: 2 decisions of session '{SESSION}' of tenant 'default', with the words of 4 "
        "prompts and answers, 2 comments, and who gave 2 ratings; policy 2 serves, and knows none "
        "of it\n"
    )
    assert left_of_us(tmp_path) == set()
    assert list(tmp_path.rglob("cache.db*")) == []
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        assert made.service.digest == folded(made)
        assert made.service.get("/healthz")["policy_version"] == 2


def test_what_was_killed_in_between_is_gone_on_with(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}) as made:
        asked(made.service)
        before = made.service.digest
        log = made.service.parts.log
        for piece in stripped(log.ask, Whose(session=SESSION)):
            delivered(made.service.parts.settings, of_stripped(piece))
        assert held(log.ask, Whose(session=SESSION)).decisions == 0
        assert made.service.digest == before  # not folded anew yet
        said = told(forgot(tmp_path, "--session", SESSION, "--yes", "--json"))
        assert (said["decisions"], said["policy_version"]) == (0, 2)
        assert eventually(lambda: made.service.get("/healthz")["policy_version"] == 2)
        again = told(forgot(tmp_path, "--session", SESSION, "--yes", "--json"))
        assert (again["decisions"], again["policy_version"]) == (0, None)
        plain = forgot(tmp_path, "--session", SESSION).stdout
        assert plain == f"there is nothing of session '{SESSION}' in the log\n"


def test_what_is_broken_off_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(tmp_path, {"a": greeting}) as made:
        for _ in range(2):
            asked(made.service)
    room = iter([hand_over])

    def full(folder: Path, *piece: Any) -> str:
        for there_is in room:
            return there_is(folder, *piece)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("jobs.forget.PIECE", 1)
    monkeypatch.setattr("app.commands.forgetting.PIECE", 1)
    monkeypatch.setattr("app.commands.delivery.AHEAD", 0)
    monkeypatch.setattr("app.commands.delivery.hand_over", full)
    ended = forgot(tmp_path, "--session", SESSION, "--yes")
    assert ended.exit_code == 78
    assert "; 1 of 2 decisions are stripped; say it again, and the rest follows" in ended.stderr


def test_who_goes_on_asking_is_forgotten_as_far_as_they_had_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(tmp_path, {"a": greeting}) as made:
        asked(made.service)
        turns = iter(range(2))

        def delivering(*given: Any) -> None:
            next(turns)
            delivered_all(*given)
            asked(made.service)

        monkeypatch.setattr("app.commands.forgetting.delivered_all", delivering)
        for version in (2, 3):
            said = told(forgot(tmp_path, "--session", SESSION, "--yes", "--json"))
            assert (said["decisions"], said["policy_version"]) == (1, version)
        assert held(made.service.parts.log.ask, Whose(session=SESSION)).decisions == 1


def wait_beside(folder: Path) -> None:
    """Let a decision of ours wait beside the log, as after a kill while it was locked."""
    with faulty(folder, {"a": greeting}) as made:
        theirs = made.service.parts.log.decision(asked(made.service, session=None))
    ours = replace(theirs.decision, id="waits", session=SESSION)
    assert theirs.outcome is not None
    rows = [Spare.of(ours, 0), Spare.of(replace(theirs.outcome, decision_id="waits"), 0)]
    with closing(SpoolFile(spool_path(folder / "turnpike.db"), 1 << 20)) as spool:
        spool.append([row.to_bytes() for row in rows])
    assert ("turnpike.db-spool", SESSION) in left_of_us(folder)


def test_what_waits_beside_the_log_is_forgotten_too(tmp_path: Path) -> None:
    wait_beside(tmp_path)
    assert told(forgot(tmp_path, "--session", SESSION, "--yes", "--json"))["decisions"] == 1
    assert left_of_us(tmp_path) == set()


def test_nobody_is_said_to_be_forgotten_while_rows_wait(tmp_path: Path) -> None:
    wait_beside(tmp_path)
    with open_log(tmp_path / "turnpike.db"):  # a service that cannot write
        ended = forgot(tmp_path, "--session", SESSION, "--yes")
        assert ended.exit_code == 1
        assert ended.stderr.startswith("turnpike: 2 rows that may be theirs wait beside the log")


def test_nobody_is_forgotten_without_a_name_or_a_yes(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}, prompts="full") as made:
        asked(made.service)
    assert forgot(tmp_path).exit_code == 2
    assert "--tenant, --session or both" in forgot(tmp_path).stderr
    ended = forgot(tmp_path, "--session", SESSION)
    assert ended.exit_code == 1
    assert f"Forget 1 decisions and 1 comments of session '{SESSION}' for ever?" in ended.stderr
    with SqliteReader(tmp_path / "turnpike.db") as log:
        assert held(log.ask, Whose(session=SESSION)).transcripts == 2
        latest = log.latest_policy()
        assert latest is not None
        assert latest.version == 1


def test_what_is_shown_of_a_tenant_goes_too(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": greeting}) as made:
        asked(made.service)
        traffic = made.service.parts.traffic
        assert set(traffic.now().by("tenant")) == {"default"}
        traffic.save()
        told(forgot(tmp_path, "--tenant", "default", "--yes", "--json"))
        assert eventually(lambda: set(traffic.now().by("tenant")) == {FORGOTTEN})
