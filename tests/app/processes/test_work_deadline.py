"""A job that hangs is ended at its deadline, and the next one has its turn."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.commands.training import retrain
from app.mode import beside_log
from app.processes.work import Starter
from app.settings import Settings
from jobs.failures import failed
from jobs.intake import records
from storage.handover import take
from storage.sqlite_log import SqliteLog
from tests.app.processes.test_serve import children, environment, is_alive
from tests.app.running import CATALOGUE, Provider, eventually, running

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def test_a_job_that_goes_on_is_told_to_end_at_its_deadline(tmp_path: Path) -> None:
    given = {"arms": CATALOGUE, "database": tmp_path / "turnpike.db", "job_deadline_s": 3}
    settings = Settings.load({}, given)
    SqliteLog(settings.folder / "turnpike.db").close()
    with capture_logs() as told:
        Starter(settings, "sandbox").start("--port", "0")
    [line] = told
    assert line["event"] == "sandbox failed"
    assert line["reason"] == (
        "it was not done after 3 s (TURNPIKE_JOB_DEADLINE_S), and was told to end"
    )
    with SqliteLog(settings.folder / "turnpike.db") as log:
        [taken] = take(beside_log(settings) / "handover", log, records, 1.0)
        assert taken.status == "imported"
        assert failed(log) == {"sandbox": line["reason"]}


def test_a_retrain_that_hangs_is_killed_and_another_one_begins_and_may_retrain(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sandbox").mkdir()
    with running(tmp_path / "sandbox", sandbox_url=provider.url) as service:
        service.rate(service.ask()["id"])
    dials = {"TURNPIKE_RETRAIN_EVERY_S": "1", "TURNPIKE_JOB_DEADLINE_S": "2"}
    with (
        (tmp_path / "lines").open("wb") as lines,
        subprocess.Popen(
            [sys.executable, "-m", "app", "work"],
            cwd=ROOT,
            env=environment(tmp_path, 1, **dials),
            stderr=lines,
            start_new_session=True,
        ) as scheduler,
    ):
        hanging = set[int]()
        assert eventually(lambda: bool(hanging.update(stopped(scheduler)) or hanging), 60)
        assert eventually(lambda: not any(map(is_alive, hanging)), 60)
        assert eventually(lambda: bool(retrains(scheduler) - hanging), 60)
        os.killpg(scheduler.pid, signal.SIGTERM)
    said = (tmp_path / "lines").read_text()
    assert "was killed, after 5 s in which it did not end when told to" in said
    given = {"arms": CATALOGUE, "database": tmp_path / "sandbox" / "turnpike.db"}
    with running(tmp_path / "sandbox", sandbox_url=provider.url):
        capsys.readouterr()
        retrain(Settings.load({}, given), "manual")
        assert "another process is retraining" not in capsys.readouterr().out


def retrains(scheduler: subprocess.Popen[bytes]) -> set[int]:
    return {pid for pid, command in children(scheduler.pid).items() if "app retrain" in command}


def stopped(scheduler: subprocess.Popen[bytes]) -> set[int]:
    """Return the retrain that goes on, once it is stopped; it may end before that."""
    for pid in retrains(scheduler):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            if is_alive(pid):
                return {pid}
    return set()
