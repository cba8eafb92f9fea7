"""The traffic is added up once and kept: whatever the pieces, its sums are those of the log."""

import math
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from app.monitoring.traffic import (
    DAY_S,
    HOUR_S,
    MOST_WORDS,
    OTHER,
    OWN_TASKS,
    STEP_S,
    Following,
    Traffic,
    TrafficSums,
)
from app.pages.charts import span
from policy.evaluate import mean_interval
from storage.sqlite_log import SqliteLog
from storage.traffic import TrafficRow
from tests.app.running import Running
from tests.storage.rounds import DECISION, NOON_S, OUTCOME, but

ROW = TrafficRow(
    start_s=NOON_S,
    arm="small",
    task="maths",
    kind="routed",
    status="ok",
    tenant="acme",
    decisions=1,
    requests=1,
    cost_usd=0.5,
    latency_s=2.0,
    rated=0,
    reward=0.0,
    square=0.0,
    rated_at_s=0.0,
)


def rows(n: int, seed: int = 0) -> list[TrafficRow]:
    chance = random.Random(seed)
    return [
        replace(
            ROW,
            start_s=NOON_S + STEP_S * chance.randrange(600),
            arm=chance.choice("abc"),
            task=chance.choice(["maths", "support", None]),
            cost_usd=chance.random(),
        )
        for _ in range(n)
    ]


def test_folding_changes_no_sum() -> None:
    given = rows(500)
    whole = Traffic().add(given, 7)
    folded = whole.folded(NOON_S, NOON_S + DAY_S)
    assert len(folded.starts_s) < len(whole.starts_s)
    assert folded.total().cost_usd == pytest.approx(sum(row.cost_usd for row in given))
    for arm, sums in whole.by("arm").items():
        assert folded.by("arm")[arm].cost_usd == pytest.approx(sums.cost_usd)
    for start_s, sums in whole.by_step(HOUR_S).items():
        assert folded.by_step(HOUR_S)[start_s].decisions == sums.decisions
    assert folded.upto_seq == 7


def test_what_is_recent_stays_fine_and_what_is_old_goes() -> None:
    given = [replace(ROW, start_s=NOON_S + i * STEP_S) for i in range(48)]
    folded = Traffic().add(given, 1).folded(NOON_S + HOUR_S, NOON_S + 2 * HOUR_S)
    assert len(folded.between(NOON_S + HOUR_S, NOON_S + 2 * HOUR_S).starts_s) == 1
    assert len(folded.between(NOON_S + 2 * HOUR_S, NOON_S + 9 * HOUR_S).starts_s) == 24
    assert folded.total().decisions == 36


def test_traffic_is_told_apart_by_whatever_is_asked() -> None:
    traffic = Traffic().add([ROW, replace(ROW, arm="large", task=None, cost_usd=0.25)], 1)
    assert traffic.where("arm", ["large"]).total().cost_usd == 0.25
    assert traffic.where("task", [None]).total().cost_usd == 0.25
    assert traffic.where("arm", ["nobody"]).total() == TrafficSums()
    assert set(traffic.by("task")) == {"maths", None}


def test_tasks_that_are_ids_do_not_fill_the_memory() -> None:
    given = [replace(ROW, task=f"request {i}") for i in range(MOST_WORDS + 50)]
    traffic = Traffic().add(given, 1)
    assert len(traffic.words) <= MOST_WORDS + 6
    assert traffic.by("task")[OTHER].decisions > 50
    assert traffic.total().decisions == MOST_WORDS + 50


def test_tasks_that_are_ids_hide_no_task_of_another_tenant() -> None:
    given = [replace(ROW, task=f"request {i}") for i in range(2 * MOST_WORDS)]
    theirs = [replace(ROW, task=f"theirs {i}", tenant="beta") for i in range(OWN_TASKS + 50)]
    for pieces in (
        [given + theirs],
        [given, theirs[:60], theirs[60:]],
        [theirs[:60], given, theirs],
    ):
        traffic = Traffic()
        for upto, piece in enumerate(pieces, start=1):
            traffic = traffic.add(piece, upto)
        told = set(traffic.where("tenant", ["beta"]).by("task"))
        assert told == {each.task for each in theirs[:OWN_TASKS]} | {OTHER}
        assert len(traffic.words) <= MOST_WORDS + OWN_TASKS + 7


def test_the_interval_of_many_ratings_is_near_that_of_the_textbook() -> None:
    chance = random.Random(1)
    rewards = [chance.choice([0.0, 0.5, 1.0]) for _ in range(400)]
    sums = TrafficSums(
        rated=len(rewards), reward=sum(rewards), square=sum(each * each for each in rewards)
    )
    mean, off = statistics.mean(rewards), 1.96 * statistics.pstdev(rewards) / math.sqrt(400)
    assert sums.satisfaction == pytest.approx(mean)
    assert sums.satisfaction_interval == pytest.approx((mean - off, mean + off), abs=0.002)
    assert TrafficSums().satisfaction_interval is None
    assert TrafficSums(rated=5, reward=5.0, square=5.0).satisfaction_interval == mean_interval(
        5, 5.0, 5.0
    )


def test_what_is_new_is_added_to_what_was_there(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        following = Following(log, tmp_path, lambda: NOON_S + 60)
        assert following.now().total() == TrafficSums()
        for i in range(3):
            at_s = NOON_S - i * 40 * DAY_S
            log.decide(but(DECISION, id=f"d{i}", decided_at_s=at_s))
            log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=at_s)).wait()
            assert following.now().total().decisions == i + 1
        assert following.now("acme").total().decisions == 3
        assert following.now("rival").total().decisions == 0
        # Somebody who comes later looks at what is kept, and finds the same there.
        later = Following(log, tmp_path, lambda: NOON_S + 60).now()
        assert later.between(NOON_S - 41 * DAY_S, NOON_S + DAY_S).total().decisions == 2


def test_what_was_added_up_is_kept_and_gone_on_from(tmp_path: Path) -> None:
    def clock() -> float:
        return NOON_S + 60

    def ask(i: int) -> None:
        log.decide(but(DECISION, id=f"d{i}", decided_at_s=NOON_S))
        log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=NOON_S)).wait()
        log.rate(f"d{i}", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=9e9)

    with SqliteLog(tmp_path / "turnpike.db") as log:
        first = Following(log, tmp_path, clock)
        for i in range(3):
            ask(i)
        assert first.advance() is False
        first.save()
        ask(3)
        log.rate("d3", "ann", None, at_s=NOON_S + 9, tenant="acme", window_s=9e9)  # withdrawn
        later = Following(log, tmp_path, clock)
        assert later.advance() is False
        assert later.now().total() == Following(log, tmp_path / "none", clock).now().total()
        assert later.now().by("arm").keys() == {"small"}
        assert later.now().rated_at_s == {("acme", "small"): NOON_S}
        [kept] = (tmp_path / "traffic").glob("*.snapshot")
        kept.write_bytes(kept.read_bytes()[:-9])
        assert Following(log, tmp_path, clock).now().total() == later.now().total()


def test_sums_of_another_log_are_not_gone_on_from(tmp_path: Path) -> None:
    """As after a backup was put in the place of the log, or on another replica of one."""

    def ask(log: SqliteLog, name: str) -> None:
        log.decide(but(DECISION, id=name, decided_at_s=NOON_S))
        log.settle(but(OUTCOME, decision_id=name, at_s=NOON_S)).wait()

    with SqliteLog(tmp_path / "lost.db") as lost, SqliteLog(tmp_path / "turnpike.db") as log:
        ask(lost, "a")
        ask(lost, "b")
        following = Following(lost, tmp_path, lambda: NOON_S + 60)
        following.now()
        following.save()
        for name in "cde":
            ask(log, name)
        assert Following(log, tmp_path, lambda: NOON_S + 60).now().total().decisions == 3
        assert list((tmp_path / "traffic").iterdir()) == []


def test_much_is_added_up_a_piece_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.monitoring.traffic.PIECE", 2)
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for i in range(5):
            log.decide(but(DECISION, id=f"d{i}", decided_at_s=NOON_S))
            log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=NOON_S)).wait()
        following = Following(log, tmp_path, lambda: NOON_S + 60)
        assert [following.advance() for _ in range(3)] == [True, True, False]
        assert following.now().total().decisions == 5


def test_no_piece_takes_what_is_recent_for_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.monitoring.traffic.SLACK", 1)
    monkeypatch.setattr("app.monitoring.traffic.PIECE", 4)
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for i, at_s in enumerate([NOON_S - 2 * DAY_S] * 3 + [NOON_S - 900, NOON_S - 300]):
            log.decide(but(DECISION, id=f"d{i}", decided_at_s=at_s))
            log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=at_s)).wait()
        traffic = Following(log, tmp_path, lambda: NOON_S + 60).now()
        assert span("1h", traffic, NOON_S + 60).of(traffic).total().decisions == 2


def test_a_thumb_is_in_the_sums_at_once(service: Running) -> None:
    answer = service.ask(task="maths")
    service.rate(answer["id"], "up")
    total = service.parts.traffic.now().total()
    assert (total.requests, total.rated, total.satisfaction) == (1, 1, 1.0)
    service.rate(answer["id"], "neutral")
    assert service.parts.traffic.now().total().rated == 0
    assert service.parts.traffic.now().by("task")["maths"].cost_usd == answer["cost_usd"]
