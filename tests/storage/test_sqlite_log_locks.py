"""Whatever else has the file open, nobody is told that a database is locked."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from policy.errors import ConfigError, StoreUnavailable
from storage.database import WAL_LIMIT_BYTES
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.storage.filling import round_of
from tests.storage.rounds import HOUR_S, NOON_S

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

# Programs of others, each with the log open in its own way until it is killed.
OPENING = "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
STRANGERS = {
    "reads for long": """
db.execute("BEGIN"); db.execute("SELECT count(*) FROM outcomes").fetchone()
print("ready", flush=True); time.sleep(600)
""",
    "writes now and then": """
print("ready", flush=True)
while True:
    db.execute("BEGIN IMMEDIATE"); time.sleep(0.05); db.execute("COMMIT"); time.sleep(0.05)
""",
    "locks out all who write": """
print("ready", flush=True)
while True:
    try:
        db.execute("BEGIN EXCLUSIVE"); time.sleep(0.2); db.execute("COMMIT"); time.sleep(0.1)
    except sqlite3.OperationalError:
        time.sleep(0.01)
""",
    "makes backups": """
print("ready", flush=True)
while True:
    with sqlite3.connect(sys.argv[1] + "-copy") as copy:
        db.backup(copy, pages=1, sleep=0.001)
""",
    "checkpoints and cleans up": """
print("ready", flush=True)
while True:
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)"); db.execute("VACUUM")
    except sqlite3.OperationalError:
        pass
    time.sleep(0.02)
""",
}


@contextmanager
def stranger(path: Path, doing: str) -> Iterator[None]:
    """Let another process have the file open until the block ends."""
    command = [sys.executable, "-c", OPENING + STRANGERS[doing], str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


def used(log: SqliteLog, name: str, told: list[str]) -> None:
    """Write, rate and read as the service does, and keep what went wrong."""
    try:
        for n in range(15):
            identity = f"{name}-{n}"
            if round_of(log, identity) != ["log"] * 3:
                told.append(f"{identity} is not in the log")
            log.rate(identity, "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
            if log.decision(identity).reward != 1.0:
                told.append(f"{identity} is not rated")
    except StoreUnavailable as error:
        told.append(error.message)


@pytest.mark.parametrize("doing", STRANGERS)
def test_all_is_written_and_read_while_another_program(tmp_path: Path, doing: str) -> None:
    path, told = tmp_path / "turnpike.db", list[str]()
    with SqliteLog(path) as log:
        round_of(log, "first")
        with stranger(path, doing):
            threads = [
                threading.Thread(target=used, args=(log, f"t{n}", told), daemon=True)
                for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(120)
            with SqliteReader(path) as reader:
                assert reader.counts().decisions == 61
        assert told == []
        round_of(log, "last")
        assert log.faults() == []
        assert path.with_name(path.name + "-wal").stat().st_size < WAL_LIMIT_BYTES


def test_a_lock_that_stays_is_told_in_words_that_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.0)
    monkeypatch.setattr("storage.database.START_WITHIN_S", 0.1)
    path = tmp_path / "turnpike.db"
    with SqliteLog(path) as log:
        round_of(log, "a")
        holding = sqlite3.connect(path, isolation_level=None)
        holding.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as refused:
            log.rate("a", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        assert "close what else has it open" in refused.value.message
        assert "database is locked" not in refused.value.message
    with pytest.raises(ConfigError, match="close what else has it open"):
        SqliteLog(path)
    holding.close()


def test_a_start_waits_for_a_program_that_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "turnpike.db"
    SqliteLog(path).close()
    holding = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holding.execute("BEGIN IMMEDIATE")
    release = threading.Timer(2.0, holding.execute, ("COMMIT",))
    release.start()
    began = time.monotonic()
    with SqliteLog(path) as log:
        assert time.monotonic() - began > 1.5
        assert round_of(log, "a") == ["log"] * 3
    release.join()
    holding.close()
