"""The reserved file: what is in it is read back whole, whatever was there before or is cut off."""

import os
import subprocess
import sys
import threading
from errno import EIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.errors import ConfigError, StoreUnavailable
from storage.inbox import Unit
from storage.spool import Spare, Spooling
from storage.spool_file import HEAD_BYTES, TERM_BYTES, SpoolFile, waiting_in
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import DECISION, but

ROOM = 4096
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log-spool"


def opened(path: Path, size_bytes: int = ROOM) -> SpoolFile:
    return SpoolFile(path, size_bytes)


def read(path: Path) -> list[bytes]:
    file = opened(path)
    try:
        assert file.waiting == len(file.read()) == waiting_in(path)
        return file.read()
    finally:
        file.close()


def test_a_spool_is_taken_over_while_who_asks_holds_it_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unit.wait, "__defaults__", (0.1,))
    left, goes_on = path.with_name("left"), threading.Event()
    with SqliteLog(path.with_name("log"), spooling=Spooling(ROOM)) as log:
        SpoolFile(left, ROOM).append([Spare.of(DECISION, None).to_bytes()])
        busy = log._writer.submit(lambda _db: goes_on.wait(10))
        with pytest.raises(StoreUnavailable, match="did not confirm"):
            log.take_over(left)
        goes_on.set()
        assert busy.wait(10)
        log.decide(but(DECISION, id="later")).wait(10)
        assert waiting_in(left) == 1


def test_its_space_is_taken_from_the_start(path: Path) -> None:
    file = opened(path)
    assert path.stat().st_size == ROOM
    assert path.stat().st_blocks * 512 >= ROOM
    assert file.read() == []
    file.close()


def test_its_space_is_given_back_at_the_end_if_nothing_waits(path: Path) -> None:
    file = opened(path)
    file.append([b"waits"])
    file.close()
    assert path.exists()
    file = opened(path)
    file.clear()
    file.close()
    assert not path.exists()


def test_what_was_appended_is_there_after_another_start(path: Path) -> None:
    file = opened(path)
    assert file.append([b"first", b"second"]) == 2
    assert file.append([b"third"]) == 1
    file.close()
    again = opened(path)
    assert again.append([b"fourth"]) == 1
    again.close()
    assert read(path) == [b"first", b"second", b"third", b"fourth"]


def test_what_does_not_fit_is_left_out_and_the_rest_of_its_group_with_it(path: Path) -> None:
    file = opened(path)
    large = bytes(ROOM // 2)
    assert file.append([large, large, b"small"]) == 1
    assert file.read() == [large]
    file.close()


def test_nothing_of_an_earlier_term_is_read_again(path: Path) -> None:
    file = opened(path)
    file.append([b"one", b"two", b"six"])
    file.clear()
    assert (file.read(), file.waiting, file.used_bytes) == ([], 0, 0)
    file.append([b"ten"])
    file.close()
    assert read(path) == [b"ten"]


def test_what_was_forgotten_is_nowhere_in_the_file(path: Path) -> None:
    file = opened(path)
    file.append([b"the canary sings", b"at dawn"])
    size = path.stat().st_size
    file.clear()
    left = path.read_bytes()[TERM_BYTES:]
    assert left == bytes(len(left))
    assert path.stat().st_size == size
    file.close()


@given(kept=st.integers(0, 3 * (HEAD_BYTES + 5)))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_anywhere_gives_the_entries_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, kept: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "log-spool"
    file = opened(path)
    file.append([b"first", b"secon", b"third"])
    file.close()
    raw = path.read_bytes()
    path.write_bytes(raw[: TERM_BYTES + kept].ljust(len(raw), b"\0"))
    assert read(path) == [b"first", b"secon", b"third"][: kept // (HEAD_BYTES + 5)]


@pytest.mark.parametrize("at", [TERM_BYTES, TERM_BYTES + 6, TERM_BYTES + HEAD_BYTES + 2])
def test_an_altered_byte_ends_what_is_read(path: Path, at: int) -> None:
    file = opened(path)
    file.append([b"first", b"second"])
    file.close()
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)
    assert read(path) == []


def test_a_file_grows_and_shrinks_only_while_nothing_waits_in_it(path: Path) -> None:
    path.write_bytes(bytes(2 * ROOM))
    file = opened(path)
    assert path.stat().st_size == file.size_bytes == ROOM
    file.append([b"waits"])
    file.close()
    smaller = opened(path, ROOM // 2)
    assert smaller.size_bytes == ROOM
    assert smaller.read() == [b"waits"]
    smaller.close()
    larger = opened(path, 2 * ROOM)
    assert larger.read() == [b"waits"]
    assert path.stat().st_size == 2 * ROOM
    larger.close()


def test_a_spool_that_cannot_be_reserved_is_refused_with_the_dial(path: Path) -> None:
    code = f"""
import resource
from pathlib import Path
from storage.spool_file import SpoolFile
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
SpoolFile(Path({str(path)!r}), {ROOM})
"""
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "ConfigError: cannot reserve 4096 bytes for the spool" in child.stderr
    assert "TURNPIKE_SPOOL_BYTES" in child.stderr


def test_a_spool_that_is_not_there_holds_nothing(path: Path) -> None:
    assert waiting_in(path) == 0


def test_a_folder_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        opened(path)
    assert os.listdir(path) == []


def test_nothing_is_taken_into_a_file_that_was_emptied(path: Path) -> None:
    file = opened(path)
    assert file.append([b"first"]) == 1
    os.truncate(path, 0)
    with pytest.raises(FileNotFoundError):
        file.append([b"second"])
    file.close()


@pytest.mark.parametrize("moves_its_folder", [True, False])
def test_nothing_is_taken_into_a_file_that_was_moved(path: Path, moves_its_folder: bool) -> None:
    at = path.parent / "folder" / path.name
    at.parent.mkdir()
    file = opened(at)
    moved = at.parent if moves_its_folder else at
    moved.rename(path.parent / "away")
    with pytest.raises(FileNotFoundError, match="moved or replaced: put it back"):
        file.append([b"lost"])
    (path.parent / "away").rename(moved)
    assert file.append([b"kept"]) == 1
    file.close()
    assert read(at) == [b"kept"]


def test_a_file_that_took_its_place_stays(path: Path) -> None:
    file = opened(path)
    path.unlink()
    other = opened(path)
    other.append([b"waits"])
    file.close()
    other.close()
    assert read(path) == [b"waits"]


def test_entries_and_their_end_are_flushed_before_they_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is on the disk when `append` and `clear` return."""
    file, unflushed = opened(path), []
    write, flush = os.pwrite, os.fdatasync

    def written(descriptor: int, content: bytes, at: int) -> int:
        unflushed.append(at)
        return write(descriptor, content, at)

    def flushed(descriptor: int) -> None:
        flush(descriptor)
        unflushed.clear()

    monkeypatch.setattr(os, "pwrite", written)
    monkeypatch.setattr(os, "fdatasync", flushed)
    for change in (lambda: file.append([b"one"]), file.clear):
        change()
        assert unflushed == []
    file.close()


@pytest.mark.parametrize("change", ["append", "clear"])
def test_what_could_not_be_flushed_does_not_count(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file = opened(path)
    file.append([b"one"])

    def broken(_descriptor: int) -> None:
        raise OSError(EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            file.append([b"two"]) if change == "append" else file.clear()
    assert file.waiting == 1
    file.close()
