"""A log whose file is deleted, moved or replaced under the process that writes it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from policy.errors import StoreUnavailable
from storage.spool import Spooling, spool_path
from storage.sqlite_log import SqliteLog
from tests.storage.filling import SPOOL_BYTES, round_of
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, but

AWAY = "moved.db"


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
        assert f"its file {path} was deleted, moved or replaced" in log.standing.why
        with pytest.raises(StoreUnavailable, match="put it back, or stop the service"):
            log.rate("before", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    with opened(path) as again:
        again.bring_back()
        assert again.decision("after").outcome is not None


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
        with pytest.raises(StoreUnavailable, match="there is no log at"):
            log.counts()
