"""What the scheduler does by what the log says."""

import time
from pathlib import Path

import pytest

from app.processes.work import jobs
from app.settings import Settings
from policy.types import HOUR_S
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from tests.app.running import Provider, running
from tests.storage.rounds import RETRAIN, but

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("hours_ago", "retrains"), [(2.0, 2), (0.75, 1)])
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
