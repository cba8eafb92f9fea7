"""Decisions that died without an end: each is given one, unless its own comes out of a spool.

Whoever looks for them cannot see the spool of another process. An end that is in the log stays, as
what follows the log has learned it; one that comes later and says otherwise is refused, and told.
"""

from typing import Any

from policy.errors import InvalidInput
from policy.types import DAY_S
from storage.records import Decision, Outcome
from storage.rows import Row, plain, restore
from storage.spool import Spare
from storage.sql import Sql, Values
from storage.writes import append, put_back

LOOK_BACK_S = DAY_S
"""So late a decision may come out of a spool."""

_UNSETTLED = """
WHERE d.decided_at_s >= :since_s AND d.decided_at_s < :before_s
    AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id)
"""

FIRST_UNSETTLED = f"""
SELECT COALESCE(min(d.decided_at_s), :before_s) AS at_s FROM decisions d {_UNSETTLED}
"""  # noqa: S608

UNSETTLED = f"""
SELECT d.*,
    (SELECT count(*) FROM attempts t WHERE t.decision_id = d.id) AS made,
    (SELECT COALESCE(sum(t.cost_usd), 0) FROM attempts t WHERE t.decision_id = d.id) AS booked_usd,
    EXISTS (SELECT 1 FROM attempts t WHERE t.decision_id = d.id AND t.status = 'ok') AS answered
FROM decisions d {_UNSETTLED}
ORDER BY d.decided_at_s, d.id
"""  # noqa: S608

END = "SELECT * FROM outcomes WHERE decision_id = :decision_id"


def abandon(db: Sql, between: Values, at_s: float) -> int:
    """Record an outcome for each decision that has none, and return how many there were."""
    lost = db.query(UNSETTLED, between)
    for row in lost:
        append(db, Outcome, plain(abandoned(row, at_s)))
    return len(lost)


def abandoned(row: Row, at_s: float) -> Outcome:
    """Return the end of a decision, from its row with what its attempts add up to."""
    decision = restore(Decision, row)
    # The call that was under way when the process died is booked nowhere, so it is estimated.
    free = row["answered"] or decision.kind == "cached"
    lost_usd = 0.0 if free else decision.predicted_usd
    return Outcome(
        decision_id=decision.id,
        at_s=at_s,
        arm=decision.arm,
        status="abandoned",
        finish_reason=None,
        model=None,
        input_tokens=decision.input_tokens_estimated,
        cached_tokens=0,
        output_tokens=0,
        usage_estimated=True,
        cost_usd=row["booked_usd"] + lost_usd,
        latency_s=0.0,
        ttft_s=None,
        attempts=row["made"],
    )


def bring(spare: Spare[Any], db: Sql) -> int:
    """Record a row that has waited in the spool; return its position if it is an event.

    raises : InvalidInput if the log has it already, or another end of the decision
    """
    if spare.kind is Outcome:
        for there in db.query(END, {"decision_id": spare.values["decision_id"]}):
            _require_same(spare.values, there)
    return put_back(spare, db)


def _require_same(ours: Row, there: Row) -> None:
    if any(there[name] != value for name, value in ours.items() if name != "seq"):
        raise InvalidInput(
            f"the log has another outcome of {ours['decision_id']}: {there['status']} at "
            f"${there['cost_usd']:g}, and what waited says {ours['status']} at "
            f"${ours['cost_usd']:g}; the one in the log stays"
        )
