"""What waits for the disk holds up nobody: neither the loop, nor where there is none."""

import subprocess
import sys
import threading

import pytest

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

SHARED = """
import threading
import gevent
from gevent import monkey
from app.processes.loop import beside
from app.processes.worker import Worker

worker = Worker.__new__(Worker)
worker.sockets = []
worker.patch()
lock, real_sleep = threading.Lock(), monkey.get_original("time", "sleep")

def hold():
    for _ in range(2):
        with lock:
            real_sleep(0.2)
            gevent.get_hub()  # from the second time on this thread has a loop of its own

def serve():
    with lock:
        pass

waiting = [gevent.spawn(beside, hold)]
gevent.sleep(0.1)
waiting += [gevent.spawn(serve) for _ in range(8)]
gevent.joinall(waiting, timeout=10)
print(sum(each.dead for each in waiting))
"""

LET_GO_TWICE = """
from gevent import monkey
monkey.patch_all()
import threading
from app.processes.loop import keep_locks

keep_locks()
lock = threading.Lock()
print(lock.acquire(timeout=1), lock.acquire(timeout=0.01), lock.acquire(blocking=False))
lock.release()
try:
    lock.release()
except RuntimeError as error:
    print(error)
"""


IDLE = """
import app.processes.worker
from gevent import monkey
monkey.patch_all()
import gc
import gevent
from gevent.hub import Hub
from app.processes.loop import beside

beside(gevent.get_hub)
gevent.sleep(6)  # a second longer than gevent lets a thread wait for work by itself
beside(gevent.get_hub)
gc.collect()
print(sum(isinstance(each, Hub) for each in gc.get_objects()))
"""


def test_where_no_loop_serves_the_work_is_done_here() -> None:
    assert beside(threading.get_ident) == threading.get_ident()


def test_the_loop_serves_others_while_work_waits() -> None:
    command = [sys.executable, "-c", SERVED_MEANWHILE]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[0, 1, 2] True\n"


def test_nobody_waits_for_ever_for_a_lock_that_work_beside_the_loop_has_let_go() -> None:
    command = [sys.executable, "-c", SHARED]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "9\n"


def test_a_lock_is_had_by_one_at_a_time_and_let_go_once() -> None:
    command = [sys.executable, "-c", LET_GO_TWICE]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "True False False\na lock was let go that nobody had\n"


@pytest.mark.slow
def test_a_service_with_little_to_do_does_not_grow_by_a_loop_with_each_request() -> None:
    command = [sys.executable, "-c", IDLE]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "2\n"  # the loop that serves, and that of the thread beside it
