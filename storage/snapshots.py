"""A posterior saved with the log position it has learned up to, so that a start refolds little.

A snapshot is a shortcut, never the truth: any that is damaged, of a newer schema or missing is
passed over, at worst for a fold from the first event. Its name says by which mark the log knows the
event it has learned up to, so that one that was learned from events which the log has lost since is
told from the log's own. This room does not know what the arrays mean.
"""

import hashlib
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from structlog import get_logger

from policy.errors import DamagedFile
from storage import parcel
from storage.states import SavedState

Arrays = Mapping[str, NDArray[Any]]
Mark = Callable[[int], str]
"""Tells by which mark the log knows the event at a position."""

LOGGER = get_logger()
SCHEMA = 1
KEEP = 5
SUFFIX = ".snapshot"
NAME = re.compile(r"(?P<seq>\d{12})-v(?P<version>\d{6})-(?P<mark>[0-9a-f]{16})\.snapshot")


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The arrays of a posterior, and up to which event a policy version had learned them."""

    path: Path
    upto_seq: int
    arrays: Arrays


def digest(arrays: Arrays) -> str:
    """Return the SHA-256 over the names, types, shapes and bytes of the arrays.

    >>> digest({"mean": np.zeros(2)}) == digest({"mean": np.zeros(2)})
    True
    >>> digest({"mean": np.zeros(2)}) == digest({"mean": np.zeros(3)})
    False
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        total.update(name.encode() + b"\0" + _pack(arrays[name]))
    return total.hexdigest()


def save(folder: Path, policy_version: int, upto_seq: int, arrays: Arrays, mark: str) -> Snapshot:
    """Return the snapshot, durable in the folder; all but the newest few are deleted.

    `mark` is that of the event at `upto_seq`.

    raises : OSError if it cannot be written; earlier snapshots stay
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Names begin with upto_seq in equal width, so their order is that of learning.
    path = folder / f"{upto_seq:012d}-v{policy_version:06d}-{mark}{SUFFIX}"
    parcel.write(path, _header(policy_version, upto_seq, arrays), _blobs(arrays))
    for old in _newest_first(folder)[KEEP:]:
        old.unlink(missing_ok=True)
    return Snapshot(path, upto_seq, arrays)


def load(path: Path) -> Snapshot:
    """Return a snapshot.

    raises : DamagedFile if it is cut short, altered, or of a schema this program does not know
    """
    return _snapshot(path, *parcel.read(path))


def state(policy_version: int, upto_seq: int, arrays: Arrays) -> SavedState:
    """Return the arrays in the form in which the log keeps what a policy is adopted with."""
    header = _header(policy_version, upto_seq, arrays)
    content = parcel.packed(header, _blobs(arrays))
    return SavedState(policy_version=policy_version, upto_seq=upto_seq, content=content)


def of_state(state: SavedState) -> Snapshot:
    """Return the snapshot that a policy was adopted with, as the log has kept it.

    raises : DamagedFile as above
    """
    where = f"what policy version {state.policy_version} was adopted with"
    return _snapshot(Path(where), *parcel.opened(where, state.content))


def _snapshot(path: Path, header: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Snapshot:
    if header.get("schema") != SCHEMA:
        raise DamagedFile(
            f"{path} has schema {header.get('schema')}, and this program reads {SCHEMA}: "
            "a newer Turnpike wrote it"
        )
    arrays = {name: _unpack(path, blob) for name, blob in blobs.items()}
    if digest(arrays) != header["sha256"]:
        raise DamagedFile(f"{path} holds other arrays than its header says: their SHA-256 differs")
    return Snapshot(path, header["upto_seq"], arrays)


def forget_before(folder: Path, policy_version: int) -> None:
    """Delete the snapshots of earlier policy versions: what they had learned is to be unlearned."""
    for path in folder.glob(f"*{SUFFIX}"):
        named = NAME.fullmatch(path.name)
        if named is None or int(named["version"]) < policy_version:
            path.unlink(missing_ok=True)


def newest(folder: Path, mark: Mark, policy_version: int) -> Snapshot | None:
    """Return the whole snapshot that has learned furthest of one policy version, None without one.

    One whose last event is not the log's, of whatever version, is deleted: the log would grow past
    it one day.
    """
    for path in _newest_first(folder):
        named = NAME.fullmatch(path.name)
        if named is None:
            LOGGER.warning("a snapshot of an earlier Turnpike is of no use", deleted=str(path))
            path.unlink(missing_ok=True)
        elif mark(int(named["seq"])) != named["mark"]:
            _delete(path)
        elif int(named["version"]) == policy_version:
            try:
                return load(path)
            except DamagedFile as error:
                LOGGER.warning("snapshot passed over", reason=error.message)
    return None


def _delete(path: Path) -> None:
    LOGGER.error(
        "the log lacks what was learned from it: was its -wal file deleted, or an older copy put "
        "in its place?",
        deleted=str(path),
    )
    path.unlink(missing_ok=True)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


def _header(policy_version: int, upto_seq: int, arrays: Arrays) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "policy_version": policy_version,
        "upto_seq": upto_seq,
        "sha256": digest(arrays),
    }


def _blobs(arrays: Arrays) -> dict[str, bytes]:
    return {name: _pack(array) for name, array in arrays.items()}


def _pack(array: NDArray[Any]) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=False)
    return packed.getvalue()


def _unpack(path: Path, blob: bytes) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(blob), allow_pickle=False)
    except ValueError as error:
        raise DamagedFile(f"{path} holds something that is no array of numbers: {error}") from error
    return array
