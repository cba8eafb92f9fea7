"""What was decided and paid, in order, whatever the log is stored in."""

import pytest

from storage import spending
from storage.log import Log
from tests.storage.rounds import DECISION, NOON_S, OUTCOME, but


def decided(log: Log, identity: str, at_s: float = 0.0, **more: object) -> None:
    log.decide(but(DECISION, id=identity, decided_at_s=NOON_S + at_s, **more))


def settled(log: Log, identity: str, **more: object) -> None:
    log.settle(but(OUTCOME, decision_id=identity, **more)).wait()


def test_a_row_holds_what_was_decided_and_what_it_cost(log: Log) -> None:
    decided(log, "d")
    settled(log, "d", cost_usd=0.003)
    [row] = log.spending(NOON_S, NOON_S + 1)
    assert (row.id, row.tenant, row.task, row.kind, row.arm) == (
        "d",
        "acme",
        "support",
        "routed",
        "small",
    )
    assert (row.eligible, row.propensities) == (("small", "large"), (0.75, 0.25))
    assert (row.predicted_usd, row.quality) == ((0.001, 0.010), (0.6, 0.9))
    assert (row.cost_usd, row.status, row.cache) == (0.003, "ok", "miss")
    assert (row.words, row.cached_by_arm) == (90, {"small": 1_200})
    assert (row.first_eligible, row.first_predicted_usd) == ((), ())


def test_a_stored_answer_brings_what_its_first_decision_expected(log: Log) -> None:
    decided(log, "d")
    settled(log, "d")
    decided(log, "again", 5, kind="cached", answer_of="d", eligible=("small",))
    settled(log, "again", cache="hit", cost_usd=0.0)
    decided(log, "orphan", 6, kind="cached", answer_of="gone")
    settled(log, "orphan", cache="hit", cost_usd=0.0)
    _, again, orphan = log.spending(NOON_S, NOON_S + 9)
    assert again.first_eligible == ("small", "large")
    assert again.first_predicted_usd == (0.001, 0.010)
    assert orphan.first_eligible == ()


def test_what_has_not_ended_or_is_of_another_time_is_left_out(log: Log) -> None:
    for n in range(5):
        decided(log, f"d{n}", n)
    for n in (0, 1, 2, 4):
        settled(log, f"d{n}")
    assert [row.id for row in log.spending(NOON_S + 1, NOON_S + 4)] == ["d1", "d2"]
    assert log.decided_since(NOON_S + 1) == 4


def test_the_rows_of_one_tenant_are_its_own(log: Log) -> None:
    for identity, tenant in (("a", "acme"), ("b", "rival"), ("c", "acme")):
        decided(log, identity, tenant=tenant)
        settled(log, identity)
    assert [row.id for row in log.spending(NOON_S, NOON_S + 1, "acme")] == ["a", "c"]
    assert list(log.spending(NOON_S, NOON_S + 1, "nobody")) == []


def test_rows_come_in_order_over_many_pages(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "PAGE", 3)
    for n in range(10):
        decided(log, f"d{9 - n}", n // 2)
        settled(log, f"d{9 - n}")
    rows = [(row.decided_at_s, row.id) for row in log.spending(NOON_S, NOON_S + 60)]
    assert rows == sorted(rows)
    assert len(rows) == 10
