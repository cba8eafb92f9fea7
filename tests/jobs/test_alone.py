"""One process at a time, and for as long as it works."""

import time
from pathlib import Path

import pytest

from jobs.alone import alone
from storage.sqlite_log import SqliteLog


def test_only_one_is_at_it_and_the_next_may_follow_at_once(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        with alone(log, "retrain") as fence, alone(log, "retrain") as other:
            assert fence is not None
            assert (fence.token, other) == (1, None)
        with alone(log, "retrain") as next_one:
            assert next_one is not None
            assert next_one.token == 2


def test_the_lease_is_kept_while_the_work_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.alone.LEASE_S", 1.0)
    monkeypatch.setattr("jobs.alone.KEEP_EVERY_S", 0.02)
    with SqliteLog(tmp_path / "turnpike.db") as log, alone(log, "retrain"):
        time.sleep(1.5)
        assert log.lease("retrain", "somebody", 1.0) is None
