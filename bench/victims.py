"""The service's processes as they are killed: who is who, how one ends, and when all is back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from bench.processes import parent_of, started_with
from bench.serving import ROOT, ask, port_of

Victim = Literal["worker", "master", "parent", "scheduler", "retrain", "everything", "a start"]
VICTIMS: Mapping[Victim, float] = {
    "worker": 0.3,
    "master": 0.15,
    "parent": 0.1,
    "scheduler": 0.15,
    "retrain": 0.05,
    "everything": 0.15,
    "a start": 0.1,
}
"""Who is killed how often: one process, all of them at one moment, or all while they start."""

COMMANDS = {
    "master": "gunicorn",
    "worker": "gunicorn",
    "scheduler": "app work",
    "retrain": "app retrain",
}
CHILDREN = {"master", "scheduler"}
READY_WITHIN_S = 120.0
ENDED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


class Service:
    """`app serve` with all its processes."""

    def __init__(self, settings: Mapping[str, str], lines: Path) -> None:
        self.port = port_of(settings)
        self._environ = {
            **{key: value for key, value in os.environ.items() if "TURNPIKE" not in key},
            **settings,
        }
        self._lines = lines
        self._started: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process that has started all others."""
        return self._process.pid

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._started is None:
            raise RuntimeError("the service was never started")
        return self._started

    def start(self) -> None:
        """Start it; it is not ready yet."""
        with self._lines.open("ab") as lines:
            self._started = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                cwd=ROOT,
                env=self._environ,
                stdout=subprocess.DEVNULL,
                stderr=lines,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Return when it answers.

        raises : TimeoutError if it does not; RuntimeError if it has ended by itself
        """
        give_up_at = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                said = self._lines.read_text(errors="replace")[-500:]
                raise RuntimeError(
                    f"the service ended with code {self._process.returncode}: {said}"
                )
            with suppress(OSError, RuntimeError, ValueError):
                ask(self.port, "GET", "/healthz")
                return
            time.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"the service was not ready after {READY_WITHIN_S:.0f} s")

    def kill(self, victim: Victim) -> None:
        """Kill a part of it, or all, with a signal that nobody can catch."""
        if victim in {"everything", "a start"}:
            self.kill_all()
        elif victim == "parent":
            self._process.kill()
        else:
            _kill(self._found(victim))

    def kill_all(self) -> None:
        """Kill every process of it at once, also what an earlier run has left."""
        if self._started is not None:
            self._started.kill()
            self._started.wait()
        while pids := self._pids():
            for pid in pids:
                _kill(pid)
            time.sleep(LOOK_EVERY_S)

    def wait_until_gone(self) -> None:
        """Return when nothing of it is left, which happens by itself after a part was killed.

        raises : TimeoutError if something lives on
        """
        give_up_at = time.monotonic() + ENDED_WITHIN_S
        while self._process.poll() is None or self._pids():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"still there: {self._pids()}")
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> int:
        """End it in order, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(ENDED_WITHIN_S)

    def fits(self) -> set[int]:
        """Return the processes that fit a policy now."""
        return {pid for pid, said in self._pids().items() if COMMANDS["retrain"] in said}

    def _found(self, victim: Victim) -> int:
        """Return a process by its command; it may be about to start.

        Of gunicorn's two the master is our child, and the worker is the master's; a retrain is the
        scheduler's.

        raises : TimeoutError if there is none
        """
        give_up_at = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < give_up_at:
            for pid, command in self._pids().items():
                is_ours = parent_of(pid) == self._process.pid
                if COMMANDS[victim] in command and is_ours == (victim in CHILDREN):
                    return pid
            time.sleep(LOOK_EVERY_S)
        raise TimeoutError(f"there is no {victim} among {self._pids()}")

    def _pids(self) -> dict[int, str]:
        """Return its processes but the first, orphans too: by the address they all were given."""
        mark = f"TURNPIKE_BIND={self._environ['TURNPIKE_BIND']}".encode()
        return {
            pid: command
            for pid, command in started_with(mark).items()
            if self._started is None or pid != self._started.pid
        }


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
