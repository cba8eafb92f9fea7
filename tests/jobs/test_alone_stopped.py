"""A holder that sleeps through the end of its lease wakes up to find that its work is void."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.invariants import INVARIANTS
from jobs.witness import Audit, Witness
from storage.leases import fenced
from storage.postgres_log import PostgresLog
from storage.records import Fence
from tests.app.running import eventually
from tests.storage.rounds import NOON_S, POLICY

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import jobs.alone
from policy.errors import InvalidInput
from storage.postgres_log import PostgresLog
from tests.storage.rounds import NOON_S, POLICY

jobs.alone.LEASE_S, jobs.alone.KEEP_EVERY_S = 5.0, 0.2
with PostgresLog(sys.argv[1]) as log, jobs.alone.alone(log, "retrain") as fence:
    print("at it", flush=True)
    sys.stdin.readline()
    try:
        log.receive("late", "retrain", NOON_S, [fence, POLICY]).wait()
    except InvalidInput as error:
        print(error.code, flush=True)
"""


@pytest.mark.slow
def test_what_a_stopped_holder_hands_over_when_it_wakes_is_refused(postgres_url: str) -> None:
    with (
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, postgres_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder,
        PostgresLog(postgres_url) as log,
    ):
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"at it\n"
        assert log.lease("retrain", "another", 60.0) is None
        os.kill(holder.pid, signal.SIGSTOP)
        try:
            assert eventually(lambda: log.lease("retrain", "another", 60.0) == 2, 60)
            ours = Fence(name="retrain", token=2)
            assert log.receive("mine", "retrain", NOON_S, [ours, POLICY]).wait()
        finally:
            os.kill(holder.pid, signal.SIGCONT)
        holder.stdin.write(b"go on\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == b"lease_lost\n"
        assert holder.wait(60) == 0
        assert [(each.token, each.holder) for each in fenced(log.ask)] == [(2, "another")]
        assert list(INVARIANTS["I10"](Audit(log, Witness()))) == []
