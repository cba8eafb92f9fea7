"""A row that another hand has spoilt keeps nobody from starting, answering and learning."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from app.commands.evals import import_evals
from app.commands.training import retrain
from features.sketch import Sketch
from tests.app.routing.test_live import folded, learn
from tests.app.running import BESIDE, Provider, evals_table, running
from tests.storage.rounds import but

SPOIL = "UPDATE decisions SET context = ? WHERE id = ?"


def test_h10_what_a_spoilt_row_teaches_is_passed_over_and_told(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        spoilt = service.ask()["id"]
        service.rate(spoilt)
        learn(service)
        known = service.learned.upto_seq
    for snapshot in (tmp_path / BESIDE / "snapshots").iterdir():
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


def spoil(folder: Path, context_of: str, sketch_of: str) -> None:
    """Leave no number in a decision's context, another's sketch and the sketch of an eval."""
    with sqlite3.connect(folder / "turnpike.db") as db:
        db.execute(SPOIL, (np.full(64, np.nan).tobytes(), context_of))
        [[first]] = db.execute("SELECT min(prompt_sha256) FROM evals").fetchall()
        for table, column, key in (
            ("decisions", "id", sketch_of),
            ("evals", "prompt_sha256", first),
        ):
            where = f"{table} WHERE {column} = ?"
            kept = Sketch.from_bytes(
                db.execute(f"SELECT sketch FROM {where}", (key,)).fetchone()[0]
            )
            none = but(kept, facts=np.full_like(kept.facts, np.nan)).to_bytes()
            db.execute(f"UPDATE {where.replace(' WHERE', ' SET sketch = ? WHERE')}", (none, key))


@pytest.mark.slow
def test_h10_with_spoilt_rows_a_service_starts_answers_and_retrains(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv"))
        learn(service)
        ids = [service.ask(f"Add {n} to 2.")["id"] for n in range(2)]
        for each in ids:
            service.rate(each)
    for snapshot in (tmp_path / BESIDE / "snapshots").iterdir():
        snapshot.unlink()
    spoil(tmp_path, *ids)
    dials = {"sandbox_url": provider.url, "budget_usd": 5.0, "budget_per": "day"}
    with capture_logs() as told, running(tmp_path, **dials) as service:
        learn(service)
        retrain(service.parts.settings, "manual")
        learn(service)
        known = service.learned
        assert (known.space.version, service.digest) == (2, folded(service))
        assert np.isfinite(known.space.facts_mean).all()
        quality = known.beliefs.quality
        assert all(
            np.isfinite(seen.gram).all()
            for seen in (*quality.rated.values(), *quality.evals.values())
        )
        assert all(0 <= arm["belief"]["quality"] <= 1.2 for arm in service.get("/policy")["arms"])
    passed_over = {line["decision"] for line in told if "nothing is learned" in line["event"]}
    assert passed_over == {*ids, None}
