"""What SQLite adds to the contract: kills, foreign locks, full disks and the types of columns."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from policy.errors import StoreUnavailable
from storage.database import open_reader
from storage.inbox import Unit
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.storage.rounds import (
    ATTEMPT,
    DECISION,
    EVAL,
    HOUR_S,
    NOON_S,
    OUTCOME,
    POLICY,
    RETRAIN,
    but,
)

ROOT = Path(__file__).parents[2]

WRITES_AND_REPORTS = """
import sys, threading
from pathlib import Path
from storage.inbox import Unit
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import DECISION, OUTCOME, but

log, run = SqliteLog(Path(sys.argv[1])), sys.argv[2]

def write(thread):
    for i in range(100_000):
        name = f"{run}-{thread}-{i}"
        log.decide(but(DECISION, id=name))
        log.settle(but(OUTCOME, decision_id=name)).wait()
        sys.stdout.write(name + chr(10))
        sys.stdout.flush()

for thread in range(4):
    threading.Thread(target=write, args=(thread,), daemon=True).start()
threading.Event().wait()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turnpike.db"


def acknowledged_before_a_kill(path: Path, run: int) -> set[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITES_AND_REPORTS, str(path), str(run)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        first = child.stdout.readline()
        assert first, "the child ended before it wrote anything"
        time.sleep(0.01 * run)
        child.send_signal(signal.SIGKILL)
        # A line the kill cut short was not received whole, so it acknowledges nothing.
        rest = [line for line in child.stdout if line.endswith("\n")]
    return {line.strip() for line in [first, *rest]}


@pytest.mark.slow
def test_every_acknowledged_outcome_survives_twenty_kills(path: Path) -> None:
    acknowledged: set[str] = set()
    for run in range(20):
        acknowledged |= acknowledged_before_a_kill(path, run)
    with SqliteLog(path) as log:
        settled = {one.decision.id for one in log.decisions() if one.outcome is not None}
        assert acknowledged <= settled
        log.abandon(NOON_S + HOUR_S, NOON_S + HOUR_S)
        counts = log.counts()
        assert counts.decisions == counts.outcomes
        assert [event.seq for event in log.events()] == list(range(1, log.position() + 1))
    assert len(acknowledged) > 100
    with open_reader(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert list(db.query("PRAGMA foreign_key_check")) == []


@pytest.mark.slow
def test_a_lock_held_by_another_for_a_while_is_waited_out(path: Path) -> None:
    with SqliteLog(path) as log:
        stranger = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        stranger.execute("BEGIN IMMEDIATE")
        release = threading.Timer(1.3, stranger.execute, ("COMMIT",))
        release.start()
        start = time.monotonic()
        log.decide(DECISION).wait()
        assert time.monotonic() - start > 1.0
        release.join()
        stranger.close()


def test_a_lock_held_for_too_long_is_unavailable_not_locked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.0)
    with SqliteLog(path) as log:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            log.decide(DECISION).wait()
        stranger.execute("COMMIT")
        stranger.close()
        log.decide(DECISION).wait()


def is_durable(ticket: Unit[None]) -> bool:
    try:
        ticket.wait()
    except StoreUnavailable:
        return False
    return True


def test_a_full_disk_keeps_what_was_there_and_recovers(path: Path) -> None:
    big = but(DECISION, sketch=bytes(20_000))
    with SqliteLog(path) as log:
        db = log._file.db
        log.decide(DECISION).wait()
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 30}")
        durable = [is_durable(log.decide(but(big, id=f"d{i}"))) for i in range(20)]
        assert 0 < sum(durable) < 20
        assert log.counts().decisions == 1 + sum(durable)
        db.execute("PRAGMA max_page_count = 100000")
        log.decide(but(big, id="later")).wait()
    with SqliteReader(path) as reader:
        assert reader.counts().decisions == 2 + sum(durable)


def test_numpy_numbers_arrive_as_numbers(path: Path) -> None:
    with SqliteLog(path) as log:
        log.decide(
            but(
                DECISION,
                propensity=np.float32(0.5),
                words=np.int64(3),
                explore=np.bool_(True),
                propensities=(np.float64(0.75), np.float32(0.25)),
                quality=np.array([0.5, 0.5]),
                context=np.ones(3, dtype=np.float32),
            )
        )
        log.attempt(ATTEMPT)
        log.settle(but(OUTCOME, output_tokens=np.int32(7), cost_usd=np.float64(0.5)))
        log.add_evals([but(EVAL, score=np.float32(0.5))])
        log.adopt(POLICY)
        log.record_retrain(but(RETRAIN, report={"ess": np.float64(2.5), "n": np.int64(3)})).wait()
        log.rate("d", "ann", np.float64(0.5), at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        assert log.retrains()[0].report == {"ess": 2.5, "n": 3}
        assert log.decision("d").decision.quality == (0.5, 0.5)
    with open_reader(path) as db:
        for table in db.table_names():
            for column in db[table].columns:
                declared, name = column.type.lower(), column.name
                found = db.execute(f"SELECT DISTINCT typeof({name}) FROM {table}").fetchall()
                assert {kind for (kind,) in found} <= {declared, "null"}, (table, name)


def test_a_closed_log_refuses_instead_of_hanging(path: Path) -> None:
    log = SqliteLog(path)
    log.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        log.decide(DECISION)
    with pytest.raises(StoreUnavailable, match="closed"):
        log.position()
