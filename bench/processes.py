"""What a process and all it has started cost: CPU seconds and resident memory, from /proc."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PARENT, _TIMES, _RESIDENT = 1, slice(11, 15), 21  # of /proc/<pid>/stat, after the name


@dataclass(frozen=True, slots=True)
class Used:
    """What a tree of processes has used until now."""

    cpu_s: float
    memory_mb: float


def used(pid: int) -> Used:
    """Return what a process, its living children and those it has waited for have used.

    units  : memory counts what is shared once for each process, so it is an upper bound
    """
    stats = dict(_stats())
    tree, found = {pid}, 0
    while len(tree) > found:
        found = len(tree)
        tree |= {each for each, fields in stats.items() if int(fields[_PARENT]) in tree}
    ours = [stats[each] for each in tree if each in stats]
    ticks = sum(sum(map(int, fields[_TIMES])) for fields in ours)
    pages = sum(int(fields[_RESIDENT]) for fields in ours)
    return Used(ticks / _TICKS_PER_S, pages * _PAGE_BYTES / 1e6)


def _stats() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since the folder was listed
        yield int(path.parent.name), text.rpartition(")")[2].split()


def started_with(mark: bytes) -> dict[int, str]:
    """Return the living processes whose environment has this variable, each with its command.

    A process whose parent was killed is found too: it belongs to nobody's tree any more.
    """
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if mark in environ and command:
            found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def parent_of(pid: int) -> int:
    """Return the parent of a process, 0 once it has ended."""
    return next((int(fields[_PARENT]) for each, fields in _stats() if each == pid), 0)
