"""The views say what the tables hold, in words and sums a person can check."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from storage.database import open_writer
from storage.postgres_log import PostgresLog
from storage.reader import LogReader
from storage.records import OutcomeStatus
from tests.storage.conftest import OpenLog
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME, but

EARLY_S = NOON_S - 7 * HOUR_S
"""One o'clock in the morning of UTC: a day earlier in America."""

View = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def view(open_log: OpenLog) -> Iterator[View]:
    with open_log() as log:
        assert isinstance(log, LogReader)
        for i, (arm, cost_usd) in enumerate([("small", 0.002), ("small", 0.001), ("large", 0.012)]):
            log.decide(but(DECISION, id=f"d{i}", arm=arm, decided_at_s=NOON_S + i))
            log.settle(but(OUTCOME, decision_id=f"d{i}", arm=arm, cost_usd=cost_usd)).wait()
        log.decide(but(DECISION, id="open", decided_at_s=NOON_S - 1)).wait()
        for rater, reward in (
            ("ann", 1.0),
            ("ann", 0.0),
            ("bob", 1.0),
            ("eve", 1.0),
            ("eve", None),
        ):
            log.rate("d0", rater, reward, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        yield lambda name: [dict(row) for row in log.ask(f"SELECT * FROM {name}", {})]


def test_decisions_read_like_sentences(view: View) -> None:
    newest, _, rated, unfinished = view("decisions_readable")
    assert newest["decided_at"].startswith("2027-01-1")
    assert newest["propensities"] == "small 0.75, large 0.25"
    assert (newest["cost_usd_predicted"], newest["cost_usd"]) == (0.010, 0.012)
    assert (rated["id"], rated["reward"], rated["status"]) == ("d0", 0.5, "ok")
    assert (unfinished["id"], unfinished["status"]) == ("open", None)


def test_effective_feedback_is_the_last_word_of_each_rater(view: View) -> None:
    found = {row["rater"]: row["reward"] for row in view("feedback_effective")}
    assert found == {"ann": 0.0, "bob": 1.0}


def test_savings_add_up_by_hand(view: View) -> None:
    savings = {row["arm"]: row for row in view("savings")}
    small, large = savings["small"], savings["large"]
    assert (small["requests"], large["requests"]) == (2, 1)
    assert small["cost_usd"] == pytest.approx(0.003)
    assert small["cost_usd_if_dearest"] == pytest.approx(2 * 0.010)
    assert small["saved_usd"] == pytest.approx(0.017)
    assert large["saved_usd"] == pytest.approx(0.010 - 0.012)
    assert (small["mean_reward"], small["rated_share"]) == (0.5, 0.5)
    assert (large["mean_reward"], large["rated_share"]) == (None, 0.0)


def test_a_day_is_that_of_utc_wherever_the_machine_stands(
    open_log: OpenLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TZ", "PGTZ"):
        monkeypatch.setenv(name, "America/Los_Angeles")
    time.tzset()
    try:
        with open_log() as log:
            assert isinstance(log, LogReader)
            log.decide(but(DECISION, decided_at_s=EARLY_S))
            log.settle(but(OUTCOME, at_s=EARLY_S)).wait()
            [decided] = log.ask("SELECT decided_at FROM decisions_readable", {})
            [saved] = log.ask("SELECT day FROM savings", {})
        assert (decided["decided_at"], saved["day"]) == ("2027-01-15 01:00:00", "2027-01-15")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_thumb_on_a_stored_answer_says_nothing_of_an_arm(open_log: OpenLog) -> None:
    with open_log() as log:
        assert isinstance(log, LogReader)
        for name, cache, reward in (("asked", "miss", 0.0), ("stored", "hit", 1.0)):
            log.decide(but(DECISION, id=name))
            log.settle(but(OUTCOME, decision_id=name, cache=cache)).wait()
            log.rate(name, "ann", reward, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        [saved] = log.ask("SELECT requests, mean_reward FROM savings", {})
    assert (saved["requests"], saved["mean_reward"]) == (2, 0.0)


def test_a_log_of_before_gets_the_views_of_now(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "turnpike.db")) as writer:
        made = writer.db.schema
        writer.db.execute("DROP VIEW savings")
        writer.db.execute("CREATE VIEW savings AS SELECT date(0, 'unixepoch', 'localtime') AS day")
        writer.db.execute("DROP TABLE forgotten_spending")
        writer.db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm026_views_and_spending'")
    with closing(open_writer(tmp_path / "turnpike.db")) as writer:
        assert sorted(writer.db.schema.splitlines()) == sorted(made.splitlines())


def test_a_log_of_before_in_postgresql_gets_the_views_of_now(postgres_url: str) -> None:
    PostgresLog(postgres_url).close()
    with psycopg.connect(postgres_url) as connection:
        for statement in (
            "DROP TABLE forgotten_spending",
            "DROP VIEW savings",
            "DROP VIEW decisions_readable",
            "DROP FUNCTION date(double precision, text)",
            "DROP FUNCTION datetime(double precision, text)",
            "CREATE VIEW savings AS SELECT 'then' AS day",
            "CREATE VIEW decisions_readable AS SELECT 'then' AS decided_at",
            "DELETE FROM schema_changes WHERE name = 'functions_in_utc'",
            "DELETE FROM schema_changes WHERE name = 'm026_views_and_spending'",
        ):
            connection.execute(statement)
    with closing(PostgresLog(postgres_url)) as log:
        log.decide(but(DECISION, decided_at_s=EARLY_S)).wait()
        [decided] = log.ask("SELECT decided_at FROM decisions_readable", {})
        assert decided["decided_at"] == "2027-01-15 01:00:00"


def test_savings_are_net_of_what_failed_calls_were_billed(open_log: OpenLog) -> None:
    """As in the report: what came to nothing counts alike on both sides."""
    made: list[tuple[str, str | None, tuple[float, ...], OutcomeStatus, float]] = [
        ("a", None, (0.001, 0.020), "error", 0.010),
        ("b", "a", (0.001,), "ok", 0.001),
        ("c", None, (0.001, 0.020), "continued", 0.002),
        ("d", "c", (0.020,), "error", 0.004),
        ("e", "d", (0.001,), "filtered", 0.001),
        ("f", None, (0.001, 0.020), "timeout", 0.008),
        ("g", "f", (0.001, 0.020), "client_gone", 0.016),
    ]
    with open_log() as log:
        for i, (name, before, usd, status, billed_usd) in enumerate(made):
            arms, arm = ("small", "large")[: len(usd)], "small" if status == "ok" else "large"
            fields = {"retry_of": before, "eligible": arms, "cost_usd_predicted": usd}
            log.decide(but(DECISION, id=name, decided_at_s=NOON_S + i, **fields))
            ended = {"status": status, "cost_usd": billed_usd, "arm": arm}
            log.settle(but(OUTCOME, decision_id=name, **ended)).wait()
        small, large = sorted(log.ask("SELECT * FROM savings", {}), key=lambda row: row["cost_usd"])
    assert (small["requests"], large["requests"]) == (1, 1)
    assert small["saved_usd"] == pytest.approx(0.020 - 0.001)
    assert large["cost_usd"] == pytest.approx(0.010 + 0.002 + 0.004 + 0.001 + 0.008 + 0.016)
    assert large["saved_usd"] == pytest.approx(0.020 - 0.001 - 0.010 - 0.002 - 0.004)
    assert (small["rated_share"], large["mean_reward"]) == (0.0, None)
