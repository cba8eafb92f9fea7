"""The reading half of the log, whatever it is stored in: its queries, and what they find.

Every answer holds all that was durable before the question; a store adds how it asks one query.
What people look up is in `lookups`; what one job or command alone wants to know stands beside its
SQL, in a module of its own, as a function that is given `ask`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf
from typing import Any, Self

from policy.errors import InvalidInput
from storage.event_rows import NEWEST_LESSON, mark, page, position, spans
from storage.events import Event
from storage.keys import KEYS, KEYS_CHANGED, Key, KeyStanding
from storage.latest import LATEST, Latest
from storage.lookups import Lookups
from storage.records import (
    Attempt,
    CacheSummary,
    Counts,
    Decision,
    Outcome,
    PolicyVersion,
    Retrain,
    Round,
)
from storage.rows import R, Row, columns, restore, text
from storage.search import unknown
from storage.spending import DECIDED_SINCE, SPEND, Spending, spending
from storage.states import STATE, SavedState

PAGE = 500
NEWEST = 10

_OUTCOME_COLUMNS = ", ".join(f"o.{name} AS outcome_{name}" for name in columns(Outcome))

# Only the names of our own fields are put into the text; values are always bound.
ROUND = f"""
SELECT d.*, {_OUTCOME_COLUMNS},
    (SELECT avg(e.reward) FROM feedback_effective e
        WHERE e.decision_id = d.id AND (:rated_only = 0 OR e.excluded = 0)) AS reward
FROM decisions d LEFT JOIN outcomes o ON o.decision_id = d.id
"""  # noqa: S608

ONE_ROUND = ROUND + "WHERE d.id = :id AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)"

# Asked as one that has a reward: as one for which a rating exists, PostgreSQL reads all ratings of
# the log for each page.
PAGE_OF_ROUNDS = f"""
SELECT * FROM ({ROUND}) AS d
WHERE d.decided_at_s >= :since_s AND (d.decided_at_s, d.id) < (:until_s, :until_id)
    AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
    AND (:rated_only = 0 OR d.reward IS NOT NULL)
ORDER BY d.decided_at_s DESC, d.id DESC LIMIT :limit
"""  # noqa: S608

RECENT = """
SELECT * FROM decisions WHERE kind <> 'cached' ORDER BY decided_at_s DESC, id DESC LIMIT :n
"""

ASKED_WITH = """
SELECT * FROM decisions WHERE kind <> 'cached' AND key_id = :key_id
ORDER BY decided_at_s DESC, id DESC LIMIT :n
"""

ATTEMPTS = "SELECT * FROM attempts WHERE decision_id = :id ORDER BY n"

COUNTS = """
SELECT (SELECT count(*) FROM decisions) AS decisions,
    (SELECT count(*) FROM outcomes) AS outcomes,
    (SELECT count(DISTINCT decision_id) FROM feedback_effective WHERE excluded = 0) AS rated,
    (SELECT count(*) FROM evals WHERE withdrawn = 0) AS evals,
    (SELECT count(*) FROM (
        SELECT DISTINCT decision_id, rater FROM feedback WHERE excluded = 0 AND seq > (
            SELECT COALESCE(max(json_extract(report, '$.upto_seq')), 0) FROM retrains)) AS votes)
        AS feedback_since_retrain
"""

RECEIVED_AT_S = """
SELECT COALESCE(max(received_at_s), 0.0) AS at_s FROM handovers WHERE kind = :kind
"""

CACHE_USE = """
SELECT count(*) FILTER (WHERE o.cache = 'hit') AS hits,
    count(*) FILTER (WHERE o.cache = 'stale') AS stale,
    COALESCE(sum(CASE WHEN o.cache = 'hit' THEN json_extract(d.cost_usd_predicted, '$[0]') END), 0)
        AS saved_usd
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE o.at_s >= :since_s AND o.cache <> 'miss'
    AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
"""

LATEST_POLICY = "SELECT * FROM policies ORDER BY version DESC LIMIT 1"

POLICY = "SELECT * FROM policies WHERE version = :version"

RETRAINS = """SELECT * FROM retrains ORDER BY COALESCE(json_extract(report, '$.upto_seq'), 0) DESC,
    started_at_s DESC, id DESC LIMIT :limit"""


class LogReader(ABC):
    """A log that can be asked, by any number of threads."""

    @abstractmethod
    def ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of one query, which stands in this room beside what it is for.

        raises : StoreUnavailable
        """

    @cached_property
    def lookups(self) -> Lookups:
        """Return what people ask of a log."""
        return Lookups(self.ask)

    @abstractmethod
    def close(self) -> None:
        """Close every connection; one that is in use closes when its question is answered."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def position(self) -> int:
        """Return the seq of the newest learning event, 0 for none."""
        return position(self.ask)

    def mark(self, seq: int) -> str:
        """Return what tells the event at a position from any that another log has there."""
        return mark(self.ask, seq)

    def events(self, after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Event]:
        """Yield the events with after_seq < seq <= upto_seq in seq order, in bounded memory."""
        newest = self.position()
        upto = newest if upto_seq is None else min(upto_seq, newest)
        for low, high in spans(after_seq, upto):
            yield from page(self.ask, low, high)

    def newest_lesson_s(self, after_seq: int, upto_seq: int) -> float:
        """Return the latest moment of an outcome or thumb that teaches, in after < seq <= upto.

        0 without any.
        """
        [row] = self.ask(NEWEST_LESSON, {"after": after_seq, "upto": upto_seq})
        return float(row["at_s"])

    def decision(self, decision_id: str, tenant: str | None = None) -> Round:
        """Return one decision with what came of it; `tenant` None sees every tenant's.

        raises : UnknownDecision, also when it belongs to another tenant
        """
        values = {"id": text(decision_id), "tenant": tenant and text(tenant), "rated_only": 0}
        row = self._one(ONE_ROUND, **values)
        if row is None:
            raise unknown(decision_id)
        return _round(row)

    def attempts(self, decision_id: str) -> list[Attempt]:
        """Return the upstream calls of a decision in order."""
        return self._all(Attempt, ATTEMPTS, id=text(decision_id))

    def decisions(
        self,
        *,
        since_s: float | None = None,
        until_s: float | None = None,
        tenant: str | None = None,
        rated_only: bool = False,
        limit: int | None = None,
    ) -> Iterator[Round]:
        """Yield decisions, newest first, with since_s <= decided_at_s < until_s."""
        where: dict[str, Any] = {
            "since_s": float("-inf") if since_s is None else since_s,
            "until_s": float("inf") if until_s is None else until_s,
            "until_id": "",
            "tenant": tenant and text(tenant),
            "rated_only": int(rated_only),
        }
        left = limit
        while left is None or left > 0:
            where["limit"] = PAGE if left is None else min(PAGE, left)
            rows = self.ask(PAGE_OF_ROUNDS, where)
            yield from map(_round, rows)
            if len(rows) < where["limit"]:
                return
            left = None if left is None else left - len(rows)
            where |= {"until_s": rows[-1]["decided_at_s"], "until_id": rows[-1]["id"]}

    def recent(self, n: int) -> list[Decision]:
        """Return the last n decisions that asked an arm, oldest first: the pacer's ring."""
        return self._all(Decision, RECENT, n=n)[::-1]

    def asked_with(self, key_id: str, n: int) -> list[Decision]:
        """Return the last n decisions that asked an arm with this key, oldest first."""
        return self._all(Decision, ASKED_WITH, n=n, key_id=text(key_id))[::-1]

    def counts(self) -> Counts:
        """Return how much the log holds."""
        return self._all(Counts, COUNTS)[0]

    def cache_use(self, since_s: float, tenant: str | None) -> CacheSummary:
        """Return what stored answers have done since then, for one tenant or all."""
        whose = tenant and text(tenant)
        return self._all(CacheSummary, CACHE_USE, since_s=since_s, tenant=whose)[0]

    def spend_usd(
        self,
        since_s: float,
        until_s: float = inf,
        *,
        key_id: str | None = None,
        arm: str | None = None,
    ) -> float:
        """Return the dollars booked by outcomes in since_s <= at_s < until_s, of a key or an arm.

        Of a key they count on the day on which they are forgotten.
        """
        values = {"since_s": since_s, "until_s": until_s, "key_id": key_id and text(key_id)}
        return float(self.ask(SPEND, {**values, "arm": arm})[0]["spend_usd"])

    def received_at_s(self, kind: str) -> float:
        """Return when a parcel of this kind was last received, 0 for never."""
        return float(self.ask(RECEIVED_AT_S, {"kind": kind})[0]["at_s"])

    def latest(self, name: str) -> Latest | None:
        """Return the newest result of this name, None if there was none yet."""
        row = self._one(LATEST, name=text(name))
        return None if row is None else restore(Latest, row)

    def spending(
        self, since_s: float, until_s: float, tenant: str | None = None
    ) -> Iterator[Spending]:
        """Yield every decision that has ended, with what it cost, oldest first, page by page."""
        return spending(self.ask, since_s, until_s, tenant and text(tenant))

    def decided_since(self, since_s: float) -> int:
        """Return how many decisions were made since then."""
        return int(self.ask(DECIDED_SINCE, {"since_s": since_s})[0]["decisions"])

    def known_keys(self) -> list[KeyStanding]:
        """Return every key that was ever made, the oldest first."""
        return [
            KeyStanding(key=restore(Key, row), revoked_at_s=row["revoked_at_s"])
            for row in self.ask(KEYS, {})
        ]

    def keys_changed(self) -> int:
        """Return how often keys were made or revoked: while it stays, so do they."""
        return int(self.ask(KEYS_CHANGED, {})[0]["changes"])

    def latest_policy(self) -> PolicyVersion | None:
        """Return the policy version that serves, None before the first."""
        row = self._one(LATEST_POLICY)
        return None if row is None else restore(PolicyVersion, row)

    def saved_state(self, version: int) -> SavedState | None:
        """Return what a policy version was adopted with, None if that was not kept."""
        row = self._one(STATE, version=version)
        return None if row is None else restore(SavedState, row)

    def policy_version(self, version: int) -> PolicyVersion:
        """Return one policy version.

        raises : InvalidInput if there is none with this number
        """
        row = self._one(POLICY, version=version)
        if row is None:
            newest = [str(each.version) for each in self.lookups.versions(NEWEST)]
            says = f"there is no policy version {version}; the newest are {', '.join(newest)}"
            raise InvalidInput(says, param="version")
        return restore(PolicyVersion, row)

    def retrains(self, limit: int = 20) -> list[Retrain]:
        """Return the latest retrains, newest first by what they had seen: clocks may be ahead."""
        return self._all(Retrain, RETRAINS, limit=limit)

    def faults(self) -> list[str]:
        """Return what the store finds wrong with its content; where it cannot look, nothing."""
        return []

    def _one(self, sql: str, **values: Any) -> Row | None:
        return next(iter(self.ask(sql, values)), None)

    def _all(self, kind: type[R], sql: str, **values: Any) -> list[R]:
        return [restore(kind, row) for row in self.ask(sql, values)]


def _round(row: Row) -> Round:
    settled = row["outcome_seq"] is not None
    return Round(
        decision=restore(Decision, row),
        outcome=restore(Outcome, row, "outcome_") if settled else None,
        reward=row["reward"],
    )
