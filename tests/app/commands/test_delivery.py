"""What a command hands over is in the log when it ends well, and never later when it does not."""

import os
from errno import ENOSPC
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.commands.delivery import AHEAD, delivered, delivered_in_pieces
from app.mode import beside_log
from app.settings import Settings
from jobs.intake import of_key, of_retrain
from policy.errors import StoreUnavailable
from storage.handover import hand_over, pending
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.app.commands.test_cli import turnpike
from tests.app.running import BESIDE, Provider, evals_table, running
from tests.storage.rounds import RETRAIN
from tests.storage.test_keys import PLAIN


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({}, {"database": tmp_path / "turnpike.db"})


def test_what_nobody_takes_in_time_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.commands.delivery.TAKEN_WITHIN_S", 0.0)
    with SqliteLog(tmp_path / "turnpike.db") as log:  # it holds the log, and takes nothing
        refused = turnpike(tmp_path, "keys", "create", "shop")
        assert refused.exit_code == 78
        assert "so it was not done: is serve running" in refused.stderr
        assert f"is being written by process {os.getpid()}" in refused.stderr
        assert pending(tmp_path / BESIDE / "handover") == []
        assert log.known_keys() == []
    assert turnpike(tmp_path, "keys", "create", "shop").exit_code == 0


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError, PermissionError])
def test_who_is_interrupted_takes_back_what_nobody_took(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise end

    with SqliteLog(settings.folder / "turnpike.db"):
        monkeypatch.setattr("app.commands.delivery.time.sleep", interrupt)
        with pytest.raises(end):
            delivered(settings, of_key(PLAIN))
    assert pending(beside_log(settings) / "handover") == []


def test_of_pieces_that_are_broken_off_none_is_left_to_be_taken_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []

    def interrupt(_seconds: float) -> None:
        waiting.append(len(pending(beside_log(settings) / "handover")))
        raise KeyboardInterrupt

    with SqliteLog(settings.folder / "turnpike.db"):  # it holds the log, and takes nothing
        monkeypatch.setattr("app.commands.delivery.time.sleep", interrupt)
        pieces = [of_key(PLAIN)] * 20
        with pytest.raises(KeyboardInterrupt):
            delivered_in_pieces(settings, pieces, lambda: None)
    assert waiting == [AHEAD + 1]
    assert pending(beside_log(settings) / "handover") == []


def test_what_is_in_of_an_import_that_was_broken_off_is_told_by_number(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, sandbox_url=provider.url):
        pass  # there is a log
    given = count()

    def until_full(*parcel: Any) -> str:
        if next(given) == AHEAD + 2:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        return hand_over(*parcel)

    monkeypatch.setattr("app.commands.evals.PIECE", 1)
    monkeypatch.setattr("app.commands.delivery.hand_over", until_full)
    refused = turnpike(tmp_path, "import", str(evals_table(tmp_path / "evals.csv", 20)))
    with SqliteReader(tmp_path / "turnpike.db") as log:
        scores = log.counts().evals
    assert scores > AHEAD
    assert f"; {scores} of " in refused.stderr


def test_a_server_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    monkeypatch.setattr("app.commands.delivery.TAKEN_WITHIN_S", 0.5)
    monkeypatch.setattr("app.commands.delivery.time.sleep", tries.append)
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    settings = Settings.load({}, {"database": nowhere, "data": tmp_path})
    with pytest.raises(StoreUnavailable, match="nobody took it"):
        delivered(settings, of_retrain(RETRAIN, None, None))
    assert len(tries) > 1
    assert pending(tmp_path / BESIDE / "handover") == []


@pytest.mark.parametrize("command", ["import", "keys", "retrain"])
def test_where_nothing_can_be_written_that_is_one_line(
    tmp_path: Path, provider: Provider, command: str
) -> None:
    with running(tmp_path, sandbox_url=provider.url):
        pass  # there is a log
    table = str(evals_table(tmp_path / "evals.csv", 5))
    arguments = {"import": [table], "keys": ["create", "shop"], "retrain": []}[command]
    dials = {"TURNPIKE_DATA": "/proc", "TURNPIKE_SECRET": "s" * 32}  # root may write anywhere else
    refused = turnpike(tmp_path, command, *arguments, **dials)
    assert refused.exit_code == 78, refused.output
    assert refused.stderr.splitlines()[-1].startswith("turnpike: cannot write to /proc/")
