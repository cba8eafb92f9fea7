"""The command as a process: whoever interrupts it is told nothing but the exit code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.commands.told import EX_INTERRUPTED
from app.processes.children import listens
from storage.postgres_server import free_port
from tests.app.commands.test_forgetting import SESSION, wait_beside
from tests.app.running import eventually

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "app", "doctor"]
INTERRUPTS = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


def test_an_interruption_of_an_import_ends_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(INTERRUPTS)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(COMMAND, env=environ, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (EX_INTERRUPTED, b"", b"")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_of_a_command_ends_without_a_word(
    tmp_path: Path, how: signal.Signals
) -> None:
    settings = tmp_path / "turnpike.toml"
    os.mkfifo(settings)
    environ = {**os.environ, "TURNPIKE_CONFIG": str(settings)}
    with (
        subprocess.Popen(
            COMMAND, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        settings.open("w"),  # it has begun to read them, and waits for more
    ):
        process.send_signal(how)
        said = process.communicate(timeout=60)
    assert (process.returncode, *said) == (EX_INTERRUPTED, b"", b"")


def test_an_interruption_of_the_balancer_ends_without_a_word() -> None:
    port = free_port()
    command = [*COMMAND[:-1], "balance", "--port", str(port), "--to", "127.0.0.1:9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        eventually(lambda: listens(f"127.0.0.1:{port}", 2.0), within_s=30.0)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)
    assert (process.returncode, *said) == (EX_INTERRUPTED, b"", b"")


def test_what_is_told_on_the_way_stands_in_no_result(tmp_path: Path) -> None:
    wait_beside(tmp_path)
    environ = {**os.environ, "TURNPIKE_DATABASE": str(tmp_path / "turnpike.db")}
    command = [*COMMAND[:-1], "forget", "--session", SESSION, "--yes", "--json"]
    environ["TURNPIKE_SANDBOX"] = "off"
    ended = subprocess.run(command, env=environ, capture_output=True, check=True, timeout=60)
    assert json.loads(ended.stdout)["decisions"] == 1
    assert b"the log is written again" in ended.stderr
