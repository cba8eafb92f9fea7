"""What other processes give to the one that writes the log: a file each, imported exactly once.

A child process or the command line must not write to the database of a running service. It leaves
a parcel in a folder instead; the service imports it in one transaction together with its id, then
deletes it. Killed in between, it finds the id in the log and only deletes. A parcel that cannot be
used is moved to `rejected/` and reported, never dropped. Whoever takes one, or takes it back, has
its lock meanwhile: only one of the two happens.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy.errors import DamagedFile, StoreUnavailable, TurnpikeError
from storage import parcel
from storage.parcel import Blobs
from storage.recorder import HandoverRow, LogRecorder

SCHEMA = 1
SUFFIX = ".handover"
REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Handover:
    """Something another process made: its kind says how `payload` and `blobs` are to be read."""

    id: str
    kind: str
    payload: dict[str, Any]
    blobs: Blobs


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one parcel: `status` is imported, repeated or rejected, and `reason` why."""

    path: Path
    status: str
    reason: str = ""


Translate = Callable[[Handover], Sequence[HandoverRow]]


def hand_over(folder: Path, kind: str, payload: dict[str, Any], blobs: Blobs) -> str:
    """Return the id of the parcel that now lies in the folder, whole and durable."""
    parcel.make_folder(folder)
    handover_id = uuid.uuid4().hex
    header = {"schema": SCHEMA, "id": handover_id, "kind": kind, "payload": payload}
    parcel.write(folder / f"{handover_id}{SUFFIX}", header, blobs)
    return handover_id


def pending(folder: Path) -> list[Path]:
    """Return the parcels that wait, oldest first."""
    aged = [(_written_at(path), path.name, path) for path in folder.glob(f"*{SUFFIX}")]
    return [path for at, _, path in sorted(aged) if at]


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # taken since the folder was listed
        return 0
    except OSError:  # a link that leads nowhere: whoever takes it is told
        return 1


def read(path: Path) -> Handover:
    """Return what a parcel holds.

    raises : DamagedFile if it is cut short, altered, or of a schema this program does not know
    """
    header, blobs = parcel.read(path)
    if header.get("schema") != SCHEMA:
        raise DamagedFile(
            f"{path} has schema {header.get('schema')}, and this program reads {SCHEMA}: "
            "another version of Turnpike wrote it"
        )
    try:
        return Handover(str(header["id"]), header["kind"], header["payload"], blobs)
    except KeyError as error:
        raise DamagedFile(f"{path} has no {error}: another program wrote it") from error


def take(folder: Path, log: LogRecorder, translate: Translate, at_s: float) -> list[Taken]:
    """Record everything that waits in the folder; return what became of each parcel.

    `translate` says which rows a parcel stands for, and raises InvalidInput if it makes no sense.
    One that can be neither taken nor set aside keeps no other from being taken.

    raises : StoreUnavailable if the log cannot be written now; the parcels stay for the next time;
             OSError if there are only parcels that can be neither taken nor set aside
    """
    taken: list[Taken] = []
    stuck: list[OSError] = []
    for path in pending(folder):
        try:
            taken += _take_locked(path, log, translate, at_s)
        except FileNotFoundError:
            continue  # another has taken it, or taken it back
        except OSError as error:
            stuck.append(error)
    if stuck and not taken:
        raise stuck[0]
    return taken


def withdraw(folder: Path, handover_id: str) -> bool:
    """Take a parcel back, and return whether that was possible: False if somebody has taken it."""
    path = folder / f"{handover_id}{SUFFIX}"
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            path.unlink()
    except FileNotFoundError:
        return False
    return True


def _take_locked(path: Path, log: LogRecorder, translate: Translate, at_s: float) -> list[Taken]:
    """Return what became of a parcel, nothing if another has it in hand."""
    if os.path.lexists(path) and not path.is_file():
        return [_rejected(path, f"{path} is no file")]
    try:
        file = path.open("rb")
    except PermissionError as error:
        return [_rejected(path, f"cannot read {path}: {error.strerror}")]
    with file:
        return [] if parcel.is_taken(file.fileno()) else [_take_one(path, log, translate, at_s)]


def _take_one(path: Path, log: LogRecorder, translate: Translate, at_s: float) -> Taken:
    try:
        handover = read(path)
        new = log.receive(handover.id, handover.kind, at_s, translate(handover)).wait()
    except StoreUnavailable:
        raise
    except TurnpikeError as error:
        if not path.exists():
            return Taken(path, "repeated")
        return _rejected(path, error.message)
    path.unlink(missing_ok=True)  # another process of ours may have been quicker
    return Taken(path, "imported" if new else "repeated")


def _rejected(path: Path, reason: str) -> Taken:
    rejected = path.parent / REJECTED
    parcel.make_folder(rejected)
    path.replace(rejected / path.name)
    return Taken(path, "rejected", reason)
