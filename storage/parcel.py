"""One file of a JSON header and named blobs: written all or nothing, checked by its SHA-256.

The first line is the SHA-256 of everything after it, the second the header with the length of each
blob, then come the blobs themselves. Nothing in it can be executed, and no altered byte passes.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from policy.errors import DamagedFile
from policy.types import HOUR_S

Header = Mapping[str, Any]
Blobs = Mapping[str, bytes]

LENGTHS = "lengths"
PRIVATE = 0o600
DRAFT = ".draft"


def write(path: Path, header: Header, blobs: Blobs) -> None:
    """Write the file, durable under its name.

    raises : OSError if the disk is full or the folder may not be written; an older file stays
    """
    clear(path.parent, f".*{DRAFT}")
    draft = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    try:
        _write_durably(draft, packed(header, blobs))
        give_to_folders_owner(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder where there is none, of the same owner as the one around it."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        give_to_folders_owner(path)


def give_to_folders_owner(path: Path) -> None:
    """Let what root has made belong to whom its folder does: the service may be another user's."""
    if os.geteuid() == 0:
        whose = path.parent.stat()
        with suppress(OSError):  # a root that may give nothing away
            os.lchown(path, whose.st_uid, whose.st_gid)  # never what a link of theirs leads to


def packed(header: Header, blobs: Blobs) -> bytes:
    """Return the content of a file."""
    lengths = {name: len(blob) for name, blob in blobs.items()}
    first = json.dumps({**header, LENGTHS: lengths}, allow_nan=False).encode() + b"\n"
    body = b"".join([first, *blobs.values()])
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def read(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return header and blobs of a file.

    raises : DamagedFile unless every byte is as it was written
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFile(f"cannot read {path}: {error.strerror}") from error
    return opened(str(path), content)


def opened(where: str, content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return header and blobs of a file's content, wherever it was kept.

    raises : DamagedFile unless every byte is as it was written
    """
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise DamagedFile(
            f"{where} is cut short or altered: its SHA-256 is not the one in its first line"
        )
    first, _, rest = body.partition(b"\n")
    blobs = {}
    try:
        header: dict[str, Any] = json.loads(first)
        for name, length in header.pop(LENGTHS).items():
            blobs[name], rest = rest[:length], rest[length:]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFile(f"{where} has a header that is none of ours: {error}") from error
    return header, blobs


def clear(folder: Path, drafts: str) -> None:
    """Delete what is left of files whose writers were killed: nobody writes for an hour."""
    for draft in folder.glob(drafts):
        with suppress(OSError):  # another was quicker, or nobody may: it is no reason not to write
            if draft.stat().st_mtime < time.time() - HOUR_S:
                draft.unlink()


def _write_durably(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def private(path: str, flags: int) -> int:
    """Return the descriptor of a file that, if it is made now, only its owner can read."""
    return os.open(path, flags, PRIVATE)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at a path from every other, None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_taken(lock: int) -> bool:
    """Return whether another process holds the lock of an open file; if not, it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def flush_folder(folder: Path) -> None:
    """Make durable which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
