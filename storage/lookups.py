"""What people ask of a log: sums of what went through, decisions looked up, who said what."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.rows import R, Row, restore, text
from storage.search import (
    RATED_SINCE,
    RATINGS,
    RETRIES,
    VERSIONS,
    DecisionFilter,
    DecisionMark,
    DecisionPage,
    GivenRating,
    ListedDecision,
    Version,
    questions,
)
from storage.sql import AskLog
from storage.traffic import FIRST_SINCE, RATED, SETTLED, TrafficRow

IMPORTED = """
SELECT count(*) AS scores FROM evals WHERE at_s = :at_s AND substr(batch, 1, 64) = :file_sha256
"""

DISLIKED = """
SELECT DISTINCT COALESCE(d.answer_of, d.id) AS decision_id, d.tenant
FROM feedback f JOIN decisions d ON d.id = f.decision_id
WHERE f.at_s >= :since_s AND f.reward < :below
"""

ADOPTED_AT_S = """
SELECT COALESCE(max(created_at_s), 0.0) AS at_s FROM policies WHERE source = :source
"""

LACKS = """
SELECT sought.value AS id FROM json_each(CAST(:ids AS TEXT)) sought
LEFT JOIN decisions d ON d.id = sought.value WHERE d.id IS NULL
"""


@dataclass(frozen=True, slots=True)
class Disliked:
    """The decision that made an answer which somebody did not like."""

    decision_id: str
    tenant: str


class Lookups:
    """A log as it is looked at; `ask` puts a question to the store."""

    def __init__(self, ask: AskLog) -> None:
        self._ask = ask

    def traffic(self, after_seq: int, upto_seq: int, step_s: float) -> list[TrafficRow]:
        """Return what the events with after_seq < seq <= upto_seq add up to, step by step."""
        values = {"after_seq": after_seq, "upto_seq": upto_seq, "step_s": step_s}
        return [row for sql in (SETTLED, RATED) for row in self._all(TrafficRow, sql, values)]

    def first_since(self, since_s: float) -> int | None:
        """Return the seq of the first outcome since then, None where there is none."""
        row = self._one(FIRST_SINCE, {"since_s": since_s})
        return None if row is None else int(row["seq"])

    def find(self, sought: DecisionFilter, before: DecisionMark, n: int) -> DecisionPage:
        """Return up to n decisions before a place in the log, newest first."""
        found, last, values = questions(sought, before, n)
        rows = self._all(ListedDecision, found, values)
        if len(rows) == n:
            return DecisionPage(rows, DecisionMark(rows[-1].decided_at_s, rows[-1].id))
        end = self._one(last, values)
        return DecisionPage(
            rows, None if end is None else DecisionMark(end["decided_at_s"], end["id"])
        )

    def retries(self, decision_id: str) -> list[str]:
        """Return the decisions that were made because this one failed, oldest first."""
        return [row["id"] for row in self._ask(RETRIES, {"id": text(decision_id)})]

    def ratings(self, decision_id: str) -> list[GivenRating]:
        """Return what each rater says of a decision."""
        return self._all(GivenRating, RATINGS, {"id": text(decision_id)})

    def ratings_since(self, after_seq: int) -> int:
        """Return how many ratings that teach have come or changed since an event, each once."""
        return int(self._ask(RATED_SINCE, {"after_seq": after_seq})[0]["ratings"])

    def disliked(self, since_s: float, below: float) -> list[Disliked]:
        """Return whose answers, given again or not, were rated below a reward since a moment."""
        return self._all(Disliked, DISLIKED, {"since_s": since_s, "below": below})

    def lacks(self, ids: Sequence[str]) -> list[str]:
        """Return which of these decisions the log has not got."""
        return [row["id"] for row in self._ask(LACKS, {"ids": json.dumps(ids)})]

    def versions(self, n: int) -> list[Version]:
        """Return the newest adopted policies, newest first."""
        return self._all(Version, VERSIONS, {"n": n})

    def adopted_at_s(self, source: str) -> float:
        """Return when a policy was last adopted for this reason, 0 for never."""
        return float(self._ask(ADOPTED_AT_S, {"source": source})[0]["at_s"])

    def imported(self, file_sha256: str, at_s: float) -> int:
        """Return how many scores of a file an import at this moment has brought."""
        values = {"file_sha256": file_sha256, "at_s": at_s}
        return int(self._ask(IMPORTED, values)[0]["scores"])

    def _one(self, sql: str, values: dict[str, Any]) -> Row | None:
        return next(iter(self._ask(sql, values)), None)

    def _all(self, kind: type[R], sql: str, values: dict[str, Any]) -> list[R]:
        return [restore(kind, row) for row in self._ask(sql, values)]
