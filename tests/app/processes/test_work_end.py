"""The scheduler ends at once with what it has started, and starts nothing more."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.processes.test_serve import children, environment, is_alive
from tests.app.running import Provider, eventually, running

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_scheduler_that_is_told_to_end_starts_no_further_job(
    tmp_path: Path, provider: Provider
) -> None:
    (tmp_path / "sandbox").mkdir()
    with running(tmp_path / "sandbox", sandbox_url=provider.url) as service:
        service.ask()
    dials = {"TURNPIKE_RETRAIN_EVERY_S": "1", "TURNPIKE_REPORT_EVERY_S": "60"}
    environ = environment(tmp_path, 1, **dials)
    with subprocess.Popen(
        [sys.executable, "-m", "app", "work"], cwd=ROOT, env=environ, start_new_session=True
    ) as scheduler:
        assert eventually(lambda: any("retrain" in each for each in started(scheduler)), 60)
        pids = [scheduler.pid, *children(scheduler.pid)]
        os.killpg(scheduler.pid, signal.SIGTERM)
        assert scheduler.wait(20) == 0
        assert eventually(lambda: not any(map(is_alive, pids)), 20)
        assert members(scheduler.pid) == []


def started(scheduler: subprocess.Popen[bytes]) -> list[str]:
    return list(children(scheduler.pid).values())


def members(session: int) -> list[str]:
    """Return the living processes of a session."""
    listed = subprocess.run(
        ["ps", "-s", str(session), "-o", "stat=,args="], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]
