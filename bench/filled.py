"""A log filled in bulk: as many decisions as asked for, copied from those it has."""

from dataclasses import replace
from pathlib import Path

from jobs.intake import save
from jobs.learned import Learned
from policy.errors import InvalidInput
from policy.types import DAY_S
from storage.database import open_writer
from storage.place import of_one_log
from storage.records import Attempt, Decision, Feedback, Outcome
from storage.rows import columns
from storage.sqlite_reader import SqliteReader

LASTED_S = 30 * DAY_S
QUICKLY = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -200000")

BASE = """
CREATE TEMP TABLE base AS
SELECT row_number() OVER (ORDER BY d.decided_at_s, d.id) - 1 AS place, d.id AS base_id
FROM decisions d JOIN outcomes o ON o.decision_id = d.id WHERE d.retry_of IS NULL
"""

COPIES = """
CREATE TEMP TABLE copies AS
WITH RECURSIVE counter (n) AS (
    SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n + 1 < :decisions
)
SELECT n, base_id, 'tp-' || printf('%032x', n + 1) AS new_id,
    :begun_s + n * :step_s AS new_at_s
FROM counter JOIN base ON place = (n * :base / :decisions + n * 7 % (1 + :base / 4)) % :base
"""

NEW: dict[type, tuple[str, dict[str, str], str]] = {
    Decision: ("decisions", {"id": "c.new_id", "decided_at_s": "c.new_at_s"}, "id"),
    Attempt: ("attempts", {"decision_id": "c.new_id", "started_at_s": "c.new_at_s"}, "decision_id"),
    Outcome: (
        "outcomes",
        {"decision_id": "c.new_id", "at_s": "c.new_at_s", "seq": ":position + 1 + c.n"},
        "decision_id",
    ),
    Feedback: (
        "feedback",
        {
            "decision_id": "c.new_id",
            "at_s": "c.new_at_s + 60",
            "seq": ":position + :decisions + row_number() OVER (ORDER BY c.n, t.rater)",
        },
        "decision_id",
    ),
}
"""For each record its table, what is new in a copy, and the column that names a decision."""

POSITION = """
UPDATE log_position SET seq = (
    SELECT max(seq) FROM (SELECT seq FROM outcomes UNION ALL SELECT seq FROM feedback)
)
"""


def fill(database: Path, decisions: int, now_s: float) -> None:
    """Let the log hold so many decisions more, spread over the last thirty days.

    Each is a copy of one that it has, with its calls, its outcome and first ratings, the early ones
    of early ones. Nothing may have the log open. What was learned before is saved as if it were
    learned from all of them, so that a start has nothing to fold.

    raises : InvalidInput if it has none that has ended
    """
    with SqliteReader(database) as log:
        policy, position = log.latest_policy(), log.position()
        if policy is None or not log.counts().outcomes:
            raise InvalidInput(f"the log {database} has no decision yet to copy: ask something")
        learned = Learned.start(policy).fold(log.events(0, position))
    _copy(database, decisions, position, now_s)
    with SqliteReader(database) as log:
        upto_seq = log.position()
        folder = of_one_log(database.parent, database)
        save(folder, replace(learned, upto_seq=upto_seq), log.mark(upto_seq))


def _copy(database: Path, decisions: int, position: int, now_s: float) -> None:
    step_s = LASTED_S / decisions
    values = {"decisions": decisions, "position": position, "step_s": step_s}
    values["begun_s"] = now_s - LASTED_S
    writer = open_writer(database)
    try:
        for pragma in QUICKLY:
            writer.db.execute(pragma)
        writer.db.execute("BEGIN")
        writer.db.execute(BASE)
        values["base"] = writer.db.execute("SELECT count(*) FROM base").fetchone()[0]
        writer.db.execute(COPIES, values)
        for kind in NEW:
            writer.db.execute(_insert(kind), values)
        writer.db.execute(POSITION)
        writer.db.execute("COMMIT")
        writer.db.execute("PRAGMA journal_mode = WAL")
    finally:
        writer.close()


def _insert(kind: type) -> str:
    """Return the SQL that copies the rows of one table; all words in it are our own."""
    table, new, names = NEW[kind]
    taken = ", ".join(new.get(name, f"t.{name}") for name in columns(kind))
    first = " WHERE t.revision = 1" if kind is Feedback else ""
    return (
        f"INSERT INTO {table} ({', '.join(columns(kind))}) "  # noqa: S608
        f"SELECT {taken} FROM copies c JOIN {table} t ON t.{names} = c.base_id{first}"
    )
