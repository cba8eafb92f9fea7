"""What went through, as sums that the store adds up itself, for a range of the log's positions.

A sum over a range can be added to the sum over the next, so that whoever follows the log adds up
each event once. A revision of a thumb counts as what it changes.
"""

from dataclasses import dataclass

from storage.calls import REJECTED

# A shift of just under a half makes round() the floor, which not every SQLite has.
_START = "round({moment} / :step_s - 0.4999999) * :step_s"

SETTLED = f"""
SELECT {_START.format(moment="o.at_s")} AS start_s, o.arm AS arm, d.task AS task, d.kind AS kind,
    CASE WHEN {REJECTED} THEN 'rejected' ELSE o.status END AS status,
    d.tenant AS tenant, count(*) AS decisions,
    sum(CASE WHEN d.retry_of IS NULL THEN 1 ELSE 0 END) AS requests,
    sum(o.cost_usd) AS cost_usd, sum(o.latency_s) AS latency_s, 0 AS rated, 0.0 AS reward,
    0.0 AS square, 0.0 AS rated_at_s
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE o.seq > :after_seq AND o.seq <= :upto_seq
GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608

RATED = f"""
SELECT {_START.format(moment="d.decided_at_s")} AS start_s, f.arm AS arm, d.task AS task,
    d.kind AS kind, 'rated' AS status, d.tenant AS tenant, 0 AS decisions, 0 AS requests,
    0.0 AS cost_usd,
    0.0 AS latency_s,
    sum(CASE WHEN f.reward IS NULL THEN 0 ELSE 1 END
        - CASE WHEN p.reward IS NULL THEN 0 ELSE 1 END) AS rated,
    sum(COALESCE(f.reward, 0.0) - COALESCE(p.reward, 0.0)) AS reward,
    sum(COALESCE(f.reward * f.reward, 0.0) - COALESCE(p.reward * p.reward, 0.0)) AS square,
    max(CASE WHEN f.reward IS NULL THEN 0.0 ELSE f.at_s END) AS rated_at_s
FROM feedback f JOIN decisions d ON d.id = f.decision_id
LEFT JOIN feedback p ON p.decision_id = f.decision_id AND p.rater = f.rater
    AND p.revision = f.revision - 1
WHERE f.seq > :after_seq AND f.seq <= :upto_seq AND f.excluded = 0
GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608

FIRST_SINCE = "SELECT seq FROM outcomes WHERE at_s >= :since_s ORDER BY at_s LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficRow:
    """Sums over the events of one step of time that agree in arm, task, kind, status and tenant.

    `status` is the outcome's, or `rejected` where the provider called the request wrong.

    `requests` leaves out the fallbacks that requests needed; `square` is the sum of squared
    rewards. Ratings stand at the time of the decision they are for, in rows of status `rated`.
    """

    start_s: float
    arm: str
    task: str | None
    kind: str
    status: str
    tenant: str
    decisions: int
    requests: int
    cost_usd: float
    latency_s: float
    rated: int
    reward: float
    square: float
    rated_at_s: float
