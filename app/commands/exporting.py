"""The log in a file for other programs, with progress on the way."""

import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from app.commands.told import tell
from app.mistakes import seen
from app.settings import Settings
from jobs.export import export
from policy.errors import InvalidInput
from policy.types import DAY_S, HOUR_S
from storage.stores import open_reader

SPAN = re.compile(r"(\d{1,6})([hdw])")
SECONDS = {"h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S}
ALWAYS_S = 0.0
PARQUET = b"PAR1"
"""So begins every Parquet file."""


def export_log(settings: Settings, path: Path, since: str | None, *, as_json: bool) -> None:
    """Write the log to a file, showing how far it has come, and say how much it was.

    raises : InvalidInput if `since` is no moment, or the file cannot be written; ConfigError
    """
    since_s = ALWAYS_S if since is None else moment_s(since, time.time())
    path = _writable(path)
    with open_reader(settings.database) as log:
        length = log.decided_since(since_s)
        with click.progressbar(length=length, label="exporting", file=sys.stderr) as shown:
            try:
                decisions = export(log, path, since_s, shown.update)
            except OSError as error:
                # pyarrow says more than what went wrong in `strerror`.
                why = os.strerror(error.errno) if error.errno else error
                raise InvalidInput(f"cannot write {path}: {why}") from error
    told = {"file": str(path), "decisions": decisions, "bytes": path.stat().st_size}
    said = f"{decisions} decisions in {path} ({told['bytes']:,} bytes)"
    tell(told, said, as_json=as_json)


def _writable(path: Path) -> Path:
    """Return the file that a path leads to: another one is put in its place once it is whole.

    raises : InvalidInput if that must not be: it is no file, or none that we have written
    """
    found = Path(os.path.realpath(path))
    if found.exists() and not found.is_file():
        raise InvalidInput(f"{path} is no file: give the name of one to be made", param="file")
    if _begins(found) not in {b"", PARQUET}:
        raise InvalidInput(
            f"{path} is there and no Parquet file, so it stays: give another name", param="file"
        )
    return found


def _begins(path: Path) -> bytes:
    """Return the first bytes of a file; what is not there, or cannot be read, is told later."""
    try:
        with path.open("rb") as file:
            return file.read(len(PARQUET))
    except OSError:
        return b""


def moment_s(since: str, now_s: float) -> float:
    """Return the moment that a span before now, or a day (UTC), begins.

    raises : InvalidInput

    >>> moment_s("36h", 1e9) == 1e9 - 36 * 3600, moment_s("1970-01-02", 1e9)
    (True, 86400.0)
    """
    span = SPAN.fullmatch(since)
    if span is not None:
        return now_s - int(span[1]) * SECONDS[span[2]]
    try:
        return datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InvalidInput(
            f"since is {seen(since)}: it must be a span such as 36h, 30d or 2w, or a day such as "
            "2026-11-01",
            param="since",
        ) from error
