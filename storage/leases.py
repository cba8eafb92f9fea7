"""Leases: what only one process may do at a time, in whatever process and on whatever machine.

Each taking over counts a token up. Whoever writes under a lease shows its token, and is refused if
another has taken over since: it may have slept and not know that its time was up. Time is the
store's own, so that clocks of machines need not agree.
"""

from typing import Protocol

from policy.errors import InvalidInput
from storage.records import Fence
from storage.sql import Sql

TABLES = """
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    until_s REAL NOT NULL
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


class LeasableLog(Protocol):
    """What a log can do for those who must not do the same at the same time."""

    def lease(self, name: str, holder: str, for_s: float) -> int | None:
        """Take or keep a lease, durably, and return its token; None while another holds it."""
        ...

    def give_back(self, fence: Fence) -> None:
        """Let the next one take a lease at once."""
        ...


def lease(db: Sql, name: str, holder: str, for_s: float) -> int | None:
    """Take a lease, or keep it, and return its token; None while another holds it."""
    [row] = db.query(STANDING, {"name": name})
    token = row["token"] or 0
    if row["holder"] != holder:
        if token and row["until_s"] > row["now_s"]:
            return None
        token += 1
    until_s = row["now_s"] + for_s
    db.execute(TAKE, {"name": name, "token": token, "holder": holder, "until_s": until_s})
    return int(token)


def give_back(db: Sql, fence: Fence) -> None:
    """Let the next one take a lease at once, if it is still ours."""
    db.execute(GIVE_BACK, {"name": fence.name, "token": fence.token})


def require(db: Sql, name: str, token: int) -> None:
    """Refuse whoever shows the token of a lease that another has taken over.

    raises : InvalidInput
    """
    [row] = db.query(STANDING, {"name": name})
    if row["token"] != token:
        raise InvalidInput(
            f"the lease {name} was taken over: token {token} is shown, and {row['token']} counts; "
            "what was made under it is void",
            code="lease_lost",
        )
