"""A log that is filled with copies: what was learned before is found as if learned from all."""

import time
from pathlib import Path

from bench.filled import fill
from jobs.intake import saved
from jobs.learned import Learned
from storage.place import of_one_log
from storage.sqlite_reader import SqliteReader
from tests.app.running import running, sandbox


def test_a_start_finds_a_snapshot_and_has_nothing_to_fold(tmp_path: Path) -> None:
    with sandbox() as provider, running(tmp_path, sandbox_url=provider.url) as service:
        service.ask()
    database = tmp_path / "turnpike.db"
    fill(database, 30, time.time())
    with SqliteReader(database) as log:
        policy = log.latest_policy()
        assert policy is not None
        learned = saved(of_one_log(tmp_path, database), log, Learned.start(policy))
        assert learned is not None
        assert learned.upto_seq == log.position()
