"""A process whose parent is killed ends itself, with all that it has started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.processes.test_serve import is_alive
from tests.app.running import eventually

ROOT = Path(__file__).parents[3]

PARENT = """
import os, subprocess, sys, time
child = [sys.executable, "-c", sys.argv[1]]
environ = {**os.environ, "TURNPIKE_PARENT_PID": str(os.getpid())}
subprocess.Popen(child, env=environ, start_new_session=True)
time.sleep(600)
"""
CHILD = """
import os, subprocess, time
from app.processes.orphan import end_with_parent
end_with_parent()
grandchild = subprocess.Popen(["sleep", "600"])
print(os.getpid(), grandchild.pid, flush=True)
grandchild.wait()
"""


@pytest.mark.slow
def test_who_has_lost_its_parent_ends_with_all_that_it_has_started() -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        os.kill(parent.pid, signal.SIGKILL)
        assert eventually(lambda: not any(map(is_alive, pids)), within_s=30)
