"""The journal of all callers: what they were told, on the disk before they ask for more.

A line is flushed after the answer it is about has come, and before the next request: whatever is in
it, somebody relies on. A run that was interrupted goes on with the journal it had.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from jobs.witness import Journal, Thumb

CUT_OFF = "cut off by a kill"


class Diary:
    """The journal on disk; `excused` says whether the service is being killed or started."""

    def __init__(self, path: Path) -> None:
        self.excused = threading.Event()
        self.kills = 0
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._outcomes: set[str] = set()
        self._thumbs: dict[Thumb, float | None] = {}
        self._malformed: list[str] = []
        for line in written(path):
            self._take(line)
        self._file = path.open("ab", buffering=0)

    def outcome(self, kind: str, decision_id: str) -> None:
        """Keep that an answer came to its end."""
        self._write({"outcome": decision_id, "kind": kind})

    def thumb(
        self, decision_id: str, rater: str, told: dict[str, Any], reward: float | None
    ) -> None:
        """Keep that a vote was acknowledged; one that stood already is one of these too."""
        self._write({"thumb": decision_id, "rater": rater, **told, "reward": reward})

    def refused(self, path: str) -> None:
        """Keep that something was answered with a 5xx, whatever is being killed."""
        with self._lock:
            self.seen[f"5xx of {path}"] += 1

    def fault(self, kills: int, what: str) -> None:
        """Keep that an answer was none, unless the service was killed meanwhile."""
        if kills == self.kills and not self.excused.is_set():
            self._write({"fault": what})
        else:
            with self._lock:
                self.seen[CUT_OFF] += 1

    @property
    def journal(self) -> Journal:
        """Return all that clients were told."""
        with self._lock:
            return Journal(frozenset(self._outcomes), dict(self._thumbs), tuple(self._malformed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            append(self._file.fileno(), line)
            self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        if "outcome" in line:
            self.seen[line["kind"]] += 1
            self._outcomes.add(line["outcome"])
        elif "thumb" in line:
            self.seen["thumbs"] += 1
            if line["revision"]:
                self._thumbs[line["thumb"], line["rater"], line["revision"]] = line["reward"]
        else:
            self._malformed.append(line["fault"])


def append(file: int, line: Mapping[str, Any]) -> None:
    """Write a line, durably."""
    os.write(file, json.dumps(line).encode() + b"\n")
    os.fsync(file)


def written(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file, and take off what an interrupted write left at its end."""
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
    return [json.loads(line) for line in whole.splitlines()]
