"""System calls of a process as strace tells them: what was entered, and what had returned."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CALLS = ("pwrite64", "fdatasync", "fsync", "sendto", "recvfrom")
LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")
PEER = re.compile(r"->127\.0\.0\.1:(\d+)\]")


@dataclass(frozen=True)
class Call:
    """One system call: its place in the order of entries, and of returns."""

    name: str
    told: str
    entered: int
    returned: int

    @property
    def port(self) -> int:
        """Return the port of the client it is about, 0 for none."""
        found = PEER.search(self.told)
        return int(found[1]) if found else 0

    @property
    def is_of_the_log(self) -> bool:
        return "turnpike.db-wal>" in self.told


def calls(trace: Path) -> list[Call]:
    """Return the calls in the order of their entry; those that never returned are left out."""
    found: list[Call] = []
    entered: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(trace.read_text(errors="replace").splitlines()):
        match = LINE.match(line)
        if match is None:
            continue
        thread, name, told = match.groups()
        if told.endswith("<unfinished ...>"):
            entered[thread] = place, told
        elif "resumed>" in line:
            began, asked = entered.pop(thread, (place, ""))
            found.append(Call(name, asked + told, began, place))
        else:
            found.append(Call(name, told, place, place))
    return sorted(found, key=lambda call: call.entered)


@contextmanager
def traced(pid: int, trace: Path) -> Iterator[None]:
    """Trace a process and all its threads until the block ends."""
    with attached(pid, "-yy", "-s", "4096", "-o", str(trace), "-e", f"trace={','.join(CALLS)}"):
        yield


@contextmanager
def attached(pid: int, *more: str) -> Iterator[None]:
    """Let strace do as it is told with a process and all its threads until the block ends."""
    command = ["strace", "-f", *more, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracing:
        assert tracing.stderr is not None
        assert "attached" in tracing.stderr.readline()
        yield
        tracing.send_signal(signal.SIGINT)
        tracing.communicate(timeout=20)


def can_trace() -> bool:
    """Return whether calls can be traced here; if not, say so loudly."""
    try:
        with subprocess.Popen(["sleep", "30"]) as sleeping:
            asked = ["timeout", "1", "strace", "-o", os.devnull, "-p", str(sleeping.pid)]
            ended = subprocess.run(asked, capture_output=True, text=True, check=False)
            sleeping.kill()
        why = "" if "attached" in ended.stderr else ended.stderr.strip()
    except FileNotFoundError as error:
        why = f"there is no {error.filename}"
    if why:
        sys.__stderr__.write(
            f"\nNOT TESTED HERE: that the disk is flushed before every acknowledgement, because "
            f"system calls cannot be traced ({why})\n"
        )
    return not why
