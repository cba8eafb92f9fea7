"""A process that fills its disk and goes on writing; its arguments are PATH, WAY and END.

WAY is `limit` (files may not grow beyond a size), `pages` (the database may not) or `disk` (a small
file system of its own, on which PATH must lie). END is `space` (there is room again, and what
waited is brought back) or `kill` (the process is gone at that moment). Prints what it was told.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from policy.errors import StoreUnavailable
from storage.spool import Spooling
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import ATTEMPT, DECISION, HOUR_S, NOON_S, OUTCOME, but

SPOOL_BYTES = 64 * 1024
Undo = Callable[[], object]


def round_of(log: SqliteLog, name: str) -> list[str]:
    """Record a decision with its end, and return where each row is said to be."""
    tickets: list[Any] = [
        log.decide(but(DECISION, id=name)),
        log.attempt(but(ATTEMPT, decision_id=name)),
        log.settle(but(OUTCOME, decision_id=name)),
    ]
    for ticket in tickets:
        ticket.wait()
    return [ticket.durable for ticket in tickets]


def refusal(log: SqliteLog, name: str) -> str:
    """Rate a decision, and return why that was refused."""
    try:
        log.rate(name, "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    except StoreUnavailable as error:
        return error.message
    return ""


def brought_back(log: SqliteLog, within_s: float = 20.0) -> None:
    """Bring back what waits; after a failure the log is left alone for a while."""
    give_up_at = time.monotonic() + within_s
    while log.standing.is_behind:
        with suppress(StoreUnavailable):
            log.bring_back()
        assert time.monotonic() < give_up_at, log.standing
        time.sleep(0.05)


def limit(log: SqliteLog, path: Path) -> Undo:
    wal = path.with_name(path.name + "-wal").stat().st_size
    assert wal > SPOOL_BYTES, wal
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal, resource.RLIM_INFINITY))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@contextmanager
def little_room(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def pages(log: SqliteLog, path: Path) -> Undo:
    db = log._file.db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    return lambda: db.execute("PRAGMA max_page_count = 1000000")


def disk(log: SqliteLog, path: Path) -> Undo:
    filler = path.with_name("filler")
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return filler.unlink


WAYS = {"limit": limit, "pages": pages, "disk": disk}


def main(path: Path, way: str, end: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    log = SqliteLog(path, spooling=Spooling(SPOOL_BYTES))
    for n in range(20):
        round_of(log, f"before-{n}")
    undo = WAYS[way](log, path)
    # The pages at hand are used up by some rows; what comes after them is what this is about.
    while round_of(log, f"filling-{log.counts().decisions}") == ["log"] * 3:
        pass
    told: dict[str, Any] = {"full": [round_of(log, f"full-{n}") for n in range(5)]}
    told["rating"] = refusal(log, "before-0")
    told["standing"] = [log.standing.why, log.standing.waiting]
    if end == "space":
        undo()
        brought_back(log)
        told["later"] = round_of(log, "later")
        told["waiting"] = log.standing.waiting
        log.close()
    print(json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
