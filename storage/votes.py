"""Votes by whose they are: withdrawn at once, however long ago they came, and as if never given."""

from collections.abc import Iterator
from dataclasses import dataclass

from storage.erasing import DELETE_STATES
from storage.records import Voters, WithdrawnVote
from storage.rows import plain, restore
from storage.sql import AskLog, Sql, Values

COLUMN = "ALTER TABLE feedback ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0"

# Named so that each of these may be NULL in either store.
_GIVEN = """
FROM feedback f JOIN decisions d ON d.id = f.decision_id
WHERE f.reward IS NOT NULL AND f.at_s >= :since_s
    AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
    AND (CAST(:key_id AS TEXT) IS NULL OR d.key_id = :key_id)
    AND (CAST(:rater AS TEXT) IS NULL OR f.rater = :rater)
"""

_COUNTING = f"""
{_GIVEN} AND f.revision = (SELECT max(g.revision) FROM feedback g
    WHERE g.decision_id = f.decision_id AND g.rater = f.rater)
"""  # noqa: S608  our own words

_TAKEN_BACK = f"""
{_GIVEN} AND f.withdrawn = 0 AND (SELECT g.reward FROM feedback g
    WHERE g.decision_id = f.decision_id AND g.rater = f.rater
    ORDER BY g.revision DESC LIMIT 1) IS NULL
"""  # noqa: S608

CAST = f"SELECT count(*) AS votes, COALESCE(avg(f.reward), 0) AS mean {_COUNTING}"

TAKEN_BACK = f"""
SELECT count(*) AS votes FROM (SELECT DISTINCT f.decision_id, f.rater {_TAKEN_BACK}) AS votes
"""  # noqa: S608

NEVER_GIVEN = f"""
UPDATE feedback SET withdrawn = 1 WHERE withdrawn = 0
    AND (decision_id, rater) IN (SELECT f.decision_id, f.rater {_TAKEN_BACK})
"""  # noqa: S608

PAGE = f"""
SELECT f.decision_id, f.rater {_COUNTING}
    AND (f.decision_id, f.rater) > (:after_id, :after_rater)
ORDER BY f.decision_id, f.rater LIMIT :most
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """How many votes count, and their mean reward, 0 of none."""

    votes: int
    mean: float


def cast(ask: AskLog, voters: Voters) -> Cast:
    """Return how much they have said."""
    return restore(Cast, ask(CAST, plain(voters))[0])


def taken_back(ask: AskLog, voters: Voters) -> int:
    """Return how many votes of theirs were taken back, and are not yet as if never given."""
    return int(ask(TAKEN_BACK, plain(voters))[0]["votes"])


def never_given(db: Sql, values: Values) -> None:
    """Leave what was taken back out of every fold; what policies have found by it goes."""
    db.execute(NEVER_GIVEN, values)
    db.execute(DELETE_STATES)


def withdrawals(
    ask: AskLog, voters: Voters, at_s: float, most: int
) -> Iterator[list[WithdrawnVote]]:
    """Yield what withdraws each vote of theirs, at most so many at a time.

    The first page that is not full is the last: of who goes on rating there are always some more.
    """
    after = {"after_id": "", "after_rater": ""}
    while True:
        rows = ask(PAGE, {**plain(voters), **after, "most": most})
        if rows:
            yield [WithdrawnVote(**row, at_s=at_s) for row in rows]
        if len(rows) < most:
            return
        after = {"after_id": rows[-1]["decision_id"], "after_rater": rows[-1]["rater"]}
