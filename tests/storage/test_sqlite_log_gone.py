"""A log whose file is deleted, moved or replaced under the process that writes it."""

import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from policy.errors import StoreUnavailable
from storage.spool import Spooling, spool_path
from storage.sqlite_log import SqliteLog
from tests.storage.filling import SPOOL_BYTES, round_of
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, but

AWAY = "moved.db"
ENOUGH = 700
"""So many answers that SQLite begins its WAL anew, which then lacks pages that it wrote before."""


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.replace(path.with_name(AWAY))


def replaced(path: Path) -> None:
    other = path.with_name("other.db")
    with SqliteLog(other) as log:
        log.decide(but(DECISION, id="of the other")).wait()
    other.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turnpike.db"


@pytest.fixture(autouse=True)
def _the_log_is_tried_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.spool.AGAIN_AFTER_S", 0.0)
    monkeypatch.setattr("storage.spool.REST", 0.0)


def opened(path: Path) -> SqliteLog:
    return SqliteLog(path, spooling=Spooling(SPOOL_BYTES))


@pytest.mark.parametrize("lose", [deleted, moved, replaced])
def test_nothing_is_acknowledged_into_a_file_that_no_restart_finds(
    path: Path, lose: Callable[[Path], None]
) -> None:
    with opened(path) as log:
        assert round_of(log, "before") == ["log"] * 3
        assert log.standing.takes_rows
        lose(path)
        assert (log.standing.takes_rows, log.standing.is_behind) == (False, True)
        assert round_of(log, "after") == ["spool"] * 3
        assert (
            f"its file {path} (or the -wal of it) was deleted, moved or replaced"
            in log.standing.why
        )
        with pytest.raises(StoreUnavailable, match="put it back, or stop the service"):
            log.rate("before", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    with opened(path) as again:
        again.bring_back()
        assert again.decision("after").outcome is not None


def held(path: Path) -> sqlite3.Connection:
    """Let another program read, so that the WAL cannot be emptied."""
    reading = sqlite3.connect(path, isolation_level=None)
    reading.execute("BEGIN")
    reading.execute("SELECT count(*) FROM outcomes").fetchone()
    return reading


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_backup_never_meets_the_wal_of_what_it_replaces(
    path: Path, is_told_first: bool, is_read: bool
) -> None:
    backup = path.with_name("backup.db")
    with opened(path) as log:
        round_of(log, "kept")
        with sqlite3.connect(path) as source, sqlite3.connect(backup) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        for n in range(ENOUGH):
            round_of(log, f"lost-{n}")
        reading = held(path) if is_read else None
        backup.replace(path)
        if is_told_first:
            assert round_of(log, "after") == ["spool"] * 3
    if reading is not None:
        reading.close()
    with opened(path) as again:
        again.bring_back()
        assert again.faults() == []
        assert again.counts().decisions == 1 + is_told_first
    assert len(list(path.parent.glob("turnpike.db-wal.of-another-*"))) == is_read


def test_what_was_killed_after_it_was_told_left_nothing_to_replay(path: Path) -> None:
    """The process dies with its log open, after a write that found another file there."""
    backup = path.with_name("backup.db")
    if (child := os.fork()) == 0:
        try:
            log = opened(path)
            round_of(log, "kept")
            with sqlite3.connect(path) as source, sqlite3.connect(backup) as copy:
                source.backup(copy)
            for n in range(ENOUGH):
                round_of(log, f"lost-{n}")
            backup.replace(path)
            round_of(log, "after")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with opened(path) as again:
        again.bring_back()
        assert again.faults() == []
        assert again.counts().decisions == 2


def test_what_was_moved_away_is_whole_where_it_is(path: Path) -> None:
    with opened(path) as log:
        round_of(log, "a")
        moved(path)
    opened(path).close()
    path.with_name(AWAY).replace(path)
    with opened(path) as again:
        assert again.decision("a").outcome is not None


def test_nothing_is_acknowledged_into_a_wal_that_is_deleted(path: Path) -> None:
    with opened(path) as log:
        round_of(log, "a")
        path.with_name("turnpike.db-wal").unlink()
        assert round_of(log, "b") == ["spool"] * 3
    with opened(path) as again:
        again.bring_back()
        assert again.decision("a").outcome is not None
        assert again.decision("b").outcome is not None


def test_a_file_that_is_put_back_is_written_again_at_once(path: Path) -> None:
    with opened(path) as log:
        moved(path)
        assert round_of(log, "a") == ["spool"] * 3
        path.with_name(AWAY).replace(path)
        log.bring_back()
        assert (log.standing.takes_rows, log.standing.waiting) == (True, 0)
        assert log.decision("a").outcome is not None


def test_where_the_spool_is_deleted_too_everything_is_refused(path: Path) -> None:
    with opened(path) as log:
        path.unlink()
        spool_path(path).unlink()
        with pytest.raises(StoreUnavailable, match="was deleted"):
            log.decide(DECISION).wait()


def test_a_question_that_finds_no_file_is_told_that_the_store_is_away(path: Path) -> None:
    with opened(path) as log:
        path.unlink()
        with pytest.raises(StoreUnavailable, match="was deleted"):
            log.counts()
