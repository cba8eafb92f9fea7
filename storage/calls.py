"""The upstream calls of many decisions at once, and which outcomes a call has to answer for."""

from storage.records import Attempt
from storage.rows import restore
from storage.sql import AskLog

REJECTED = """o.status = 'error' AND EXISTS (
    SELECT 1 FROM attempts t WHERE t.decision_id = o.decision_id AND t.status = 'rejected')"""
"""Whether the provider of an outcome `o` called the request wrong: no failure of the arm."""

CALLS = """
SELECT t.* FROM attempts t JOIN decisions d ON d.id = t.decision_id
WHERE d.decided_at_s >= :since_s AND d.decided_at_s <= :until_s ORDER BY t.decision_id, t.n
"""


def calls(ask: AskLog, since_s: float, until_s: float) -> dict[str, list[Attempt]]:
    """Return the calls of the decisions made between two moments, both included, by decision."""
    found: dict[str, list[Attempt]] = {}
    for row in ask(CALLS, {"since_s": since_s, "until_s": until_s}):
        found.setdefault(row["decision_id"], []).append(restore(Attempt, row))
    return found
