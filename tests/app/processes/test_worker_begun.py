"""A worker that is ended before it serves ends, whatever runs in it just then."""

import subprocess
import sys

BEGUN = """
import os, signal, threading, time
from app.processes.worker import Worker

worker = Worker.__new__(Worker)
worker.sockets = []
worker.patch()
signal.signal(signal.SIGTERM, worker.handle_exit)

def work():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1_000):
        time.sleep(0.001)

threading.Thread(target=work, daemon=True).start()
try:
    time.sleep(1)
    print("went on")
finally:
    print("closed")
"""


def test_a_signal_that_comes_while_a_thread_runs_ends_the_worker_not_the_thread() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BEGUN], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")
