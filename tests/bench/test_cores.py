"""Work is spread over processes and comes back in the order it was asked for."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from threading import Thread

import pytest

from bench.cores import spread


@dataclass(frozen=True)
class Square:
    name: str = "square"

    def of(self, seed: int) -> int:
        return seed * seed


@dataclass(frozen=True)
class Slow:
    begun: Path
    name: str = "slow"

    def of(self, seed: int) -> None:
        (self.begun / str(seed)).touch()
        time.sleep(2)


@pytest.mark.slow
def test_results_are_in_the_order_of_the_seeds(capfd: pytest.CaptureFixture[str]) -> None:
    assert spread(Square(), [3, 1, 2]) == [9, 1, 4]
    assert "square: 3 of 3 seeds, 0 s left" in capfd.readouterr().err


@pytest.mark.slow
def test_what_is_interrupted_begins_nothing_more(tmp_path: Path) -> None:
    cores = os.cpu_count() or 1

    def interrupt() -> None:
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        spread(Slow(tmp_path), range(4 * cores))
    assert 0 < len(list(tmp_path.iterdir())) <= cores
    assert active_children() == []


@pytest.mark.slow
def test_who_is_killed_leaves_nobody_at_work(tmp_path: Path) -> None:
    told = "from tests.bench.test_cores import *; spread(Slow(Path(sys.argv[1])), range(99))"
    command = [sys.executable, "-c", told, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as killed:
        while not list(tmp_path.iterdir()):
            time.sleep(0.01)
        killed.kill()
        killed.communicate(timeout=30)  # returns when nobody holds its output open any more
