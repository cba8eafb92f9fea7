"""What is read back from the file is what the log says, and memory does not grow with it."""

import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.export import CALLS, COLUMNS, FROM, export, schema
from jobs.judge import usable
from storage.records import Attempt, Decision, Outcome
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import ATTEMPT, DECISION, NOON_S, OUTCOME, but

ROUNDS = 23
PAGE = Path(__file__).parents[2] / "docs/export.md"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """Decisions of which some are rated, some failed over, and the last is still open."""
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n in range(ROUNDS):
            log.decide(but(DECISION, id=f"d{n:02}", decided_at_s=NOON_S + n / 3,
                           context=np.array([n / 7, 1.0]), session=f"s{n}" if n % 2 else None,
                           retry_of=f"d{n - 1:02}" if n % 5 == 4 else None))  # fmt: skip
            for call in range(1 + n % 2):
                log.attempt(but(ATTEMPT, decision_id=f"d{n:02}", n=call + 1, latency_s=n / 9))
            if n < ROUNDS - 1:
                log.settle(but(OUTCOME, decision_id=f"d{n:02}", cost_usd=n / 1e4, arm="large"))
            for rater in range(n % 3):
                log.rate(f"d{n:02}", f"r{rater}", rater / 2, at_s=NOON_S + n, tenant=None,
                         window_s=1e6)  # fmt: skip
        yield log


def told(_more: int) -> None:
    pass


def moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


@pytest.mark.parametrize("group", [1, 7, 5_000])
def test_what_is_read_back_is_what_the_log_says(log: SqliteLog, tmp_path: Path, group: int) -> None:
    path = tmp_path / "log.parquet"
    assert export(log, path, 0.0, told, group) == ROUNDS
    table = pq.read_table(path)
    assert table.schema.equals(schema())
    assert pq.ParquetFile(path).num_row_groups == -(-ROUNDS // group)
    read, said = table.to_pylist(), list(log.decisions())
    assert [row["id"] for row in read] == [each.decision.id for each in said]
    for row, each in zip(read, said, strict=True):
        decision, outcome = each.decision, each.outcome
        assert abs((row["decided_at"] - moment(decision.decided_at_s)).total_seconds()) < 2e-6
        assert row["context"] == decision.context.tolist()
        assert row["propensities"] == list(decision.propensities)
        assert dict(row["ineligible"]) == decision.ineligible
        assert dict(row["cached_by_arm"]) == decision.cached_by_arm
        assert (row["sketch"], row["session"], row["retry_of"]) == (
            decision.sketch, decision.session, decision.retry_of,
        )  # fmt: skip
        assert (row["reward"], row["answered_by"], row["cost_usd"], row["seq"]) == (
            each.reward, *((outcome.arm, outcome.cost_usd, outcome.seq) if outcome else [None] * 3),
        )  # fmt: skip
        calls = log.attempts(decision.id)
        assert [call["latency_s"] for call in row["attempts"]] == [c.latency_s for c in calls]
        assert [call["http_status"] for call in row["attempts"]] == [c.http_status for c in calls]
    assert read[0]["ended_at"] is None


def test_only_what_came_since_is_written_and_progress_is_told(
    log: SqliteLog, tmp_path: Path
) -> None:
    path, steps = tmp_path / "log.parquet", list[int]()
    written = export(log, path, NOON_S + 4, steps.append, group=4)
    assert written == sum(NOON_S + n / 3 >= NOON_S + 4 for n in range(ROUNDS))
    assert steps == [4, 4, written - 8]
    assert export(log, path, NOON_S + 999, told) == 0
    assert pq.read_table(path).num_rows == 0
    assert [each.name for each in tmp_path.glob("*.part")] == []


def test_a_file_that_cannot_be_written_leaves_the_one_before(
    log: SqliteLog, tmp_path: Path
) -> None:
    path = tmp_path / "log.parquet"
    export(log, path, 0.0, told)
    before = path.read_bytes()

    def full(_more: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        export(log, path, 0.0, full)
    assert path.read_bytes() == before
    assert len(list(tmp_path.glob(".*.part"))) == 0
    with pytest.raises(OSError, match="No such file"):
        export(log, tmp_path / "nowhere" / "log.parquet", 0.0, told)


def test_what_a_killed_export_to_the_same_file_has_left_is_deleted_an_hour_later(
    log: SqliteLog, tmp_path: Path
) -> None:
    path, names = tmp_path / "log[1].parquet", (".log[1].parquet.7.part", ".other.parquet.7.part")
    now_s = time.time()
    for name, age_s in ((names[0], 3_700), (names[1], 3_700), (".log[1].parquet.8.part", 3_500)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (now_s - age_s, now_s - age_s))
    export(log, path, 0.0, told)
    left = {each.name for each in tmp_path.glob(".*.part")}
    assert left == {names[1], ".log[1].parquet.8.part"}


def test_two_processes_may_write_one_file_at_once(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.parquet"

    def another(_more: int) -> None:
        with monkeypatch.context() as there:
            there.setattr("jobs.export.os.getpid", lambda: 1)
            export(log, path, 0.0, told)

    written = export(log, path, 0.0, another, group=1)
    assert pq.read_table(path).num_rows == written > 1


def test_the_rows_that_the_page_weighs_are_those_a_retrain_does_of_whole_answers(
    tmp_path: Path,
) -> None:
    certain = {"propensity": 1.0, "propensities": (1.0, 0.0)}
    alone = {"propensity": 1.0, "propensities": (1.0,), "eligible": ("small",)}
    decided = [{}, {"policy": "fixed:small", **certain}, alone, {"explore": False, **certain},
               {"kind": "fallback", **certain}, {"kind": "pinned", **alone}]  # fmt: skip
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n, changed in enumerate(decided):
            for status in ("ok", "continued", "error"):
                log.decide(but(DECISION, id=f"{n}{status}", **changed))
                log.settle(but(OUTCOME, decision_id=f"{n}{status}", status=status,
                               output_tokens=40 * (status != "error")))  # fmt: skip
                log.rate(f"{n}{status}", "r", 1.0, at_s=NOON_S + 3, tenant=None, window_s=1e6)
        export(log, tmp_path / "log.parquet", 0.0, told)
        weighed = {each.decision.id for each in usable(log.decisions(rated_only=True))}
    assert weighed == {"0ok", "2ok"}
    assert drawn(pq.read_table(tmp_path / "log.parquet")) == weighed


def drawn(table: pa.Table) -> set[str]:
    """Return the rows of a file that the page says another policy can be judged on."""
    (condition,) = re.findall(
        r"^select \* from 'log.parquet' where (.*?);", PAGE.read_text(), re.S | re.M
    )
    names = ["id", "reward", "kind", "explore", "propensity", "eligible", "status"]
    with sqlite3.connect(":memory:") as db:
        db.create_function("len", 1, lambda written: len(json.loads(written)))
        db.execute(f"create table log ({', '.join(names)})")
        rows = table.select(names).to_pylist()
        told_of = [{**row, "eligible": json.dumps(row["eligible"])} for row in rows]
        db.executemany(
            f"insert into log values ({', '.join(f':{name}' for name in names)})", told_of
        )
        return {identity for (identity,) in db.execute(f"select id from log where {condition}")}


def test_every_figure_of_the_log_is_a_column() -> None:
    """But for those that a row stands for itself: whose outcome it is, and how many calls."""
    named = {FROM.get(column.name, column.name) for column in COLUMNS}
    assert {field.name for kind in (Decision, Outcome) for field in fields(kind)} - named == {
        "decision_id"
    }
    called = {field.name for field in CALLS.value_type} | {"decision_id", "started_at_s"}
    assert {field.name for field in fields(Attempt)} == called - {"started_at"}
    assert all(field.metadata[b"says"] for field in schema())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    def most_bytes(rounds: int, group: int) -> int:
        counted = pa.proxy_memory_pool(pa.default_memory_pool())
        with SqliteLog(tmp_path / f"{rounds}.db") as log:
            if not log.counts().decisions:
                for n in range(rounds):
                    ticket = log.decide(but(DECISION, id=f"d{n:06}", sketch=bytes(2_000)))
                ticket.wait()
            usual = pa.default_memory_pool()
            pa.set_memory_pool(counted)
            try:
                export(log, tmp_path / "log.parquet", 0.0, told, group)
            finally:
                pa.set_memory_pool(usual)
        return int(counted.max_memory())

    few, many = most_bytes(1_500, 500), most_bytes(6_000, 500)
    assert many < 1.5 * few
    assert most_bytes(6_000, 6_000) > 3 * many  # the test can fail
