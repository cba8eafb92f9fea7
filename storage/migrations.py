"""The schema of the log, as an ordered list of changes that only ever grows.

Tables mirror `records.py` column by column. Times are seconds since 1970, money is US dollars,
vectors are little-endian float64, lists and mappings are JSON. The four column types (TEXT,
INTEGER, REAL, BLOB) and everything else here but STRICT have one equal in PostgreSQL, where
`postgres_schema.py` puts it.
"""

from collections.abc import Callable
from typing import Protocol, cast

from sqlite_utils import Database, Migrations

from storage import allotments, erasing, keys, latest, leases, search, states, words
from storage.views import REMADE, VIEWS

MIGRATIONS = Migrations("turnpike")


class Runs(Protocol):
    """What a change is given: a connection inside a transaction, of either store."""

    def execute(self, sql: str, /) -> object:
        """Do what a statement says."""
        ...


Change = Callable[[Runs], None]

TABLES = """
CREATE TABLE log_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO log_position (one, seq) VALUES (1, 0);

CREATE TABLE decisions (
    id TEXT PRIMARY KEY,
    decided_at_s REAL NOT NULL,
    tenant TEXT NOT NULL,
    task TEXT,
    session TEXT,
    policy TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    learned_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    retry_of TEXT REFERENCES decisions (id),
    arm TEXT NOT NULL,
    propensity REAL NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    eligible TEXT NOT NULL,
    propensities TEXT NOT NULL,
    quality TEXT NOT NULL,
    quality_sd TEXT NOT NULL,
    cost_usd_predicted TEXT NOT NULL,
    ineligible TEXT NOT NULL,
    willingness_to_pay_usd REAL NOT NULL,
    explore INTEGER NOT NULL,
    allowance REAL NOT NULL,
    feature_version INTEGER NOT NULL,
    context BLOB NOT NULL,
    sketch BLOB NOT NULL,
    input_tokens_estimated INTEGER NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    words INTEGER NOT NULL,
    sandbox INTEGER NOT NULL
) STRICT;

CREATE INDEX decisions_by_time ON decisions (decided_at_s, id);

CREATE TABLE attempts (
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    n INTEGER NOT NULL,
    arm TEXT NOT NULL,
    started_at_s REAL NOT NULL,
    latency_s REAL NOT NULL,
    ttft_s REAL,
    status TEXT NOT NULL,
    http_status INTEGER,
    message TEXT,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    PRIMARY KEY (decision_id, n)
) STRICT;

CREATE TABLE outcomes (
    decision_id TEXT PRIMARY KEY REFERENCES decisions (id),
    at_s REAL NOT NULL,
    arm TEXT NOT NULL,
    status TEXT NOT NULL,
    finish_reason TEXT,
    model TEXT,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    usage_estimated INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    latency_s REAL NOT NULL,
    ttft_s REAL,
    cache TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE
) STRICT;

CREATE INDEX outcomes_by_time ON outcomes (at_s);

CREATE TABLE feedback (
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    rater TEXT NOT NULL,
    revision INTEGER NOT NULL,
    at_s REAL NOT NULL,
    reward REAL CHECK (reward >= 0 AND reward <= 1),
    comment TEXT,
    arm TEXT NOT NULL,
    excluded INTEGER NOT NULL,
    seq INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (decision_id, rater, revision)
) STRICT;

CREATE INDEX feedback_by_time ON feedback (at_s);

CREATE TABLE evals (
    batch TEXT NOT NULL,
    at_s REAL NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    task TEXT,
    sketch BLOB NOT NULL,
    arm TEXT NOT NULL,
    score REAL NOT NULL CHECK (score >= 0 AND score <= 1),
    seq INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (batch, prompt_sha256, arm)
) STRICT;

CREATE TABLE policies (
    version INTEGER PRIMARY KEY,
    created_at_s REAL NOT NULL,
    source TEXT NOT NULL,
    feature_version INTEGER NOT NULL,
    space BLOB NOT NULL,
    hyper TEXT NOT NULL,
    seq INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE retrains (
    id TEXT PRIMARY KEY,
    started_at_s REAL NOT NULL,
    ended_at_s REAL NOT NULL,
    trigger TEXT NOT NULL,
    incumbent_version INTEGER NOT NULL,
    candidate_version INTEGER,
    promoted INTEGER NOT NULL,
    reason TEXT NOT NULL,
    report TEXT NOT NULL
) STRICT;

CREATE TABLE snapshots (
    policy_version INTEGER NOT NULL,
    upto_seq INTEGER NOT NULL,
    path TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    created_at_s REAL NOT NULL
) STRICT;

CREATE TABLE handovers (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    received_at_s REAL NOT NULL
) STRICT;
"""


@MIGRATIONS()
def m001_tables(db: Runs) -> None:
    """Create every table of the log."""
    run(db, TABLES)


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
