"""Jobs run again and again, one at a time, also after one of them failed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import signal, sys, threading, time
from jobs.scheduler import Job, run

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


def test_jobs_run_one_at_a_time_and_survive_a_failure(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(told)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        give_up_at = time.monotonic() + 20
        while not (told.exists() and told.read_text().count("fails") >= 3):
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    done = told.read_text().split("\n")
    assert done.count("works") >= 2
    assert "two at a time" not in done
    assert b"job failed" in out + err
    assert b"the disk is away" in out + err
    assert json.dumps("Traceback").encode() not in out
