"""How much of the newest events was answered, and how much of it rated, for each tenant."""

import sys
from collections.abc import Mapping, Sequence

from storage.rows import Row
from storage.sql import AskLog

ANSWERS = """
SELECT d.tenant AS tenant, count(*) AS n
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE o.seq > :after_seq AND o.seq <= :upto_seq AND o.status = 'ok' AND o.cache = 'miss'
GROUP BY d.tenant
"""

BEFORE = """
SELECT COALESCE(
    (SELECT seq FROM outcomes WHERE seq <= :upto_seq ORDER BY seq DESC LIMIT 1 OFFSET :n), 0
) AS seq
"""

VOTES = """
SELECT d.tenant AS tenant, count(*) AS n
FROM feedback f JOIN decisions d ON d.id = f.decision_id
WHERE f.seq > :after_seq AND f.seq <= :upto_seq AND f.revision = 1 AND f.excluded = 0
GROUP BY d.tenant
"""


def turned_out(
    ask: AskLog, after_seq: int, upto_seq: int
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the answers and the votes that taught between two positions, by tenant."""
    answers = ask(ANSWERS, {"after_seq": after_seq, "upto_seq": upto_seq})
    return _by_tenant(answers), taught(ask, after_seq, upto_seq)


def position_before(ask: AskLog, n: int, upto_seq: int) -> int:
    """Return the position after which the last `n` requests ended, 0 if there were no more."""
    return int(ask(BEFORE, {"n": n, "upto_seq": upto_seq})[0]["seq"])


def taught(ask: AskLog, after_seq: int, upto_seq: int = sys.maxsize) -> Mapping[str, float]:
    """Return the votes that taught between two positions, by tenant."""
    return _by_tenant(ask(VOTES, {"after_seq": after_seq, "upto_seq": upto_seq}))


def _by_tenant(rows: Sequence[Row]) -> Mapping[str, float]:
    return {row["tenant"]: float(row["n"]) for row in rows}
