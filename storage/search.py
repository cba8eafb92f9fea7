"""Looking decisions up by what is known of them, newest first, a bounded piece of the log a time.

However rare what is looked for, one question looks at so many decisions and no more, and says how
far it has looked: whoever wants to look further back asks again from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from policy.errors import UnknownDecision
from storage.records import DecisionKind
from storage.rows import text

RatedAs = Literal["up", "down", "rated", "unrated"]
Ending = Literal["answered", "filtered", "failed", "left", "open"]

LOOKED_AT = 4_000
ID_CHARS = 40
"""As much is told of an id that is none: ours are shorter."""
UP = 0.5
"""Rewards of at least this count as a thumbs-up."""

_DECISIONS = """
SELECT id, decided_at_s, task, kind, arm, propensity FROM decisions d
WHERE (d.decided_at_s, d.id) < (:until_s, :until_id) {where}
ORDER BY d.decided_at_s DESC, d.id DESC LIMIT :looked_at
"""

_FOUND = """
SELECT f.*, d.policy, d.eligible, d.propensities, d.quality, d.cost_usd_predicted,
    d.willingness_to_pay_usd FROM (
    SELECT * FROM (
        SELECT c.*, o.status, o.cost_usd, o.latency_s,
            (SELECT avg(e.reward) FROM feedback_effective e WHERE e.decision_id = c.id) AS reward
        FROM ({decisions}) c LEFT JOIN outcomes o ON o.decision_id = c.id
    ) found {where}
    ORDER BY decided_at_s DESC, id DESC LIMIT :n
) f JOIN decisions d ON d.id = f.id
ORDER BY f.decided_at_s DESC, f.id DESC
"""

_LAST = """
SELECT decided_at_s, id FROM decisions d
WHERE (d.decided_at_s, d.id) < (:until_s, :until_id) {where}
ORDER BY d.decided_at_s DESC, d.id DESC LIMIT 1 OFFSET :skipped
"""

_ENDINGS: dict[Ending, str] = {
    "answered": "status IN ('ok', 'continued')",
    "filtered": "status = 'filtered'",
    "failed": "status IN ('error', 'timeout', 'truncated_upstream', 'abandoned')",
    "left": "status = 'client_gone'",
    "open": "status IS NULL",
}
_RATED: dict[RatedAs, str] = {
    "up": "reward >= :up",
    "down": "reward < :up",
    "rated": "reward IS NOT NULL",
    "unrated": "reward IS NULL",
}

INDEXES = """
CREATE INDEX decisions_by_arm ON decisions (arm, decided_at_s, id);

CREATE INDEX decisions_by_task ON decisions (task, decided_at_s, id);

CREATE INDEX decisions_by_retry ON decisions (retry_of) WHERE retry_of IS NOT NULL
"""

TASKS_ONLY = """
DROP INDEX decisions_by_task;

CREATE INDEX decisions_by_task ON decisions (task, decided_at_s, id) WHERE task IS NOT NULL
"""

RETRIES = "SELECT id FROM decisions WHERE retry_of = :id ORDER BY decided_at_s, id"

RATINGS = """
SELECT rater, at_s, reward, comment, excluded FROM feedback_effective
WHERE decision_id = :id ORDER BY at_s, rater
"""

RATED_SINCE = """
SELECT count(*) AS ratings FROM (
    SELECT DISTINCT decision_id, rater FROM feedback WHERE excluded = 0 AND seq > :after_seq
) AS votes
"""

VERSIONS = """
SELECT version, created_at_s, source,
    CASE feature_version WHEN 0 THEN 1 ELSE feature_version END AS features_of
FROM policies ORDER BY version DESC LIMIT :n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """What decisions are looked for; None asks for nothing in particular.

    units  : least_usd in dollars
    """

    tenant: str | None = None
    arm: str | None = None
    task: str | None = None
    kind: DecisionKind | None = None
    rated: RatedAs | None = None
    ending: Ending | None = None
    least_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDecision:
    """A decision as a list shows it; without an outcome it is under way."""

    id: str
    decided_at_s: float
    task: str | None
    policy: str
    kind: DecisionKind
    arm: str
    propensity: float
    eligible: tuple[str, ...]
    propensities: tuple[float, ...]
    quality: tuple[float, ...]
    cost_usd_predicted: tuple[float, ...]
    willingness_to_pay_usd: float
    status: str | None
    cost_usd: float | None
    latency_s: float | None
    reward: float | None


@dataclass(frozen=True, slots=True)
class DecisionMark:
    """A place in the order of decisions."""

    at_s: float = float("inf")
    id: str = ""


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """What was found, newest first, and where to go on; None where the log ends."""

    decisions: Sequence[ListedDecision]
    go_on: DecisionMark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRating:
    """What one rater says of a decision."""

    rater: str
    at_s: float
    reward: float
    comment: str | None
    excluded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One adopted policy, without what it holds; `features_of` is the one they were fitted for.

    The first policy has those that are built in, version 0.
    """

    version: int
    created_at_s: float
    source: str
    features_of: int


def unknown(decision_id: str) -> UnknownDecision:
    """Return the error for an id that no decision has which the caller may see."""
    shown = repr(decision_id[:ID_CHARS])
    return UnknownDecision(f"there is no decision {shown}: give the id of an answer", param="id")


def questions(
    sought: DecisionFilter, before: DecisionMark, n: int
) -> tuple[str, str, dict[str, Any]]:
    """Return the SQL that finds n decisions, the one for the last looked at, and their values.

    Only our own words are put into the text; values are always bound.
    """
    of_decisions = [
        f"AND d.{name} = :{name}"
        for name in ("tenant", "arm", "task", "kind")
        if getattr(sought, name) is not None
    ]
    of_found = [_ENDINGS[sought.ending]] if sought.ending else []
    of_found += [_RATED[sought.rated]] if sought.rated else []
    of_found += ["cost_usd >= :least_usd"] if sought.least_usd is not None else []
    first = " ".join(of_decisions)
    then = "WHERE " + " AND ".join(of_found) if of_found else ""
    values = {
        "tenant": sought.tenant and text(sought.tenant),
        "arm": sought.arm and text(sought.arm),
        "task": sought.task and text(sought.task),
        "kind": sought.kind,
        "least_usd": sought.least_usd,
        "up": UP,
        "until_s": before.at_s,
        "until_id": text(before.id),
        "looked_at": LOOKED_AT if of_found else n,
        "skipped": (LOOKED_AT if of_found else n) - 1,
        "n": n,
    }
    found = _FOUND.format(decisions=_DECISIONS.format(where=first), where=then)
    return found, _LAST.format(where=first), values
