"""A snapshot is taken only if it is whole; otherwise the one before it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from policy.errors import DamagedFile
from storage import parcel, snapshots

ARRAYS = {
    "precision": np.arange(12, dtype=np.float64).reshape(3, 2, 2),
    "count": np.array([3, 4], dtype=np.int64),
    "names": np.array(["small", "größer"]),
    "none": np.zeros((0, 4)),
}
MARK = "0123456789abcdef"


def ours(_seq: int) -> str:
    """Return the mark by which the log knows every event."""
    return MARK


def test_the_arrays_come_back_with_type_shape_and_bytes(tmp_path: Path) -> None:
    saved = snapshots.save(tmp_path / "new" / "folder", 3, 17, ARRAYS, MARK)
    loaded = snapshots.load(saved.path)
    assert (loaded.path, loaded.upto_seq) == (saved.path, 17)
    assert loaded.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert loaded.arrays[name].dtype == array.dtype
        assert np.array_equal(loaded.arrays[name], array)


def test_the_digest_is_of_the_arrays_alone() -> None:
    assert snapshots.digest(dict(reversed(ARRAYS.items()))) == snapshots.digest(ARRAYS)
    assert snapshots.digest({**ARRAYS, "none": np.zeros((4, 0))}) != snapshots.digest(ARRAYS)


def test_the_newest_whole_one_wins_and_damage_is_told(tmp_path: Path) -> None:
    for seq in (7, 100, 23):
        snapshots.save(tmp_path, 1, seq, ARRAYS, MARK)
    with capture_logs() as said:
        best = snapshots.newest(tmp_path, ours, 1)
        assert best is not None
        assert (best.upto_seq, said) == (100, [])
        best.path.write_bytes(best.path.read_bytes()[:-1])
        found = snapshots.newest(tmp_path, ours, 1)
    assert found is not None
    assert found.upto_seq == 23
    assert [str(best.path) in line["reason"] for line in said] == [True]


def test_no_snapshot_is_an_answer(tmp_path: Path) -> None:
    assert snapshots.newest(tmp_path / "missing", ours, 1) is None
    (tmp_path / f"000000000007-v000001-{MARK}.snapshot").touch()
    assert snapshots.newest(tmp_path, ours, 1) is None


def test_what_another_log_has_taught_is_deleted_and_told_whatever_its_version(
    tmp_path: Path,
) -> None:
    for version, seq in ((1, 5), (1, 7), (2, 9)):
        snapshots.save(tmp_path, version, seq, ARRAYS, MARK)
    with capture_logs() as said:
        found = snapshots.newest(tmp_path, lambda seq: MARK if seq < 7 else "f" * 16, 1)
    assert found is not None
    assert found.upto_seq == 5
    assert [path.name[:12] for path in tmp_path.iterdir()] == ["000000000005"]
    assert [line["log_level"] for line in said] == ["error", "error"]


def test_what_an_earlier_version_has_left_is_deleted_and_no_fault_of_the_log(
    tmp_path: Path,
) -> None:
    left = tmp_path / "000000000009-v000001.snapshot"
    left.touch()
    with capture_logs() as said:
        assert snapshots.newest(tmp_path, ours, 1) is None
    assert not left.exists()
    assert [line["log_level"] for line in said] == ["warning"]


def test_a_sample_of_altered_bytes_is_noticed(tmp_path: Path) -> None:
    path = snapshots.save(tmp_path, 1, 1, ARRAYS, MARK).path
    whole = path.read_bytes()
    for i in range(0, len(whole), 7):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x40]) + whole[i + 1 :])
        with pytest.raises(DamagedFile):
            snapshots.load(path)


def test_only_the_last_few_are_kept(tmp_path: Path) -> None:
    for seq in range(9):
        snapshots.save(tmp_path, 1, seq, ARRAYS, MARK)
    kept = [snapshots.load(path).upto_seq for path in sorted(tmp_path.iterdir())]
    assert kept == [4, 5, 6, 7, 8]


def test_what_earlier_policies_had_learned_is_forgotten(tmp_path: Path) -> None:
    for version, seq in ((1, 5), (2, 9), (3, 7)):
        snapshots.save(tmp_path, version, seq, {}, MARK)
    snapshots.forget_before(tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == [f"000000000007-v000003-{MARK}.snapshot"]
    snapshots.forget_before(tmp_path / "nowhere", 3)


def test_a_newer_schema_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1.snapshot"
    parcel.write(path, {"schema": 99}, {})
    with pytest.raises(DamagedFile, match="schema 99, and this program reads 1"):
        snapshots.load(path)


class Canary:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("canary-was-here"),))


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = pickle.dumps(np.array([Canary()], dtype=object))
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    path = tmp_path / "1.snapshot"
    for blob in (evil, header.ljust(128) + evil):
        parcel.write(path, {"schema": 1, "policy_version": 1, "upto_seq": 1}, {"a": blob})
        with pytest.raises(DamagedFile, match="no array of numbers"):
            snapshots.load(path)
    with pytest.raises(ValueError, match="Object arrays"):
        snapshots.save(tmp_path, 1, 1, {"a": np.array([Canary()], dtype=object)}, MARK)
    assert not (tmp_path / "canary-was-here").exists()
