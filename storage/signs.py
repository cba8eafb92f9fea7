"""What is known of every answer without anybody rating it, summed by arm; and when ratings came."""

from collections.abc import Mapping
from dataclasses import dataclass

from policy.shifts import Sample
from storage.calls import REJECTED
from storage.sql import AskLog

SIGNS = f"""
SELECT arm, count(*) AS answers,
    count(*) FILTER (WHERE status IN ('error', 'timeout', 'truncated_upstream', 'continued'))
        AS errors,
    count(*) FILTER (WHERE status = 'filtered') AS refusals,
    count(*) FILTER (WHERE status = 'ok') AS whole,
    COALESCE(sum(CASE WHEN status = 'ok' THEN latency_s END), 0.0) AS latency_s,
    COALESCE(sum(CASE WHEN status = 'ok' THEN latency_s * latency_s END), 0.0) AS latency_squares,
    COALESCE(sum(CASE WHEN status = 'ok' THEN output_tokens END), 0) AS tokens,
    COALESCE(sum(CASE WHEN status = 'ok' THEN 1.0 * output_tokens * output_tokens END), 0.0)
        AS token_squares
FROM outcomes o
WHERE at_s >= :since_s AND at_s < :until_s AND cache = 'miss'
    AND NOT (status = 'client_gone' OR {REJECTED}) GROUP BY arm
"""  # noqa: S608

_DELIVERED = "o.status IN ('ok', 'filtered') AND o.cache = 'miss'"

# Also of a tenant whose votes teach nothing: they come.
RATED = f"""
SELECT last.at_s AS last_at_s, (
    SELECT count(*) FROM outcomes o WHERE {_DELIVERED} AND o.at_s > COALESCE(last.at_s, 0.0)
) AS answers_since
FROM (SELECT (
    SELECT f.at_s FROM feedback_effective f JOIN outcomes o ON o.decision_id = f.decision_id
    WHERE {_DELIVERED} ORDER BY f.at_s DESC LIMIT 1
) AS at_s) last
"""  # noqa: S608

SHARES = f"""
SELECT d.task, 1.0 * sum(f.ratings) / count(*) AS share
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
LEFT JOIN (
    SELECT decision_id, count(*) AS ratings FROM feedback_effective
    WHERE at_s >= :last_at_s - :lasts_s GROUP BY decision_id
) f ON f.decision_id = o.decision_id
WHERE {_DELIVERED} AND o.at_s >= :last_at_s - :lasts_s AND o.at_s <= :last_at_s
GROUP BY d.task HAVING sum(f.ratings) > 0
"""  # noqa: S608

SINCE = f"""
SELECT d.task, count(*) AS answers FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE {_DELIVERED} AND o.at_s > :since_s GROUP BY d.task
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Signs:
    """What one arm's answers were like in a span of time.

    Calls that the client left, or whose request was wrong, say nothing of the arm.
    """

    errors: Sample
    refusals: Sample
    latency_s: Sample
    tokens: Sample


@dataclass(frozen=True, slots=True)
class Rated:
    """When the last rating came, and how many answers since.

    Only those that an arm was asked for and that were delivered count, and ratings of those that
    nobody withdrew.
    """

    last_at_s: float | None
    answers_since: int


def signs(ask: AskLog, since_s: float, until_s: float) -> Mapping[str, Signs]:
    """Return what the answers of each arm were like with since_s <= at_s < until_s."""
    return {
        row["arm"]: Signs(
            errors=Sample.of_share(row["answers"], row["errors"]),
            refusals=Sample.of_share(row["answers"], row["refusals"]),
            latency_s=Sample(row["whole"], row["latency_s"], row["latency_squares"]),
            tokens=Sample(row["whole"], float(row["tokens"]), row["token_squares"]),
        )
        for row in ask(SIGNS, {"since_s": since_s, "until_s": until_s})
    }


def rated(ask: AskLog) -> Rated:
    """Return when the last rating came, and how many answers since."""
    [row] = ask(RATED, {})
    return Rated(row["last_at_s"], row["answers_since"])


def shares(ask: AskLog, lasts_s: float) -> Mapping[str | None, float]:
    """Return the ratings for each answer of a task in the time up to the last, where any came."""
    last_at_s = rated(ask).last_at_s
    found = [] if last_at_s is None else ask(SHARES, {"lasts_s": lasts_s, "last_at_s": last_at_s})
    return {row["task"]: float(row["share"]) for row in found}


def since(ask: AskLog, since_s: float) -> Mapping[str | None, int]:
    """Return the answers of each task since then."""
    return {row["task"]: row["answers"] for row in ask(SINCE, {"since_s": since_s})}
