"""What a tree of processes has used is counted, whoever of it did the work."""

import subprocess
import sys

from bench.processes import used

WORKS_BELOW = """
import subprocess, sys
below = "import time\\nwhile time.process_time() < 0.5: pass\\nprint(flush=True)\\ninput()"
subprocess.run([sys.executable, "-c", below])
"""


def test_the_work_of_children_counts() -> None:
    command = [sys.executable, "-c", WORKS_BELOW]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        before = used(process.pid)
        assert process.stdout is not None
        process.stdout.readline()
        after = used(process.pid)
        assert after.cpu_s - before.cpu_s > 0.3
        assert after.memory_mb > 5
        process.communicate(b"\n")


def test_a_process_that_is_gone_uses_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert used(process.pid).memory_mb == 0
