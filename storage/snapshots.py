"""A posterior saved with the log position it has learned up to, so that a start refolds little.

A snapshot is a shortcut, never the truth: any that is damaged, of a newer schema or missing is
passed over, at worst for a fold from the first event. This room does not know what the arrays mean.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.errors import DamagedFile
from storage import parcel
from storage.states import SavedState

Arrays = Mapping[str, NDArray[Any]]

SCHEMA = 1
KEEP = 5
SUFFIX = ".snapshot"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The arrays of a posterior, and which policy version had learned up to which event."""

    path: Path
    policy_version: int
    upto_seq: int
    arrays: Arrays
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The newest snapshot that is whole, if any, and what was wrong with newer ones."""

    snapshot: Snapshot | None
    damaged: tuple[str, ...]


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


def save(folder: Path, policy_version: int, upto_seq: int, arrays: Arrays) -> Snapshot:
    """Return the snapshot, durable in the folder; all but the newest few are deleted.

    raises : OSError if it cannot be written; earlier snapshots stay
    """
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = digest(arrays)
    header = {
        "schema": SCHEMA,
        "policy_version": policy_version,
        "upto_seq": upto_seq,
        "sha256": sha256,
    }
    path = folder / _name(policy_version, upto_seq)
    parcel.write(path, header, {name: _pack(array) for name, array in arrays.items()})
    for old in _newest_first(folder)[KEEP:]:
        old.unlink(missing_ok=True)
    return Snapshot(path, policy_version, upto_seq, arrays, sha256)


def load(path: Path) -> Snapshot:
    """Return a snapshot.

    raises : DamagedFile if it is cut short, altered, or of a schema this program does not know
    """
    return _snapshot(path, *parcel.read(path))


def of_state(state: SavedState) -> Snapshot:
    """Return the snapshot that a policy was adopted with, as the log has kept it.

    raises : DamagedFile as above
    """
    path = Path(_name(state.policy_version, state.upto_seq))
    return _snapshot(path, *parcel.opened(f"the log's {path}", state.content))


def _snapshot(path: Path, header: Mapping[str, Any], blobs: Mapping[str, bytes]) -> Snapshot:
    if header.get("schema") != SCHEMA:
        raise DamagedFile(
            f"{path} has schema {header.get('schema')}, and this program reads {SCHEMA}: "
            "a newer Turnpike wrote it"
        )
    arrays = {name: _unpack(path, blob) for name, blob in blobs.items()}
    if digest(arrays) != header["sha256"]:
        raise DamagedFile(f"{path} holds other arrays than its header says: their SHA-256 differs")
    return Snapshot(path, header["policy_version"], header["upto_seq"], arrays, header["sha256"])


def forget_before(folder: Path, policy_version: int) -> None:
    """Delete the snapshots of earlier policy versions: what they had learned is to be unlearned."""
    for path in folder.glob(f"*{SUFFIX}"):
        version = path.name.removesuffix(SUFFIX).rpartition("-v")[2]
        if int(version) < policy_version:
            path.unlink(missing_ok=True)


def newest(folder: Path, policy_version: int | None = None) -> Found:
    """Return the whole snapshot that has learned furthest, of one policy version or of any."""
    name = "*" if policy_version is None else f"*-v{policy_version:06d}"
    return _first_whole(_newest_first(folder, name))


def _first_whole(paths: Iterable[Path]) -> Found:
    damaged: list[str] = []
    for path in paths:
        try:
            return Found(load(path), tuple(damaged))
        except DamagedFile as error:
            damaged.append(error.message)
    return Found(None, tuple(damaged))


def _name(policy_version: int, upto_seq: int) -> str:
    return f"{upto_seq:012d}-v{policy_version:06d}{SUFFIX}"


def _newest_first(folder: Path, name: str = "*") -> list[Path]:
    # Names begin with upto_seq in equal width, so their order is that of learning.
    return sorted(folder.glob(f"{name}{SUFFIX}"), reverse=True)


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
