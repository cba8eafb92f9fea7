"""What waits for the disk holds up nobody: neither the loop, nor where there is none."""

import subprocess
import sys
import threading

from app.processes.loop import beside

SERVED_MEANWHILE = """
from gevent import monkey
monkey.patch_all()
import os, threading
from gevent import sleep, spawn
from app.processes.loop import beside

reader, writer = os.pipe()
loop, served = threading.get_native_id(), []

def serve():
    for n in range(3):
        served.append(n)
        sleep(0)
    os.write(writer, b".")

def wait():
    os.read(reader, 1)
    return monkey.get_original("threading", "get_native_id")()

spawn(serve)
worked = beside(wait)
print(served, worked != loop)
"""


def test_where_no_loop_serves_the_work_is_done_here() -> None:
    assert beside(threading.get_ident) == threading.get_ident()


def test_the_loop_serves_others_while_work_waits() -> None:
    command = [sys.executable, "-c", SERVED_MEANWHILE]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[0, 1, 2] True\n"
