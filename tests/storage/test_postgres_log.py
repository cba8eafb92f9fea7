"""What PostgreSQL adds to the contract: several writers, restarts of the server, lost answers."""

import signal
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from policy.errors import ConfigError, StoreUnavailable
from storage.events import Event, FeedbackEvent
from storage.postgres_log import PostgresLog
from storage.postgres_reader import PostgresReader
from storage.postgres_schema import ANNOUNCE
from storage.postgres_server import PostgresServer
from storage.postgres_sql import SESSION, PostgresSql, connect, unhurried
from storage.reader import PAGE_OF_ROUNDS
from tests.storage.rounds import DECISION, EVAL, HOUR_S, NOON_S, OUTCOME, but
from tests.storage.test_log_threads import in_parallel, values

LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


@pytest.fixture
def logs(postgres_url: str) -> Iterator[list[PostgresLog]]:
    """The same log in three replicas."""
    with (
        PostgresLog(postgres_url) as a,
        PostgresLog(postgres_url) as b,
        PostgresLog(postgres_url) as c,
    ):
        yield [a, b, c]


def within(seconds: float, condition: object) -> bool:
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_replicas_are_told_the_same_events_in_the_same_order(logs: list[PostgresLog]) -> None:
    told: list[list[Event]] = [[] for _ in logs]
    for log, mine in zip(logs, told, strict=True):
        log.subscribe(mine.extend)

    def use(i: int) -> None:
        log = logs[i % 3]
        log.decide(but(DECISION, id=f"d{i}")).wait()
        log.settle(but(OUTCOME, decision_id=f"d{i}"))
        for at, reward in enumerate((1.0, 0.0, None)[: i % 4]):
            other = logs[(i + at) % 3]
            other.rate(f"d{i}", "ann", reward, at_s=NOON_S, tenant="acme", window_s=HOUR_S)

    in_parallel(use, 150)
    newest = logs[0].position()
    assert within(30, lambda: all(mine and mine[-1].seq == newest for mine in told))
    first = [values(event) for event in told[0]]
    assert [event.seq for event in told[0]] == list(range(1, newest + 1))
    assert all([values(event) for event in mine] == first for mine in told[1:])


def test_raters_at_three_replicas_leave_one_vote_each(logs: list[PostgresLog]) -> None:
    logs[0].decide(DECISION).wait()
    said: list[str] = []

    def thumb(i: int) -> None:
        given = logs[i % 3].rate("d", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        said.append(given.status)

    in_parallel(thumb, 60)
    assert sorted(said) == ["duplicate"] * 59 + ["recorded"]

    def change(i: int) -> None:
        logs[i % 3].rate("d", "bob", (i % 7) / 7, at_s=NOON_S, tenant="acme", window_s=HOUR_S)

    in_parallel(change, 60)
    events = [event for event in logs[0].events() if isinstance(event, FeedbackEvent)]
    changes = [event for event in events if event.rater == "bob"]
    for before, after in pairwise(changes):
        assert after.previous_reward == before.reward != after.reward


def test_a_replica_that_hears_nothing_looks_for_itself(
    logs: list[PostgresLog], postgres_server: str
) -> None:
    told: list[Event] = []
    logs[1].subscribe(told.extend)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(LISTENERS)
    logs[0].add_evals([EVAL]).wait()
    assert within(30, lambda: len(told) == 1)


def test_a_schema_of_a_newer_version_is_refused(postgres_url: str) -> None:
    PostgresLog(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_changes (name) VALUES ('m999_future')")
    for opened in (PostgresLog, PostgresReader):
        with pytest.raises(ConfigError, match="newer Turnpike.*m999_future"):
            opened(postgres_url)


def test_another_programs_database_is_refused(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE decisions (other TEXT)")
    with pytest.raises(ConfigError, match="already exists"):
        PostgresLog(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass('outcomes')").fetchone()
    assert found == (None,)


def test_a_reader_needs_a_log(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="start the service once"):
        PostgresReader(postgres_url)


def test_processes_that_start_together_make_one_schema(postgres_url: str) -> None:
    opened: list[PostgresLog] = []
    in_parallel(lambda _: opened.append(PostgresLog(postgres_url)), 6)
    for log in opened:
        log.close()
    assert len(opened) == 6


def test_a_change_may_take_longer_than_a_statement_and_who_starts_meanwhile_waits(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = SESSION.replace("'30s'", "'2s'").replace("'8s'", "'1s'")
    monkeypatch.setattr("storage.postgres_sql.SESSION", short)
    monkeypatch.setattr("storage.postgres_sql.LATE_S", 2.0)
    slow = (*ANNOUNCE, "DO $$ BEGIN PERFORM pg_sleep(3); END $$")
    monkeypatch.setattr("storage.postgres_schema.ANNOUNCE", slow)
    opened: list[PostgresLog] = []
    in_parallel(lambda _: opened.append(PostgresLog(postgres_url)), 2)
    with connect(postgres_url) as connection:
        with unhurried(connection):
            assert connection.answers_within_s == HOUR_S
        assert connection.answers_within_s == 2.0
    for log in opened:
        log.close()
    assert len(opened) == 2


COPIES = """
INSERT INTO {table} SELECT (jsonb_populate_record(one, jsonb_build_object(
    '{id}', one.{id} || n, '{at}', n))).*
FROM {table} one, generate_series(1001, 4000) n
"""


def test_of_rated_decisions_a_page_looks_at_ratings_of_its_own_alone(
    logs: list[PostgresLog], postgres_url: str
) -> None:
    logs[0].decide(DECISION).wait()
    logs[0].rate("d", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
    asked = {"since_s": 0.0, "until_s": 1e12, "until_id": "", "tenant": None, "rated_only": 1}
    with connect(postgres_url) as connection:
        connection.execute(COPIES.format(table="decisions", id="id", at="decided_at_s"))
        connection.execute(COPIES.format(table="feedback", id="decision_id", at="seq"))
        connection.execute("ANALYZE decisions, feedback")
        found = PostgresSql(connection).query(f"EXPLAIN {PAGE_OF_ROUNDS}", asked | {"limit": 500})
    plan = "\n".join(row["QUERY PLAN"] for row in found)
    assert "feedback_pkey" in plan
    assert "Seq Scan" not in plan


def test_no_statement_of_ours_starts_processes_on_the_server(postgres_url: str) -> None:
    with connect(postgres_url) as connection:
        shown = connection.execute("SHOW max_parallel_workers_per_gather").fetchone()
    assert shown == {"max_parallel_workers_per_gather": "0"}


def test_a_server_that_is_nowhere_is_unavailable() -> None:
    for opened in (PostgresLog, PostgresReader):
        with pytest.raises(StoreUnavailable, match="ann@127.0.0.1:1/x"):
            opened("postgresql://ann:secret@127.0.0.1:1/x")
    with pytest.raises(ConfigError, match="must look like postgresql://"):
        PostgresLog("postgresql://ann:secret@db/x?sslmod=off")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://ann:secret@[::1]5432/x", "unexpected character"),
        ("postgresql://ann:sec ret@db/x", "unexpected spaces found in"),
        ("postgresql://db/x?password=sec%00ret", "forbidden value %00 in percent-encoded value"),
    ],
)
def test_no_password_is_told_of_what_is_no_url(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"/x is no database that can be used: {why}; ") as error:
        PostgresLog(url)
    assert "sec" not in error.value.message


@pytest.fixture
def own_server(open_folder: Path) -> Iterator[PostgresServer]:
    """A server that this test may end."""
    with PostgresServer(open_folder / "postgres") as server:
        yield server


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(own_server: PostgresServer) -> None:
    acknowledged: list[str] = []
    stopping = threading.Event()

    def write(thread: int) -> None:
        i = 0
        while not stopping.is_set():
            i += 1
            name = f"{thread}-{i}"
            log.decide(but(DECISION, id=name))
            log.settle(but(OUTCOME, decision_id=name)).wait()
            acknowledged.append(name)

    with PostgresLog(own_server.url) as log:
        threads = [threading.Thread(target=write, args=(k,), daemon=True) for k in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            enough = len(acknowledged) + 20
            assert within(60, lambda: len(acknowledged) > enough)  # noqa: B023  asked at once
            own_server.restart(signal.SIGQUIT)
        enough = len(acknowledged) + 20
        assert within(60, lambda: len(acknowledged) > enough)
        stopping.set()
        for thread in threads:
            thread.join()
    with PostgresReader(own_server.url) as log:
        settled = [one.decision.id for one in log.decisions() if one.outcome is not None]
        assert sorted(acknowledged) == sorted(settled)
        assert [event.seq for event in log.events()] == list(range(1, log.position() + 1))
