"""A reserved file for what the log cannot take: appended, flushed, and read back whole.

Its space is taken when it is made, so a full disk still has room in it. Every entry carries a
digest keyed by the term of the file; to empty the file is to begin another term, after which
nothing that an earlier one has left behind verifies.
"""

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path

from policy.errors import ConfigError
from storage.parcel import flush_folder, identity, private

TERM_BYTES = 16
DIGEST_BYTES = 16
LENGTH_BYTES = 4
HEAD_BYTES = LENGTH_BYTES + DIGEST_BYTES
GONE = "it was deleted, moved or replaced: put it back, or restart, which makes another"


class SpoolFile:
    """The file of the one process that writes the log; `waiting` are the entries in it.

    A file that still holds entries keeps its size until they are gone.

    raises : ConfigError if the space cannot be reserved
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path.absolute()
        with ExitStack() as failing:
            try:
                self._file = private(str(path), os.O_RDWR | os.O_CREAT)
                failing.callback(os.close, self._file)
                found = self.read()
                self._end = TERM_BYTES + sum(HEAD_BYTES + len(entry) for entry in found)
                self.waiting = len(found)
                self.size_bytes = self._reserved(size_bytes)
                self._term = os.pread(self._file, TERM_BYTES, 0)
                flush_folder(path.parent)
            except OSError as error:
                raise ConfigError(
                    f"cannot reserve {size_bytes} bytes for the spool {path}: {error.strerror}; "
                    "free that much space, or let TURNPIKE_SPOOL_BYTES be less"
                ) from error
            failing.pop_all()

    @property
    def is_there(self) -> bool:
        """Return whether the file at its path is the one that was opened, and as long as it was."""
        found = os.fstat(self._file)
        is_ours = identity(self.path) == (found.st_dev, found.st_ino)
        return is_ours and found.st_size >= self.size_bytes

    @property
    def used_bytes(self) -> int:
        """Return how much of the file is taken by entries that wait."""
        return self._end - TERM_BYTES

    def append(self, entries: Sequence[bytes]) -> int:
        """Return how many of the entries, from the first on, are durable now: those that fit.

        raises : OSError if the file cannot be written or flushed; none of them counts then
        """
        framed, end = [], self._end
        for entry in entries:
            if end + HEAD_BYTES + len(entry) > self.size_bytes:
                break
            framed.append(_length(entry) + _digest(self._term, entry, end) + entry)
            end += len(framed[-1])
        if framed:
            if not self.is_there:
                raise FileNotFoundError(errno.ENOENT, GONE)
            _write(self._file, b"".join(framed), self._end)
            os.fdatasync(self._file)
            self._end, self.waiting = end, self.waiting + len(framed)
        return len(framed)

    def read(self) -> list[bytes]:
        """Return the entries that wait, in the order in which they came."""
        return list(_entries(self._file))

    def clear(self) -> None:
        """Forget every entry, and leave nothing of what it said.

        raises : OSError if that cannot be made durable
        """
        term = secrets.token_bytes(TERM_BYTES)
        _write(self._file, term + bytes(self.used_bytes), 0)
        os.fdatasync(self._file)
        self._term, self._end, self.waiting = term, TERM_BYTES, 0

    def move(self, path: Path) -> None:
        """Put the file in the place of another; a power cut may leave it where it was.

        raises : OSError
        """
        self.path = self.path.replace(path.absolute())

    def close(self) -> None:
        """Close the file; what waits in it stays, and if nothing does its space is given back."""
        if not self.waiting and self.is_there:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _reserved(self, size_bytes: int) -> int:
        length = os.fstat(self._file).st_size
        if length > size_bytes and self.waiting:
            return length
        os.ftruncate(self._file, min(length, size_bytes))
        os.posix_fallocate(self._file, 0, size_bytes)
        os.fsync(self._file)
        return size_bytes


def waiting_in(path: Path) -> int:
    """Return how many entries wait in a spool that another process may hold, 0 without one.

    raises : ConfigError if this user may not read it
    """
    try:
        with path.open("rb") as file:
            return sum(1 for _ in _entries(file.fileno()))
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise ConfigError(
            f"the spool {path} cannot be read: {error.strerror}; do this as the user whose it is"
        ) from error


def _entries(file: int) -> Iterator[bytes]:
    """Yield entries up to the first that is cut short, altered or of an earlier term."""
    term, at = os.pread(file, TERM_BYTES, 0), TERM_BYTES
    while True:
        head = os.pread(file, HEAD_BYTES, at)
        entry = os.pread(file, int.from_bytes(head[:LENGTH_BYTES], "little"), at + HEAD_BYTES)
        if not entry or head != _length(entry) + _digest(term, entry, at):
            return
        yield entry
        at += HEAD_BYTES + len(entry)


def _length(entry: bytes) -> bytes:
    return len(entry).to_bytes(LENGTH_BYTES, "little")


def _digest(term: bytes, entry: bytes, at: int) -> bytes:
    placed = at.to_bytes(8, "little") + entry
    return blake2b(placed, digest_size=DIGEST_BYTES, key=term).digest()


def _write(file: int, content: bytes, at: int) -> None:
    while content:
        written = os.pwrite(file, content, at)
        content, at = content[written:], at + written
