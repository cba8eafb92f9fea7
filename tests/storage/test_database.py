"""Which files are opened, which are refused, and that a refused file keeps every byte."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database

from policy.errors import ConfigError
from storage.database import has_wal_reset_race, open_reader, open_writer
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.storage.filling import little_room
from tests.storage.rounds import DECISION

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turnpike.db"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_writer_is_durable_and_strict(path: Path) -> None:
    writer = open_writer(path)
    asked = ("journal_mode", "synchronous", "foreign_keys", "journal_size_limit")
    found = [writer.db.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]
    assert found == ["wal", 2, 1, 64 * 1024 * 1024]
    writer.close()


def test_a_reader_cannot_write(path: Path) -> None:
    open_writer(path).close()
    with open_reader(path) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM decisions")


def test_a_reader_needs_a_log(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no log"):
        open_reader(path)
    assert not path.exists()


def test_a_second_writer_is_refused_and_told_who_writes(path: Path) -> None:
    with SqliteLog(path), pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        SqliteLog(path)
    SqliteLog(path).close()


def test_a_writer_that_is_about_to_end_is_waited_for(path: Path) -> None:
    first = SqliteLog(path)
    ending = threading.Timer(0.3, first.close)
    ending.start()
    SqliteLog(path, patience_s=30.0).close()
    ending.join()
    with SqliteLog(path), pytest.raises(ConfigError, match=f"process {os.getpid()}"):
        SqliteLog(path, patience_s=0.2)


def test_a_writer_in_another_process_is_noticed(path: Path) -> None:
    code = (
        f"from storage.database import open_writer; from pathlib import Path; "
        f"open_writer(Path({str(path)!r}))"
    )
    with SqliteLog(path):
        child = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert f"being written by process {os.getpid()}" in child.stderr


def test_readers_work_beside_the_writer_and_after_it(path: Path) -> None:
    with SqliteLog(path) as log:
        log.decide(DECISION).wait()
        with SqliteReader(path) as reader:
            assert reader.decision("d").decision.arm == "small"
    with SqliteReader(path) as reader:
        assert reader.counts().decisions == 1


def test_a_log_of_a_newer_version_is_refused_untouched(path: Path) -> None:
    SqliteLog(path).close()
    with Database(path) as db:
        change = {"migration_set": "turnpike", "name": "m999_from_the_future", "applied_at": ""}
        db["_sqlite_migrations"].insert(change)
    before = sha256(path)
    for opener in (open_writer, open_reader):
        with pytest.raises(ConfigError, match=r"newer Turnpike .*m999_from_the_future"):
            opener(path)
    assert sha256(path) == before


def test_another_programs_database_is_refused_untouched(path: Path) -> None:
    with Database(path) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    before = sha256(path)
    with pytest.raises(ConfigError, match=r"another program's database .*recipes"):
        open_writer(path)
    assert sha256(path) == before


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look at" * 9, bytes(4096)]
)
def test_a_file_that_is_no_database_is_refused_untouched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot open the log .*not a database"):
        open_writer(path)
    assert path.read_bytes() == content


def test_a_log_with_a_destroyed_header_is_refused_untouched(path: Path) -> None:
    SqliteLog(path).close()
    broken = bytes(100) + path.read_bytes()[100:]
    path.write_bytes(broken)
    with pytest.raises(ConfigError, match=r"cannot open the log .*from a backup"):
        open_writer(path)
    assert path.read_bytes() == broken


@pytest.mark.parametrize("made", [True, False], ids=["a sound log", "no log yet"])
def test_what_there_is_no_room_to_open_needs_room_and_no_backup(path: Path, made: bool) -> None:
    if made:
        SqliteLog(path).close()
    with little_room(0), pytest.raises(ConfigError, match="see that its disk has room"):
        open_writer(path)
    SqliteLog(path).close()


def test_an_empty_file_becomes_a_log(path: Path) -> None:
    path.touch()
    SqliteLog(path).close()
    with SqliteReader(path) as reader:
        assert reader.position() == 0


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: give a file"):
        open_writer(tmp_path)


def test_a_missing_folder_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="create it first"):
        open_writer(tmp_path / "typo" / "turnpike.db")


def test_a_folder_that_takes_no_files_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot write beside the log"):
        open_writer(Path("/proc/turnpike.db"))


def test_a_path_with_odd_characters_is_only_a_path(tmp_path: Path) -> None:
    odd = tmp_path / "a log?mode=ro#%41 é.db"
    with SqliteLog(odd) as log:
        log.decide(DECISION).wait()
    assert odd.exists()


def test_a_read_only_file_is_refused_with_the_reason(path: Path) -> None:
    SqliteLog(path).close()
    path.chmod(0o444)
    path.parent.chmod(0o755)
    # Root may write anything, so a child that is root becomes somebody else after its imports.
    code = f"""
import os
from pathlib import Path
from storage.database import open_writer
os.chdir({str(path.parent)!r})
if os.getuid() == 0:
    os.setuid(65534)
open_writer(Path("turnpike.db"))
"""
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "may not be written by this user" in child.stderr


@pytest.mark.parametrize(("version", "races"), [((3, 51, 2), True), ((3, 51, 3), False)])
def test_the_race_over_the_wal_is_known_by_the_version(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], races: bool
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert has_wal_reset_race() == races
