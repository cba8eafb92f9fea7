"""The schema of the log, as an ordered list of changes that only ever grows.

The four column types (TEXT, INTEGER, REAL, BLOB) and everything else here but STRICT have one equal
in PostgreSQL, where `postgres_schema.py` puts it.
"""

from collections.abc import Callable
from typing import Protocol, cast

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
    withdrawing,
    words,
)
from storage.views import REMADE, VIEWS

MIGRATIONS = Migrations("turnpike")


class Runs(Protocol):
    """What a change is given: a connection inside a transaction, of either store."""

    def execute(self, sql: str, /) -> object:
        """Do what a statement says."""
        ...


Change = Callable[[Runs], None]


@MIGRATIONS()
def m001_tables(db: Runs) -> None:
    """Create every table of the log."""
    run(db, tables.TABLES)


@MIGRATIONS()
def m002_views(db: Runs) -> None:
    """Create the views."""
    run(db, VIEWS)


@MIGRATIONS()
def m003_answer_of(db: Runs) -> None:
    """Let a decision name the one whose stored answer it gave again."""
    db.execute("ALTER TABLE decisions ADD COLUMN answer_of TEXT")


@MIGRATIONS()
def m004_cached_by_arm(db: Runs) -> None:
    """Let a decision keep what of its prompt each arm's provider had in its cache."""
    db.execute("ALTER TABLE decisions ADD COLUMN cached_by_arm TEXT NOT NULL DEFAULT '{}'")


@MIGRATIONS()
def m006_keys(db: Runs) -> None:
    """Create the tables of keys, and let a decision name the one it was asked with."""
    run(db, keys.TABLES)


@MIGRATIONS()
def m007_decisions_looked_up(db: Runs) -> None:
    """Let decisions be looked up by arm, by task, and by the one they are a retry of."""
    run(db, search.INDEXES)


@MIGRATIONS()
def m010_leases(db: Runs) -> None:
    """Create the table of leases."""
    run(db, leases.TABLES)


@MIGRATIONS()
def m011_allotments(db: Runs) -> None:
    """Create the table of what each process may spend of a budget."""
    run(db, allotments.TABLES)


@MIGRATIONS()
def m012_states(db: Runs) -> None:
    """Create the table of what policies were adopted with."""
    run(db, states.TABLES)


@MIGRATIONS()
def m020_latest(db: Runs) -> None:
    """Create the table of the newest result of each kind."""
    run(db, latest.TABLE)


@MIGRATIONS()
def m021_words(db: Runs) -> None:
    """Create the table of texts, and find the hashes whose time is over."""
    run(db, words.TABLES)


@MIGRATIONS()
def m022_fenced(db: Runs) -> None:
    """Create the table of what was written under leases."""
    run(db, leases.FENCED_TABLE)


@MIGRATIONS()
def m023_stored_answers_by_time(db: Runs) -> None:
    """Let the few answers that came out of the cache be found without reading all others."""
    db.execute("CREATE INDEX outcomes_cached_by_time ON outcomes (at_s) WHERE cache <> 'miss'")


@MIGRATIONS()
def m024_tasks_only(db: Runs) -> None:
    """Leave decisions without a task out of the index by task: most requests have none."""
    run(db, search.TASKS_ONLY)


@MIGRATIONS()
def m025_secret_check(db: Runs) -> None:
    """Let a key tell with which secret it was made."""
    db.execute("ALTER TABLE keys ADD COLUMN secret_check TEXT")


@MIGRATIONS()
def m026_views_and_spending(db: Runs) -> None:
    """Make the views anew as they are now, and a table of what keys had spent on the forgotten."""
    run(db, f"{REMADE};{erasing.TABLE}")


@MIGRATIONS()
def m027_what_is_spent_of_a_piece(db: Runs) -> None:
    """Let each process tell how much of its piece of a budget is spent."""
    db.execute(allotments.SPENT)


@MIGRATIONS()
def m028_withdrawn_evals(db: Runs) -> None:
    """Let evals be withdrawn."""
    db.execute(withdrawing.COLUMN)


@MIGRATIONS()
def m029_choices(db: Runs) -> None:
    """Let an outcome tell of how many answers its tokens are."""
    db.execute("ALTER TABLE outcomes ADD COLUMN choices INTEGER NOT NULL DEFAULT 1")


def run(db: Runs, script: str) -> None:
    """Execute a script statement by statement, inside the transaction that is open.

    `executescript` would commit that transaction first. No statement here holds a semicolon inside.
    """
    for statement in filter(None, map(str.strip, script.split(";"))):
        db.execute(statement)


def migrate(db: Database) -> None:
    """Record every change the file does not have yet, all of them or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        MIGRATIONS.apply(db)
        db.execute("COMMIT")
    finally:
        if db.conn.in_transaction:
            db.execute("ROLLBACK")


def changes() -> list[tuple[str, Change]]:
    """Return every change of the schema by name, in order."""
    with Database(memory=True) as empty:
        return [(change.name, cast(Change, change.fn)) for change in MIGRATIONS.pending(empty)]


def unknown(db: Database) -> list[str]:
    """Return the changes this file has and this program does not know: a newer one wrote it."""
    known = {name for name, _ in changes()}
    return sorted({change.name for change in MIGRATIONS.applied(db)} - known)
