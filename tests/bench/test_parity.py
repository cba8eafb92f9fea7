"""An answer without a row, or a row without an answer, ends a load test."""

from pathlib import Path

import pytest

from bench.parity import RowsDiffer, parity
from storage.sqlite_log import SqliteLog
from tests.storage.rounds import DECISION, OUTCOME, but


def answers(log: SqliteLog, *names: str, status: str = "ok") -> None:
    for name in names:
        log.decide(but(DECISION, id=name))
        log.settle(but(OUTCOME, decision_id=name, status=status)).wait()


def test_as_many_rows_as_answers_are_well(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        answers(log, "before")
        with parity(tmp_path / "turnpike.db") as counted:
            answers(log, "a", "b")
            answers(log, "c", status="error")
            assert counted.add(1) == 1
            counted.add(1)


def watched(log: SqliteLog, database: Path, told: int) -> None:
    with parity(database) as counted:
        answers(log, "a", "b")
        counted.add(told)


@pytest.mark.parametrize("told", [1, 3])
def test_a_row_too_few_or_too_many_is_told(tmp_path: Path, told: int) -> None:
    database = tmp_path / "turnpike.db"
    with SqliteLog(database) as log, pytest.raises(RowsDiffer, match=f"got {told} .*has 2 more"):
        watched(log, database, told)


def test_who_has_no_log_is_not_held_to_one() -> None:
    with parity(None) as counted:
        counted.add(5)
