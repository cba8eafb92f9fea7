"""Jobs run again and again, one at a time, also after one of them failed."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.running import eventually

pytestmark = pytest.mark.slow

PROGRAM = """
import signal, sys, threading, time
from app.processes.journal import write_lines
from jobs.scheduler import Job, run

write_lines("info", {})
running = threading.Lock()

def note(what):
    with open(sys.argv[1], "a") as lines:
        lines.write(f"{what}\\n")

def work(name):
    def do():
        if not running.acquire(blocking=False):
            note("two at a time")
            return
        time.sleep(0.02)
        running.release()
        note(name)
        if name == "fails":
            raise OSError("the disk is away")
    return do

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
run([Job(name, 0.1, work(name)) for name in ("works", "fails")])
"""


SET_BACK = """
import signal, sys, time
from datetime import datetime, timedelta
from apscheduler.schedulers import base
from jobs import scheduler

years_s = [0.0]
real = time.time
time.time = lambda: real() - years_s[0]

class Clock(datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.now(zone) - timedelta(seconds=years_s[0])

base.datetime = scheduler.datetime = Clock
scheduler.LOOK_EVERY_S = 0.1

def work():
    with open(sys.argv[1], "a") as lines:
        lines.write("done\\n")
    years_s[0] = 1e8  # from the first time on

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
scheduler.run([scheduler.Job("works", 0.2, work)])
"""


def ended(program: str, told: Path, is_enough: Callable[[str], bool]) -> tuple[int, bytes]:
    """Run a program until it has told enough; return its exit code and what it has said."""
    command = [sys.executable, "-c", textwrap.dedent(program), str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            assert eventually(lambda: told.exists() and is_enough(told.read_text()), 20)
            process.terminate()
            said, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    return process.returncode, said


def test_jobs_go_on_when_the_clock_is_set_back_by_years(tmp_path: Path) -> None:
    code, said = ended(SET_BACK, tmp_path / "told", lambda told: told.count("done") >= 4)
    assert code == 0
    assert b"the clock was set back" in said


def test_jobs_run_one_at_a_time_and_survive_a_failure(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code, said = ended(PROGRAM, told, lambda told: told.count("fails") >= 3)
    assert code == 0
    done = told.read_text().split("\n")
    assert done.count("works") >= 2
    assert "two at a time" not in done
    failed = [json.loads(line) for line in said.splitlines()]
    assert {(line["event"], line["job"]) for line in failed} == {("job failed", "fails")}
    assert all("builtins.OSError: the disk is away" in line["exception"] for line in failed)
