"""A service starts although there is no room for its log: what comes meanwhile waits beside it."""

import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.wiring import cache_path
from storage.cache_file import Bounds, CacheFile
from storage.sqlite_log import SqliteLog
from tests.app.running import BESIDE, SUM, Provider, eventually, running
from tests.storage.filling import little_room
from tests.storage.rounds import DECISION, but
from tests.storage.test_cache_file import ANSWER

HALF_A_DAY_S = 43_200.0
ROOM_BYTES = 65_536
"""What the smallest spool takes; what is to be written to the log is more than that."""
MANY = 1_000


def test_a_log_that_cannot_be_written_keeps_nobody_from_starting(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions without an end get it once there is room. Nor does a cache that has none."""
    monkeypatch.setattr("app.processes.keeper.ABANDON_EVERY_S", 0.0)
    with running(tmp_path, sandbox_url=provider.url) as service:
        path = cache_path(tmp_path / BESIDE)
    left = CacheFile(path, Bounds(answers=100, bytes=1_000_000, age_s=1e12))
    left.put(but(ANSWER, text="x" * ROOM_BYTES))
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n in range(MANY):
            made_at_s = time.time() - HALF_A_DAY_S
            lost = log.decide(but(DECISION, id=f"lost-{n}", decided_at_s=made_at_s))
        lost.wait()
    with closing(left), ExitStack() as ending:
        with little_room(ROOM_BYTES):
            service = ending.enter_context(running(tmp_path, sandbox_url=provider.url))
            answer = service.post("/complete", {"prompt": SUM})
        assert answer.headers["x-turnpike-durable"] == "spool"
        assert not path.exists()
        log = service.parts.log
        assert eventually(lambda: log.counts().outcomes == MANY + 1)
        assert service.get(f"/decisions/{answer.json['id']}")["arm"] == answer.json["arm"]
