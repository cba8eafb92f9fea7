"""Leases: what only one process may do at a time, in whatever process and on whatever machine.

Each taking over counts a token up. Whoever writes under a lease shows its token, and is refused if
another has taken over since: it may have slept and not know that its time was up. Time is the
store's own, so that clocks of machines need not agree. What was written under a lease is kept with
the token that was shown and the one that counted, so that an audit need not trust the refusal.
"""

from dataclasses import dataclass

from policy.errors import InvalidInput
from storage.records import Fence
from storage.rows import SqlValue
from storage.sql import AskLog, Sql

TABLES = """
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until_s REAL NOT NULL
) STRICT
"""

FENCED_TABLE = """
CREATE TABLE fenced (
    name TEXT NOT NULL,
    token INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    holder TEXT NOT NULL,
    at_s REAL NOT NULL
) STRICT
"""

STANDING = """
SELECT (julianday('now') - 2440587.5) * 86400.0 AS now_s, l.token, l.holder, l.until_s
FROM (SELECT 1 AS one) o LEFT JOIN leases l ON l.name = :name
"""

TAKE = """
INSERT INTO leases (name, token, holder, until_s) VALUES (:name, :token, :holder, :until_s)
ON CONFLICT (name) DO UPDATE
SET token = excluded.token, holder = excluded.holder, until_s = excluded.until_s
"""

GIVE_BACK = "UPDATE leases SET until_s = 0 WHERE name = :name AND token = :token"

RECORD = """
INSERT INTO fenced (name, token, counted, holder, at_s)
VALUES (:name, :token, :counted, :holder, :at_s)
"""

FENCED = "SELECT name, token, counted, holder FROM fenced ORDER BY at_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """What was written under a lease: the token shown, the one that counted, and whose it was."""

    name: str
    token: int
    counted: int
    holder: str


def lease(db: Sql, name: str, holder: str, for_s: float) -> int | None:
    """Take a lease, or keep it, and return its token; None while another holds it.

    One that reaches much further than it is taken for is from before the clock was set back.
    """
    [row] = db.query(STANDING, {"name": name})
    token = row["token"] or 0
    if row["holder"] != holder:
        if token and 0 < row["until_s"] - row["now_s"] <= 2 * for_s:
            return None
        token += 1
    until_s = row["now_s"] + for_s
    db.execute(TAKE, {"name": name, "token": token, "holder": holder, "until_s": until_s})
    return int(token)


def give_back(db: Sql, fence: Fence) -> None:
    """Let the next one take a lease at once, if it is still ours."""
    db.execute(GIVE_BACK, {"name": fence.name, "token": fence.token})


def require(db: Sql, name: str, token: SqlValue) -> None:
    """Record that something is written under a lease, unless another has taken it over.

    raises : InvalidInput
    """
    [row] = db.query(STANDING, {"name": name})
    if row["token"] != token:
        raise InvalidInput(
            f"the lease {name} was taken over: token {token!r} is shown, and {row['token']} "
            "counts; what was made under it is void",
            code="lease_lost",
        )
    shown = {"name": name, "token": token, "counted": row["token"], "holder": row["holder"]}
    db.execute(RECORD, {**shown, "at_s": row["now_s"]})


def fenced(ask: AskLog) -> list[Fenced]:
    """Return what was written under leases, oldest first."""
    return [Fenced(**row) for row in ask(FENCED, {})]
