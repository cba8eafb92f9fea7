"""Rows that the log cannot take wait beside it, and are in it once, when it can take them."""

import itertools
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from policy.errors import StoreUnavailable
from storage.database import open_reader
from storage.erasing import transcripts
from storage.spool import Spare, Spool, Spooling, spool_path
from storage.spool_file import waiting_in
from storage.sqlite_log import SqliteLog
from storage.stores import open_log
from storage.words import Transcript
from tests.storage.filling import SPOOL_BYTES, brought_back, round_of
from tests.storage.rounds import ATTEMPT, DECISION, HOUR_S, NOON_S, OUTCOME, but, rows

ROOT = Path(__file__).parents[2]
OWN_DISK = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def has_own_disk() -> bool:
    """Return whether this machine lets us make a small file system; if not, say so loudly."""
    asked = [*OWN_DISK, "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        ended = subprocess.CompletedProcess(asked, 1, stderr="there is no unshare here")
    if ended.returncode:
        sys.__stderr__.write(
            f"\nNOT TESTED HERE: a really full disk, because a small file system cannot be mounted "
            f"({ended.stderr.strip()}); the other two ways to fill one are\n"
        )
    return ended.returncode == 0


WAYS = ["limit", "pages", *(["disk"] if has_own_disk() else [])]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turnpike.db"


def filled(path: Path, way: str, end: str) -> dict[str, Any]:
    """Return what a process was told that went on writing to a full disk."""
    command = [sys.executable, "-m", "tests.storage.filling"]
    if way == "disk":
        mounted = path.parent / "mounted"
        mounted.mkdir()
        inside = str(mounted / path.name)
        saved = f'cp "{mounted}"/turnpike.db* "$0"'
        shell = f'mount -t tmpfs -o size=2m none "{mounted}" && "$@" && {saved}'
        command = [*OWN_DISK, "sh", "-c", shell, str(path.parent), *command, inside, way, end]
    else:
        command += [str(path), way, end]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def is_whole(log: SqliteLog) -> bool:
    """Return whether every decision has its end, once, and the events have one order."""
    with open_reader(log._path) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        attempts = db.execute("SELECT count(*) FROM attempts").fetchone()[0]
    counts = log.counts()
    seqs = [event.seq for event in log.events()]
    return (
        whole
        and counts.decisions == counts.outcomes == attempts == log.position()
        and seqs == list(range(1, len(seqs) + 1))
    )


@pytest.mark.slow
@pytest.mark.parametrize("end", ["space", "kill"])
@pytest.mark.parametrize("way", WAYS)
def test_what_a_full_disk_refused_is_in_the_log_once_there_is_room(
    path: Path, way: str, end: str
) -> None:
    told = filled(path, way, end)
    assert told["full"] == [["spool"] * 3] * 5
    assert told["rating"].startswith("the log cannot be written: ")
    assert told["standing"][1] >= 15
    if end == "space":
        assert (told["later"], told["waiting"]) == (["log"] * 3, 0)
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as log:
        log.bring_back()
        assert is_whole(log)
        names = {each.decision.id for each in log.decisions()}
        assert {f"before-{n}" for n in range(20)} | {f"full-{n}" for n in range(5)} <= names
        assert ("later" in names) == (end == "space")
        assert log.standing.waiting == 0


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as log:
        yield log


@pytest.fixture
def stranger(path: Path, log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """Another connection that holds the write lock until it commits; nobody waits long for it."""
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.0)
    monkeypatch.setattr("storage.spool.AGAIN_AFTER_S", 0.0)
    monkeypatch.setattr("storage.spool.REST", 0.0)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.mark.slow
def test_a_lock_that_is_held_too_long_sends_rows_to_the_spool_and_thumbs_away(
    log: SqliteLog, stranger: sqlite3.Connection
) -> None:
    assert round_of(log, "a") == ["spool"] * 3
    assert log.standing.away_since_s is not None
    assert "another program holds the lock" in log.standing.why
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        log.rate("a", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    stranger.execute("COMMIT")
    stranger.close()
    # Nobody asked for the row to be brought back: the first write that comes brings it along.
    rating = log.rate("a", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    assert rating.status == "recorded"
    assert rows([log.decision("a").decision]) == rows([but(DECISION, id="a")])
    assert rows(log.attempts("a")) == rows([but(ATTEMPT, decision_id="a")])
    assert rows([log.decision("a").outcome]) == rows([but(OUTCOME, decision_id="a", seq=1)])
    assert (log.standing.away_since_s, log.standing.waiting) == (None, 0)


@pytest.mark.slow
def test_a_subscriber_is_told_of_what_waited_when_it_is_in_the_log(
    log: SqliteLog, stranger: sqlite3.Connection
) -> None:
    told: list[int] = []
    log.subscribe(lambda events: told.extend(event.seq for event in events))
    ticket = log.decide(DECISION), log.settle(OUTCOME)
    assert [each.wait() for each in ticket] == [None, 0]
    assert told == []
    stranger.execute("COMMIT")
    stranger.close()
    log.bring_back()
    assert told == [1]


@pytest.mark.slow
def test_a_decision_in_the_spool_may_end_in_the_log(
    log: SqliteLog, stranger: sqlite3.Connection
) -> None:
    log.decide(DECISION).wait()
    stranger.execute("COMMIT")
    stranger.close()
    ticket = log.settle(OUTCOME)
    assert (ticket.wait(), ticket.durable) == (1, "log")
    assert is_whole_but_for_attempts(log)


def is_whole_but_for_attempts(log: SqliteLog) -> bool:
    return log.counts().decisions == log.counts().outcomes == log.position()


@pytest.mark.slow
def test_a_row_that_is_in_the_log_already_is_left_as_it_is(path: Path) -> None:
    """A process may die between its commit and the emptying of the spool."""
    with SqliteLog(path) as log:
        round_of(log, "a")
    others = but(DECISION, id="a", arm="large"), but(DECISION, id="b")
    spares = [Spare.of(each, None) for each in others]
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    assert spool.keep("killed", spares) == ["spool", "spool"]
    spool.close()
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as again:
        again.bring_back()
        assert again.decision("a").decision.arm == "small"
        assert {each.decision.id for each in again.decisions()} == {"a", "b"}
    assert waiting_in(spool_path(path)) == 0
    assert not path.with_name("turnpike.db-spool-rejected").exists()


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_an_end_that_says_otherwise_than_the_log_is_set_aside_and_told(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    """Another process has given up a decision whose end waited in our spool."""
    beside, spooling = tmp_path / "log", Spooling(SPOOL_BYTES)
    place = beside if store == "sqlite" else request.getfixturevalue("postgres_url")
    with open_log(place) as log:
        for name in "ab":
            log.decide(but(DECISION, id=name)).wait()
        log.settle(but(OUTCOME, decision_id="a")).wait()
        assert log.abandon(DECISION.decided_at_s + 1, NOON_S) == 1
    spool = Spool.beside(beside, spooling)
    spool.keep("killed", [Spare.of(but(OUTCOME, decision_id=name), 0) for name in "ab"])
    spool.close()
    with open_log(place, spooling=spooling, folder=tmp_path) as again, capture_logs() as said:
        again.bring_back()
        kept = again.decision("b").outcome
        assert kept is not None
        assert (kept.status, again.position(), again.standing.waiting) == ("abandoned", 2, 0)
    [told] = [line for line in said if line["log_level"] == "error"]
    assert "another outcome of b: abandoned at" in told["reason"]
    [line] = beside.with_name("log-spool-rejected").read_bytes().splitlines()
    assert Spare.from_bytes(line) == Spare.of(but(OUTCOME, decision_id="b"), 0)


def test_words_wait_with_their_decision_and_leave_nothing_behind(path: Path) -> None:
    words = Transcript(
        decision_id="d", part="prompt", at_s=NOON_S, form="full", text="the canary sings"
    )
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    spool.keep("killed", [Spare.of(DECISION, None), Spare.of(words, None)])
    spool.close()
    assert b"canary" in spool_path(path).read_bytes()
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as log:
        log.bring_back()
        assert transcripts(log.ask, "d") == [words]
        assert b"canary" not in spool_path(path).read_bytes()


def test_a_row_of_a_version_that_had_fewer_columns_follows(path: Path) -> None:
    older = Spare.of(OUTCOME, 0)
    del older.values["choices"]
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    spool.keep("killed", [Spare.of(DECISION, None), older])
    spool.close()
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as log:
        log.bring_back()
        outcome = log.decision(DECISION.id).outcome
    assert outcome is not None
    assert (outcome.choices, outcome.output_tokens) == (1, OUTCOME.output_tokens)


def test_a_row_that_no_log_takes_is_set_aside_and_stops_nothing(path: Path) -> None:
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    orphan, good = but(OUTCOME, decision_id="nobody"), but(DECISION, id="good")
    spool.keep("killed", [Spare.of(orphan, 0), Spare.of(good, None)])
    spool.close()
    with SqliteLog(path, spooling=Spooling(SPOOL_BYTES)) as log:
        log.bring_back()
        assert log.decision("good").outcome is None
    [line] = path.with_name("turnpike.db-spool-rejected").read_bytes().splitlines()
    assert Spare.from_bytes(line).values["decision_id"] == "nobody"


def test_rows_are_set_aside_durably_before_they_leave_the_spool(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    spare: Spare[Any] = Spare(type(DECISION), {"id": "bad"}, 0)
    spool.keep("the disk is full", [spare])
    aside = Path(f"{spool_path(path)}-rejected")
    aside.mkdir()
    spool.returned(1, [(spare, StoreUnavailable("no log takes it"))])
    assert [each.values["id"] for each in spool.waiting()] == ["bad"]
    aside.rmdir()
    flushed: list[str] = []
    fsync = os.fsync

    def told(descriptor: int) -> None:
        fsync(descriptor)
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", told)
    spool.returned(1, [(spare, StoreUnavailable("no log takes it"))])
    assert (spool.waiting(), len(aside.read_bytes().splitlines())) == ([], 1)
    assert flushed == [str(aside), str(aside.parent)]
    spool.close()


def test_a_log_that_took_long_to_fail_is_left_alone_for_longer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.spool.AGAIN_AFTER_S", 0.0)
    spool = Spool.beside(path, Spooling(SPOOL_BYTES, rest=1e9))
    assert spool.may_try()
    spool.keep("the server is silent", [])
    assert not spool.may_try()
    spool.close()


def test_rows_that_come_meanwhile_put_off_nothing(path: Path) -> None:
    spool = Spool.beside(path, Spooling(SPOOL_BYTES))
    assert spool.may_try()
    spool.keep("the disk is full", [])
    tried_at_s = spool._not_before
    for _ in range(3):
        assert not spool.may_try()
        spool.keep("the disk is full", [Spare.of(DECISION, None)])
    assert spool._not_before == tried_at_s
    spool.close()


@pytest.mark.slow
@pytest.mark.parametrize(("goes_on", "durable"), [(True, "none"), (False, None)])
def test_when_the_spool_is_full_too_it_is_refused_or_counted_as_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool, durable: str | None
) -> None:
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.0)
    spooling = Spooling(65_536, goes_on=goes_on)
    with SqliteLog(path, spooling=spooling) as log:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        big = but(DECISION, sketch=bytes(20_000))
        kept = 0
        for n in range(10):
            ticket = log.decide(but(big, id=f"d{n}"))
            if durable is None and n > 1:
                with pytest.raises(StoreUnavailable, match="cannot be written"):
                    ticket.wait()
                continue
            ticket.wait()
            assert ticket.durable == ("spool" if n < 2 else durable)
            kept += ticket.durable == "spool"
        assert kept == log.standing.waiting == 2
        assert log.standing.unrecorded == (8 if goes_on else 0)
        stranger.execute("COMMIT")
        stranger.close()


@pytest.mark.slow
def test_many_threads_lose_nothing_while_the_log_comes_and_goes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held by somebody else about half of the time."""
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.05)
    monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.01)
    monkeypatch.setattr("storage.spool.AGAIN_AFTER_S", 0.02)
    ended, seen, written = threading.Event(), set[str](), list[int]()

    def hold(stranger: sqlite3.Connection) -> None:
        while not ended.wait(0.1):
            stranger.execute("BEGIN IMMEDIATE")
            ended.wait(0.15)
            stranger.execute("COMMIT")

    def write(log: SqliteLog, thread: int) -> None:
        for n in itertools.count():
            seen.update(round_of(log, f"{thread}-{n}"))
            written.append(n)
            if n >= 60 and seen == {"log", "spool"}:
                return

    with SqliteLog(path, spooling=Spooling(1 << 20)) as log:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            holding = threading.Thread(target=hold, args=(other,), daemon=True)
            threads = [threading.Thread(target=write, args=(log, n), daemon=True) for n in range(4)]
            for thread in (holding, *threads):
                thread.start()
            for thread in threads:
                thread.join()
            ended.set()
            holding.join()
        brought_back(log)
        assert log.counts().decisions == len(written) > 240
        assert is_whole(log)
