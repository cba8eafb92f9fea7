"""Imported evals by the file they came from, and their withdrawal: they stay, and teach nothing."""

from dataclasses import dataclass

from storage.erasing import DELETE_STATES
from storage.rows import restore, text
from storage.sql import AskLog, Sql, Values

COLUMN = "ALTER TABLE evals ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0"

BATCHES = """
SELECT substr(batch, 1, 64) AS batch, min(at_s) AS at_s, count(*) AS scores,
    count(DISTINCT prompt_sha256) AS prompts, count(DISTINCT arm) AS arms,
    max(withdrawn) AS withdrawn
FROM evals GROUP BY substr(batch, 1, 64) ORDER BY min(at_s), substr(batch, 1, 64)
"""

WITHDRAW = "UPDATE evals SET withdrawn = :withdrawn WHERE substr(batch, 1, 64) = :batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The scores of one imported file, which `batch`, its SHA-256, names."""

    batch: str
    at_s: float
    scores: int
    prompts: int
    arms: int
    withdrawn: bool


def batches(ask: AskLog, named: str = "") -> list[Batch]:
    """Return every imported file whose name begins so, oldest first."""
    found = [restore(Batch, row) for row in ask(BATCHES, {})]
    return [each for each in found if each.batch.startswith(text(named).lower())]


def withdraw(db: Sql, values: Values) -> None:
    """Let the scores of a file teach nothing, or again; what policies learned of them goes."""
    db.execute(WITHDRAW, values)
    db.execute(DELETE_STATES)
