"""Group commit: what arrives together is durable together, and one bad unit harms nobody."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from policy.errors import InvalidInput, StoreUnavailable
from storage.database import open_writer
from storage.inbox import Inbox, Unit
from storage.postgres_writer import PostgresWriter
from storage.sql import Sql, WritingSql
from storage.sqlite_sql import SqliteWriter
from storage.writer import GroupWriter

COUNT = "SELECT count(*) AS n FROM handovers"
PID = "SELECT pg_backend_pid() AS pid"
ADD = "INSERT INTO handovers (id, kind, received_at_s) VALUES (:id, 'test', 0)"


@pytest.fixture(params=["sqlite", "postgres"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WritingSql]:
    writer: WritingSql
    if request.param == "sqlite":
        writer = open_writer(tmp_path / "turnpike.db")
    else:
        writer = PostgresWriter(request.getfixturevalue("postgres_url"))
    yield writer
    writer.close()


def count(db: Sql) -> int:
    return int(db.query(COUNT)[0]["n"])


def adding(name: str) -> "Unit[int]":
    return Unit(lambda db: db.execute(ADD, {"id": name}))


def refusing(db: Sql) -> None:
    db.execute(ADD, {"id": "half done"})
    raise InvalidInput("this unit is refused, not the others")


def held(writer: GroupWriter) -> threading.Event:
    """Keep the writer busy with a group of one until the event is set."""
    started, gate = threading.Event(), threading.Event()

    def hold(_db: Sql) -> None:
        started.set()
        gate.wait()

    writer.submit(hold)
    started.wait()
    return gate


def nothing() -> None:
    return None


def test_what_waits_during_one_commit_goes_into_the_next(db: WritingSql) -> None:
    commits: list[int] = []
    writer = GroupWriter(db, lambda: commits.append(count(db)))
    gate = held(writer)
    units = [writer.submit(adding(str(i)).run) for i in range(100)]
    gate.set()
    for unit in units:
        unit.wait()
    writer.close()
    assert commits == [0, 100]


def test_one_refused_unit_fails_alone_and_leaves_nothing(db: WritingSql) -> None:
    writer = GroupWriter(db, nothing)
    gate = held(writer)
    before, bad, after = (
        writer.submit(work) for work in (adding("a").run, refusing, adding("b").run)
    )
    gate.set()
    before.wait()
    after.wait()
    with pytest.raises(InvalidInput, match="refused, not the others"):
        bad.wait()
    writer.close()
    assert [row["id"] for row in db.query("SELECT id FROM handovers")] == ["a", "b"]


def test_who_is_refused_does_not_cost_the_others_their_connection(postgres_url: str) -> None:
    db = PostgresWriter(postgres_url)
    [before] = db.query(PID)
    writer = GroupWriter(db, nothing)
    with pytest.raises(InvalidInput, match="refused, not the others"):
        writer.submit(refusing).wait()
    writer.submit(adding("a").run).wait()
    assert db.query(PID) == [before]
    writer.close()
    db.close()


def test_closing_first_writes_what_waits(db: WritingSql) -> None:
    writer = GroupWriter(db, nothing)
    for i in range(1000):
        writer.submit(adding(str(i)).run)
    writer.close()
    assert count(db) == 1000
    with pytest.raises(StoreUnavailable, match="closed"):
        writer.submit(adding("late").run)


def test_a_ticket_that_takes_too_long_says_so(db: WritingSql) -> None:
    gate = threading.Event()
    writer = GroupWriter(db, nothing)
    unit = writer.submit(lambda _: gate.wait())
    with pytest.raises(StoreUnavailable, match=r"within 0\.01 s"):
        unit.wait(0.01)
    gate.set()
    assert unit.wait() is True
    writer.close()


def test_a_full_inbox_makes_its_callers_wait_then_refuses() -> None:
    inbox = Inbox(limit=2)
    for name in ("a", "b"):
        inbox.put(adding(name), 0.0)
    with pytest.raises(StoreUnavailable, match="2 writes wait"):
        inbox.put(adding("c"), 0.01)
    room = threading.Timer(0.05, inbox.take, (1,))
    room.start()
    inbox.put(adding("d"), 5.0)
    room.join()
    assert len(inbox.take(10)) == 2


def test_a_failed_group_is_refused_whole_and_the_next_one_works(db: WritingSql) -> None:
    is_sqlite = isinstance(db, SqliteWriter)

    def break_disk(db: Sql) -> None:
        failed = sqlite3.OperationalError if is_sqlite else psycopg.InternalError
        raise failed("disk I/O error")

    writer = GroupWriter(db, nothing)
    gate = held(writer)
    units = [writer.submit(work) for work in (adding("a").run, break_disk)]
    gate.set()
    for unit in units:
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            unit.wait()
    assert count(db) == 0
    writer.submit(adding("a").run).wait()
    writer.close()
    assert count(db) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_subscriber_fails_the_row_is_kept_and_the_writer_stops(db: WritingSql) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    writer = GroupWriter(db, fail)
    writer.submit(adding("kept").run).wait()
    writer.close()
    with pytest.raises(StoreUnavailable):
        writer.submit(adding("late").run)
    assert count(db) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_unit_has_a_fault_nobody_in_its_group_is_told_it_is_durable(db: WritingSql) -> None:
    def fault(_db: Sql) -> None:
        raise ZeroDivisionError

    writer = GroupWriter(db, nothing)
    gate = held(writer)
    units = [writer.submit(work) for work in (adding("a").run, fault)]
    gate.set()
    for unit in units:
        with pytest.raises(StoreUnavailable, match="writer has stopped"):
            unit.wait()
    writer.close()
    assert count(db) == 0
