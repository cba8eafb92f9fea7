"""The schema mirrors the records, and is made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlite_utils import Database

from storage.database import open_writer
from storage.erasing import OVERDUE_TEXTS
from storage.migrations import MIGRATIONS, migrate, unknown
from storage.rows import TABLES, columns


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    writer = open_writer(tmp_path / "turnpike.db")
    yield writer.db
    writer.close()


def test_migrating_twice_changes_nothing(db: Database) -> None:
    schema, applied = db.schema, MIGRATIONS.applied(db)
    migrate(db)
    assert (db.schema, MIGRATIONS.applied(db)) == (schema, applied)
    assert unknown(db) == []


@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.__name__)
def test_a_table_has_the_fields_of_its_record(db: Database, kind: type) -> None:
    names = [column.name for column in db[TABLES[kind]].columns]
    assert tuple(names) == columns(kind)


def test_every_table_of_ours_is_strict(db: Database) -> None:
    made = db.query(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
    )
    lax = {row["name"] for row in made if not row["strict"]}
    assert lax <= {"_sqlite_migrations", "sqlite_schema", "sqlite_sequence"}


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT * FROM outcomes WHERE seq > 1 AND seq <= 9", "sqlite_autoindex_outcomes_2"),
        ("SELECT * FROM feedback WHERE seq > 1 AND seq <= 9", "sqlite_autoindex_feedback"),
        ("SELECT * FROM evals WHERE seq > 1 AND seq <= 9", "sqlite_autoindex_evals"),
        ("SELECT * FROM feedback WHERE decision_id = 'd'", "sqlite_autoindex_feedback"),
        ("SELECT * FROM decisions WHERE decided_at_s > 1", "decisions_by_time"),
        ("SELECT * FROM feedback WHERE at_s > 1", "feedback_by_time"),
        ("SELECT * FROM decisions WHERE arm = 'a' ORDER BY decided_at_s", "decisions_by_arm"),
        ("SELECT * FROM decisions WHERE task = 't' ORDER BY decided_at_s", "decisions_by_task"),
        ("SELECT id FROM decisions WHERE retry_of = 'd'", "decisions_by_retry"),
    ],
)
def test_what_is_asked_often_has_an_index(db: Database, sql: str, index: str) -> None:
    [plan] = db.query("EXPLAIN QUERY PLAN " + sql)
    assert index in plan["detail"]


def test_whether_a_text_must_go_is_told_by_an_index_however_many_stay(db: Database) -> None:
    told = db.query(
        "EXPLAIN QUERY PLAN " + OVERDUE_TEXTS, {"redacted": 1.0, "full": 1.0, "most": 9}
    )
    plan = [row["detail"] for row in told]
    assert sum("transcripts_by_form (form=? AND at_s<?)" in each for each in plan) == 2
    assert not any("SCAN" in each for each in plan)


def test_a_migration_that_fails_leaves_nothing_behind(db: Database) -> None:
    with Database(memory=True) as empty:
        empty.conn.isolation_level = None
        empty.execute("CREATE TABLE snapshots (other TEXT)")
        with pytest.raises(Exception, match="snapshots already exists"):
            migrate(empty)
        assert empty.table_names() == ["snapshots"]
