"""A row that another hand has spoilt keeps nobody from starting, answering and learning."""

import sqlite3
from pathlib import Path

import numpy as np
from structlog.testing import capture_logs

from tests.app.routing.test_live import folded, learn
from tests.app.running import Provider, running

SPOIL = "UPDATE decisions SET context = ? WHERE id = ?"


def test_h10_what_a_spoilt_row_teaches_is_passed_over_and_told(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        spoilt = service.ask()["id"]
        service.rate(spoilt)
        learn(service)
        known = service.learned.upto_seq
    for snapshot in (tmp_path / "snapshots").iterdir():
        snapshot.unlink()
    with sqlite3.connect(tmp_path / "turnpike.db") as db:
        db.execute(SPOIL, (np.full(64, np.nan).tobytes(), spoilt))
    with capture_logs() as told, running(tmp_path, sandbox_url=provider.url) as service:
        assert service.learned.upto_seq == known
        learn(service)
        assert service.rate(spoilt, "down")["status"] == "updated"
        assert service.digest == folded(service)
        quality = service.learned.beliefs.quality
        assert all(np.isfinite(seen.gram).all() for seen in quality.rated.values())
    passed_over = {line["decision"] for line in told if "nothing is learned" in line["event"]}
    assert passed_over == {spoilt}
