"""The ledger answers a retrain exactly as the store of the service does after the same rounds."""

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.ledger import Ledger
from policy.hyper import Hyper
from storage.events import EvalEvent
from storage.learnable import LearnableLog
from storage.records import Decision, Eval
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import DECISION, OUTCOME, RETRAIN

SCORE = Eval(
    batch="b",
    at_s=DECISION.decided_at_s,
    prompt_sha256="c",
    task=None,
    sketch=b"e",
    arm="large",
    score=0.5,
)


def decisions() -> list[Decision]:
    return [
        replace(DECISION, id=f"d{i}", decided_at_s=DECISION.decided_at_s + i, prompt_sha256=f"{i}")
        for i in range(5)
    ]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Ledger, LearnableLog]]:
    """One evaluation, five decisions, all settled, three rated, a retrain between."""
    ledger = Ledger(Hyper())
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(ledger.latest_policy()).wait()
        log.add_evals([SCORE]).wait()
        ledger.import_eval(
            EvalEvent(**{f.name: getattr(SCORE, f.name) for f in fields(EvalEvent)} | {"seq": 2})
        )
        for i, decision in enumerate(decisions()):
            outcome = replace(OUTCOME, decision_id=decision.id, at_s=decision.decided_at_s)
            log.decide(decision).wait()
            ledger.decide(decision, 0)
            log.settle(outcome).wait()
            ledger.settle(decision, outcome)
            if i % 2 == 0:
                at_s = decision.decided_at_s + 1
                log.rate(
                    decision.id, "user", i / 4, at_s=at_s, tenant=decision.tenant, window_s=1e9
                )
                ledger.rate(decision, i / 4, at_s)
            if i == 1:
                done = replace(RETRAIN, report={"upto_seq": log.position()})
                log.record_retrain(done).wait()
                ledger.record_retrain(done)
        yield ledger, log


def plain(record: Any) -> Any:
    """A record by value, arrays as lists."""
    if isinstance(record, np.ndarray):
        return record.tolist()
    if hasattr(record, "__dataclass_fields__"):
        return type(record).__name__, {
            f.name: plain(getattr(record, f.name)) for f in fields(record)
        }
    return dict(record) if hasattr(record, "items") else record


def test_events_come_in_the_same_order_with_the_same_content(
    both: tuple[Ledger, LearnableLog],
) -> None:
    ledger, log = both
    assert [plain(event) for event in ledger.events()] == [plain(event) for event in log.events()]
    some = [plain(event) for event in ledger.events(2, 6)]
    assert some == [plain(event) for event in log.events(2, 6)]
    assert ledger.position() == log.position() == 10


def test_rated_rounds_come_newest_first(both: tuple[Ledger, LearnableLog]) -> None:
    ours, theirs = (
        [(each.decision.id, each.reward) for each in log.decisions(rated_only=True)] for log in both
    )
    assert ours == theirs == [("d4", 1.0), ("d2", 0.5), ("d0", 0.0)]


@pytest.mark.parametrize("limit", [0, 1, 3, None])
def test_a_limit_counts_the_newest(both: tuple[Ledger, LearnableLog], limit: int | None) -> None:
    ours, theirs = ([each.decision.id for each in log.decisions(limit=limit)] for log in both)
    assert ours == theirs


def test_counts_recent_decisions_and_policy_agree(both: tuple[Ledger, LearnableLog]) -> None:
    ledger, log = both
    assert ledger.counts() == log.counts()
    assert ledger.counts().feedback_since_retrain == 2
    assert [each.id for each in ledger.recent(2)] == [each.id for each in log.recent(2)]
    found = log.latest_policy()
    assert found is not None
    assert found.hyper == ledger.latest_policy().hyper
