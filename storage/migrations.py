"""The schema of the log, as an ordered list of changes that only ever grows.

The four column types (TEXT, INTEGER, REAL, BLOB) and everything else here but STRICT have one equal
in PostgreSQL, where `postgres_schema.py` puts it.
"""

from collections.abc import Callable, Mapping

from sqlite_utils import Database, Migrations

from storage import (
    allotments,
    erasing,
    keys,
    latest,
    leases,
    search,
    states,
    tables,
    votes,
    withdrawing,
    words,
)
from storage.views import REMADE, VIEWS

CHANGES: Mapping[str, str] = {
    "m001_tables": tables.TABLES,
    "m002_views": VIEWS,
    "m003_answer_of": "ALTER TABLE decisions ADD COLUMN answer_of TEXT",
    "m004_cached_by_arm": (
        "ALTER TABLE decisions ADD COLUMN cached_by_arm TEXT NOT NULL DEFAULT '{}'"
    ),
    "m006_keys": keys.TABLES,
    "m007_decisions_looked_up": search.INDEXES,
    "m010_leases": leases.TABLES,
    "m011_allotments": allotments.TABLES,
    "m012_states": states.TABLES,
    "m020_latest": latest.TABLE,
    "m021_words": words.TABLES,
    "m022_fenced": leases.FENCED_TABLE,
    "m023_stored_answers_by_time": (
        "CREATE INDEX outcomes_cached_by_time ON outcomes (at_s) WHERE cache <> 'miss'"
    ),
    "m024_tasks_only": search.TASKS_ONLY,
    "m025_secret_check": "ALTER TABLE keys ADD COLUMN secret_check TEXT",
    "m026_views_and_spending": f"{REMADE};{erasing.TABLE}",
    "m027_what_is_spent_of_a_piece": allotments.SPENT,
    "m028_withdrawn_evals": withdrawing.COLUMN,
    "m029_choices": "ALTER TABLE outcomes ADD COLUMN choices INTEGER NOT NULL DEFAULT 1",
    "m030_withdrawn_votes": votes.COLUMN,
    "m031_texts_by_form": erasing.BY_FORM,
}
"""By name, in order: a script of statements, none of which holds a semicolon inside."""


def statements(script: str) -> list[str]:
    """Return the statements of a script: SQLite's own way to run it commits what is open first."""
    return list(filter(None, map(str.strip, script.split(";"))))


def _change(script: str) -> Callable[[Database], None]:
    def change(db: Database) -> None:
        for statement in statements(script):
            db.execute(statement)

    return change


MIGRATIONS = Migrations("turnpike")
for _name, _script in CHANGES.items():
    MIGRATIONS(name=_name)(_change(_script))


def migrate(db: Database) -> None:
    """Record every change the file does not have yet, all of them or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        MIGRATIONS.apply(db)
        db.execute("COMMIT")
    finally:
        if db.conn.in_transaction:
            db.execute("ROLLBACK")


def unknown(db: Database) -> list[str]:
    """Return the changes this file has and this program does not know: a newer one wrote it."""
    return sorted({change.name for change in MIGRATIONS.applied(db)} - CHANGES.keys())
