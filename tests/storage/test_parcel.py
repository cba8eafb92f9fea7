"""A parcel arrives whole or is refused; nothing half written ever has its name."""

import os
from pathlib import Path
from stat import S_ISDIR

import pytest

from policy.errors import DamagedFile
from storage import parcel

HEADER = {"kind": "test", "n": 3}
BLOBS = {"a": b"line\nline", "empty": b"", "b": bytes(range(256))}


def test_a_parcel_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "p"
    parcel.write(path, HEADER, BLOBS)
    assert parcel.read(path) == (HEADER, BLOBS)
    assert os.listdir(tmp_path) == ["p"]


def test_every_altered_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "p"
    parcel.write(path, HEADER, BLOBS)
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(DamagedFile, match="cut short or altered"):
            parcel.read(path)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 100, -1])
def test_a_parcel_cut_short_is_noticed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "p"
    parcel.write(path, HEADER, BLOBS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedFile):
        parcel.read(path)


def test_a_missing_parcel_is_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="No such file"):
        parcel.read(tmp_path / "p")


def test_a_failed_write_leaves_the_older_parcel(tmp_path: Path) -> None:
    path = tmp_path / "p"
    parcel.write(path, HEADER, BLOBS)
    with pytest.raises(ValueError, match="JSON compliant"):
        parcel.write(path, {"n": float("nan")}, BLOBS)
    with pytest.raises(TypeError):
        parcel.write(path, HEADER, {"a": "no bytes"})  # type: ignore[dict-item]
    assert parcel.read(path) == (HEADER, BLOBS)
    assert os.listdir(tmp_path) == ["p"]


def test_what_a_killed_writer_has_left_is_deleted_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    left, under_way = tmp_path / ".p.7.draft", tmp_path / ".q.8.draft"
    for draft in (left, under_way):
        draft.write_text("half")
    os.utime(left, (0.0, 0.0))
    parcel.write(tmp_path / "p", HEADER, BLOBS)
    assert sorted(os.listdir(tmp_path)) == [".q.8.draft", "p"]


def test_content_is_flushed_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        fsync(descriptor)
        found = os.fstat(descriptor)
        done.append(("folder", 0) if S_ISDIR(found.st_mode) else ("content", found.st_size))

    def named(draft: Path, path: Path) -> None:
        replace(draft, path)
        done.append(("name", 0))

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", named)
    parcel.write(tmp_path / "p", HEADER, BLOBS)
    size = (tmp_path / "p").stat().st_size
    assert done == [("content", size), ("name", 0), ("folder", 0)]
