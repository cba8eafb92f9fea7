"""Budgets that several processes share: each takes a piece, and all together never exceed it.

A process spends from its piece without asking anybody, takes more before it is used up, and gives
back what it does not need. One that dies keeps its piece until the hour or day is over: what it had
spent of it is then counted, and a little more.
"""

from dataclasses import dataclass

from storage.sql import Sql, Values

TABLES = """
CREATE TABLE allotments (
    budget TEXT NOT NULL,
    process TEXT NOT NULL,
    span INTEGER NOT NULL,
    taken_usd REAL NOT NULL,
    rate_hz REAL NOT NULL,
    at_s REAL NOT NULL,
    PRIMARY KEY (budget, process)
) STRICT
"""

FRESH_S = 10.0
"""Whoever has not been heard of for so long asks for nothing any more."""

NOW = "SELECT (julianday('now') - 2440587.5) * 86400.0 AS now_s"

OTHERS = """
SELECT count(CASE WHEN span = :span THEN 1 END) AS rows,
    COALESCE(sum(CASE WHEN span = :span THEN taken_usd END), 0.0) AS taken_usd,
    COALESCE(sum(CASE WHEN at_s > :fresh_s THEN rate_hz END), 0.0) AS rate_hz
FROM allotments WHERE budget = :budget AND process <> :process
"""

TAKE = """
INSERT INTO allotments (budget, process, span, taken_usd, rate_hz, at_s)
VALUES (:budget, :process, :span, :taken_usd, :rate_hz, :at_s)
ON CONFLICT (budget, process) DO UPDATE SET span = excluded.span,
    taken_usd = excluded.taken_usd, rate_hz = excluded.rate_hz, at_s = excluded.at_s
"""

FORGET = "DELETE FROM allotments WHERE budget = :budget AND span < :span - 1"

BEFORE = "before"
"""Who has spent what the log knows of before anybody took a piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a process wants of a budget of this span: in all, with what it has spent already.

    `spent_usd` is what the log says was spent in the span before anybody took a piece.

    units  : span counts hours or days; rate_hz requests per second
    """

    budget: str
    process: str
    span: int
    usd: float
    limit_usd: float
    rate_hz: float
    spent_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Allotment:
    """What a process may spend in all in this span, and what others have taken and ask for."""

    usd: float
    elsewhere_usd: float
    elsewhere_hz: float


def allot(db: Sql, wish: Wish) -> Allotment:
    """Record what a process may spend of a budget, and return it."""
    now_s = db.query(NOW)[0]["now_s"]
    mine: Values = {"budget": wish.budget, "process": wish.process, "span": wish.span}
    others = db.query(OTHERS, {**mine, "fresh_s": now_s - FRESH_S})[0]
    elsewhere_usd = others["taken_usd"]
    if not others["rows"] and wish.spent_usd > 0:
        elsewhere_usd = wish.spent_usd
        before = {**mine, "process": BEFORE, "taken_usd": elsewhere_usd}
        db.execute(TAKE, {**before, "rate_hz": 0.0, "at_s": now_s})
    usd = max(min(wish.usd, wish.limit_usd - elsewhere_usd), 0.0)
    db.execute(TAKE, {**mine, "taken_usd": usd, "rate_hz": wish.rate_hz, "at_s": now_s})
    db.execute(FORGET, {"budget": wish.budget, "span": wish.span})
    return Allotment(usd, elsewhere_usd, others["rate_hz"])
