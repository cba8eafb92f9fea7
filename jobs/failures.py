"""Jobs that have failed, kept in the log until they come to their end: an alarm tells of them."""

import time
from collections.abc import Mapping
from pathlib import Path

from jobs.intake import of_latest
from storage.handover import hand_over
from storage.latest import Latest
from storage.reader import LogReader

NAME = "failed jobs"


def failed(log: LogReader) -> Mapping[str, str]:
    """Return why each job has failed that has not come to its end since."""
    return _whys(log.latest(NAME))


def follow(data: Path, log: LogReader, job: str, reason: str | None) -> None:
    """Hand over that a job has failed for this reason, or has come to its end; if that is news."""
    kept = log.latest(NAME)
    before = _whys(kept)
    others = {name: why for name, why in before.items() if name != job}
    now = others if reason is None else {**others, job: reason}
    if now != before:
        hand_over(data / "handover", *of_latest(Latest.after(kept, NAME, time.time(), now)))


def _whys(kept: Latest | None) -> Mapping[str, str]:
    return {} if kept is None else kept.body
