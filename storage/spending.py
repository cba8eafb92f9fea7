"""What was decided and paid, decision by decision, in the order in which it was decided.

These rows are many, and a report adds up all of them: they are read in pages, and hold no more than
that takes. A decision without an outcome is not paid yet and left out.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from storage.records import CacheUse, DecisionKind, OutcomeStatus
from storage.rows import Row
from storage.sql import AskLog

PAGE = 5_000

SPENDING = """
SELECT d.id, d.decided_at_s, d.tenant, d.task, d.kind, d.retry_of, d.arm, d.eligible,
    d.propensities, d.quality, d.cost_usd_predicted, d.willingness_to_pay_usd, d.words,
    d.cached_by_arm, o.status, o.cost_usd, o.cache,
    w.eligible AS first_eligible, w.cost_usd_predicted AS first_cost_usd_predicted
FROM decisions d JOIN outcomes o ON o.decision_id = d.id
LEFT JOIN decisions w ON w.id = d.answer_of
WHERE (d.decided_at_s, d.id) > (:after_s, :after_id) AND d.decided_at_s < :until_s
    AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
ORDER BY d.decided_at_s, d.id LIMIT :limit
"""

SPEND = """
SELECT COALESCE(sum(o.cost_usd), 0) + (
        SELECT COALESCE(sum(f.usd), 0) FROM forgotten_spending f
        WHERE f.key_id = :key_id AND f.hour_s >= :since_s AND f.hour_s < :until_s) AS spend_usd
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE o.at_s >= :since_s AND o.at_s < :until_s
    AND (CAST(:key_id AS TEXT) IS NULL OR d.key_id = :key_id)
    AND (CAST(:arm AS TEXT) IS NULL OR o.arm = :arm)
"""

DECIDED_SINCE = "SELECT count(*) AS decisions FROM decisions WHERE decided_at_s >= :since_s"


class Spending(NamedTuple):
    """One decision and what it cost; of a stored answer, what its first decision expected.

    The tuples are in the order of `eligible`.
    """

    id: str
    decided_at_s: float
    tenant: str
    task: str | None
    kind: DecisionKind
    retry_of: str | None
    arm: str
    eligible: tuple[str, ...]
    propensities: tuple[float, ...]
    quality: tuple[float, ...]
    predicted_usd: tuple[float, ...]
    willingness_to_pay_usd: float
    words: int
    cached_by_arm: Mapping[str, int]
    status: OutcomeStatus
    cost_usd: float
    cache: CacheUse
    first_eligible: tuple[str, ...]
    first_predicted_usd: tuple[float, ...]


def spending(
    ask: AskLog, since_s: float, until_s: float, tenant: str | None = None
) -> Iterator[Spending]:
    """Yield what was decided with since_s <= decided_at_s < until_s and has ended, oldest first."""
    where: dict[str, Any] = {"until_s": until_s, "tenant": tenant, "limit": PAGE}
    where |= {"after_s": since_s, "after_id": ""}
    while True:
        rows = ask(SPENDING, where)
        yield from map(_spending, rows)
        if len(rows) < PAGE:
            return
        where |= {"after_s": rows[-1]["decided_at_s"], "after_id": rows[-1]["id"]}


def _spending(row: Row) -> Spending:
    return Spending(
        row["id"],
        row["decided_at_s"],
        row["tenant"],
        row["task"],
        row["kind"],
        row["retry_of"],
        row["arm"],
        _names(row["eligible"]),
        tuple(json.loads(row["propensities"])),
        tuple(json.loads(row["quality"])),
        tuple(json.loads(row["cost_usd_predicted"])),
        row["willingness_to_pay_usd"],
        row["words"],
        _tokens(row["cached_by_arm"]),
        row["status"],
        row["cost_usd"],
        row["cache"],
        _names(row["first_eligible"] or "[]"),
        tuple(json.loads(row["first_cost_usd_predicted"] or "[]")),
    )


@lru_cache(maxsize=1_000)
def _names(written: str) -> tuple[str, ...]:
    return tuple(json.loads(written))


def _tokens(written: str) -> Mapping[str, int]:
    return {} if written == "{}" else json.loads(written)
