"""Group commit: what arrives together is durable together, and one bad unit harms nobody."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from policy.errors import InvalidInput, StoreUnavailable
from storage.database import open_writer
from storage.writer import GroupWriter, Inbox, Unit

COUNT = "SELECT count(*) FROM handovers"
ADD = "INSERT INTO handovers (id, kind, received_at_s) VALUES (:id, 'test', 0)"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    file = open_writer(tmp_path / "turnpike.db")
    yield file.db
    file.close()


def adding(name: str) -> "Unit[int]":
    return Unit(lambda db: db.execute(ADD, {"id": name}).rowcount)


def refusing(db: Database) -> None:
    db.execute(ADD, {"id": "half done"})
    raise InvalidInput("this unit is refused, not the others")


def held(writer: GroupWriter) -> threading.Event:
    """Keep the writer busy with a group of one until the event is set."""
    started, gate = threading.Event(), threading.Event()

    def hold(_db: Database) -> None:
        started.set()
        gate.wait()

    writer.submit(hold)
    started.wait()
    return gate


def nothing() -> None:
    return None


def test_what_waits_during_one_commit_goes_into_the_next(db: Database) -> None:
    commits: list[int] = []
    writer = GroupWriter(db, lambda: commits.append(db.execute(COUNT).fetchone()[0]))
    gate = held(writer)
    units = [writer.submit(adding(str(i)).run) for i in range(100)]
    gate.set()
    for unit in units:
        unit.wait()
    writer.close()
    assert commits == [0, 100]


def test_one_refused_unit_fails_alone_and_leaves_nothing(db: Database) -> None:
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


def test_closing_first_writes_what_waits(db: Database) -> None:
    writer = GroupWriter(db, nothing)
    for i in range(1000):
        writer.submit(adding(str(i)).run)
    writer.close()
    assert db.execute(COUNT).fetchone()[0] == 1000
    with pytest.raises(StoreUnavailable, match="closed"):
        writer.submit(adding("late").run)


def test_a_ticket_that_takes_too_long_says_so(db: Database) -> None:
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


def test_a_failed_group_is_refused_whole_and_the_next_one_works(db: Database) -> None:
    def break_disk(db: Database) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    writer = GroupWriter(db, nothing)
    gate = held(writer)
    units = [writer.submit(work) for work in (adding("a").run, break_disk)]
    gate.set()
    for unit in units:
        with pytest.raises(StoreUnavailable, match="disk I/O error"):
            unit.wait()
    assert db.execute(COUNT).fetchone()[0] == 0
    writer.submit(adding("a").run).wait()
    writer.close()
    assert db.execute(COUNT).fetchone()[0] == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_subscriber_fails_the_row_is_kept_and_the_writer_stops(db: Database) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    writer = GroupWriter(db, fail)
    writer.submit(adding("kept").run).wait()
    writer.close()
    with pytest.raises(StoreUnavailable):
        writer.submit(adding("late").run)
    assert db.execute(COUNT).fetchone()[0] == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_a_unit_has_a_fault_nobody_in_its_group_is_told_it_is_durable(db: Database) -> None:
    def fault(_db: Database) -> None:
        raise ZeroDivisionError

    writer = GroupWriter(db, nothing)
    gate = held(writer)
    units = [writer.submit(work) for work in (adding("a").run, fault)]
    gate.set()
    for unit in units:
        with pytest.raises(StoreUnavailable, match="writer has stopped"):
            unit.wait()
    writer.close()
    assert db.execute(COUNT).fetchone()[0] == 0
