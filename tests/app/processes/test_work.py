"""What the scheduler does by what the log says."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.monitoring.reporting import AT_ONCE
from app.processes.children import answers
from app.processes.work import Starter, jobs
from app.settings import Settings
from jobs import failures
from jobs.scheduler import Job
from policy.types import HOUR_S
from storage.latest import Latest
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.app.monitoring.test_lookout import DECIDED
from tests.app.running import CATALOGUE, Provider, running
from tests.storage.rounds import RETRAIN, but

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("hours_ago", "retrains"), [(2.0, 2), (0.75, 1), (-999.0, 2)])
def test_a_retrain_that_was_missed_while_nothing_ran_is_made_up_for_after_the_start(
    tmp_path: Path,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    hours_ago: float,
    retrains: int,
) -> None:
    path, at_s = tmp_path / "turnpike.db", time.time() - hours_ago * HOUR_S
    with running(tmp_path, sandbox_url=provider.url):
        pass
    with SqliteLog(path) as log:
        log.record_retrain(but(RETRAIN, started_at_s=at_s, ended_at_s=at_s)).wait()
    settings = Settings.load({}, {"database": path, "sandbox": "off"})
    for name in ("DATABASE", "SANDBOX"):
        monkeypatch.setenv(f"TURNPIKE_{name}", str(getattr(settings, name.lower())))
    [missed] = [job for job in jobs(settings) if job.name == "retrain when missed"]
    assert missed.first_s is not None
    missed.do()
    with SqliteReader(path) as log:
        assert len(log.retrains()) == retrains


def test_a_log_that_has_become_long_has_its_report_without_waiting_for_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turnpike.db"
    settings = Settings.load({}, {"database": path, "sandbox": "off", "arms": CATALOGUE})
    for name in ("DATABASE", "ARMS"):
        monkeypatch.setenv(f"TURNPIKE_{name}", str(getattr(settings, name.lower())))
    [awaited] = [job for job in jobs(settings) if job.name == "report when awaited"]
    versions = []
    with SqliteLog(path) as log:
        for n in range(AT_ONCE + 1):
            if n == AT_ONCE:
                versions.append(kept_reports(path, awaited))
            log.decide(but(DECIDED, id=f"tp-{n}", decided_at_s=time.time()))
    versions += [kept_reports(path, awaited) for _ in range(2)]
    assert versions == [0, 1, 1]


@pytest.mark.parametrize(
    ("why", "begun"), [({"prune": "it broke"}, 1), ({"report": "it broke"}, 0)]
)
def test_a_prune_that_has_failed_is_run_again_although_somebody_has_pruned_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: dict[str, str], begun: int
) -> None:
    path, starts = tmp_path / "turnpike.db", list[tuple[str, ...]]()
    with SqliteLog(path) as log:
        log.replace(Latest(name=failures.NAME, at_s=0.0, version=1, body=why)).wait()
    monkeypatch.setattr(Starter, "start", lambda _self, *more: starts.append(more))
    [prune] = [job for job in jobs(Settings.load({}, {"database": path})) if job.name == "prune"]
    prune.do()
    assert len(starts) == begun


def kept_reports(path: Path, job: Job) -> int:
    job.do()
    with SqliteReader(path) as log:
        made = log.latest("report")
    return 0 if made is None else made.version


def test_a_sandbox_that_is_run_alone_says_where_it_answers() -> None:
    command = [sys.executable, "-m", "app", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = re.match(r"The sandbox answers at http://(\S+)/v1\.", process.stdout.readline())
        assert told is not None
        assert answers(told[1])
        process.terminate()
