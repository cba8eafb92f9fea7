"""Votes that count, by whose they are: what can be withdrawn at once, however long ago it came."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storage.records import WithdrawnVote
from storage.rows import restore, text
from storage.sql import AskLog

# Named so that each of these may be NULL in either store.
_COUNTING = """
FROM feedback f JOIN decisions d ON d.id = f.decision_id
WHERE f.reward IS NOT NULL AND f.at_s >= :since_s
    AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
    AND (CAST(:key_id AS TEXT) IS NULL OR d.key_id = :key_id)
    AND (CAST(:rater AS TEXT) IS NULL OR f.rater = :rater)
    AND f.revision = (SELECT max(g.revision) FROM feedback g
        WHERE g.decision_id = f.decision_id AND g.rater = f.rater)
"""

CAST = f"SELECT count(*) AS votes, COALESCE(avg(f.reward), 0) AS mean {_COUNTING}"

PAGE = f"""
SELECT f.decision_id, f.rater {_COUNTING}
    AND (f.decision_id, f.rater) > (:after_id, :after_rater)
ORDER BY f.decision_id, f.rater LIMIT :most
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voters:
    """Whose votes: of a tenant's decisions, of those a key asked for, of a rater, from then on."""

    tenant: str | None = None
    key_id: str | None = None
    rater: str | None = None
    since_s: float = 0.0

    @property
    def values(self) -> Mapping[str, str | float | None]:
        """Return what a query is told."""
        named = {"tenant": self.tenant, "key_id": self.key_id, "rater": self.rater}
        return {"since_s": self.since_s} | {k: v and text(v) for k, v in named.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """How many votes count, and their mean reward, 0 of none."""

    votes: int
    mean: float


def cast(ask: AskLog, voters: Voters) -> Cast:
    """Return how much they have said."""
    return restore(Cast, ask(CAST, voters.values)[0])


def withdrawals(
    ask: AskLog, voters: Voters, at_s: float, most: int
) -> Iterator[list[WithdrawnVote]]:
    """Yield what withdraws each vote of theirs, at most so many at a time.

    The first page that is not full is the last: of who goes on rating there are always some more.
    """
    after = {"after_id": "", "after_rater": ""}
    while True:
        rows = ask(PAGE, {**voters.values, **after, "most": most})
        if rows:
            yield [WithdrawnVote(**row, at_s=at_s) for row in rows]
        if len(rows) < most:
            return
        after = {"after_id": rows[-1]["decision_id"], "after_rater": rows[-1]["rater"]}
