"""Budgets that several processes share: each takes a piece, and all together never exceed it.

A process spends from its piece without asking anybody, takes more before it is used up, and gives
back what it does not need. One that dies keeps its piece until the hour or day is over, as nobody
can know that it is dead: what it had not spent of it is then nobody's to spend.
"""

from dataclasses import dataclass

from policy.books import Elsewhere
from policy.types import DAY_S
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

SPENT = "ALTER TABLE allotments ADD COLUMN spent_usd REAL NOT NULL DEFAULT 0"

FRESH_S = 10.0
"""Whoever has not been heard of for so long asks for nothing any more, and spends nothing."""

NOW = "SELECT (julianday('now') - 2440587.5) * 86400.0 AS now_s"

OTHERS = """
SELECT COALESCE(sum(CASE WHEN span = :span THEN taken_usd END), 0.0) AS taken_usd,
    COALESCE(sum(CASE WHEN span = :span THEN spent_usd END), 0.0) AS spent_usd,
    COALESCE(sum(CASE WHEN span <> :span THEN 0.0 WHEN at_s > :fresh_s THEN spent_usd
        ELSE taken_usd END), 0.0) AS gone_usd,
    COALESCE(sum(CASE WHEN at_s > :fresh_s THEN rate_hz END), 0.0) AS rate_hz
FROM allotments WHERE budget = :budget AND process <> :process
"""

TAKE = """
INSERT INTO allotments (budget, process, span, taken_usd, spent_usd, rate_hz, at_s)
VALUES (:budget, :process, :span, :taken_usd, :spent_usd, :rate_hz, :at_s)
ON CONFLICT (budget, process) DO UPDATE SET span = excluded.span,
    taken_usd = excluded.taken_usd, spent_usd = excluded.spent_usd,
    rate_hz = excluded.rate_hz, at_s = excluded.at_s
"""

FORGET = "DELETE FROM allotments WHERE budget = :budget AND at_s < :before_s"

KEPT_S = 2 * DAY_S
"""No hour or day lasts so long; the store's clock says it, as that of a process may be wrong."""

MISSING = """
INSERT INTO allotments (budget, process, span, taken_usd, spent_usd, rate_hz, at_s)
VALUES (:budget, :process, :span, :usd, :usd, 0.0, :at_s)
ON CONFLICT (budget, process) DO UPDATE SET taken_usd = allotments.taken_usd + excluded.taken_usd,
    spent_usd = allotments.spent_usd + excluded.spent_usd, at_s = excluded.at_s
"""

BEFORE = "before {span}"
"""Who has spent what the log knows of and nobody took: before there was a budget, say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a process wants of a budget of this span: in all, with what it has spent already.

    `spent_usd` is what it has spent in the span, `before_usd` what the log said when it began that
    others had spent in it.

    units  : span counts hours or days; rate_hz requests per second
    """

    budget: str
    process: str
    span: int
    usd: float
    limit_usd: float
    rate_hz: float
    spent_usd: float = 0.0
    before_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Allotment:
    """What a process may spend in all in this span, and what others have taken and ask for."""

    usd: float
    elsewhere: Elsewhere


def allot(db: Sql, wish: Wish) -> Allotment:
    """Record what a process may spend of a budget, and return it."""
    now_s = db.query(NOW)[0]["now_s"]
    mine: Values = {"budget": wish.budget, "process": wish.process, "span": wish.span}
    others = dict(db.query(OTHERS, {**mine, "fresh_s": now_s - FRESH_S})[0])
    # Nobody spends more within a budget than was taken of it, so the rest was spent without one.
    missing_usd = wish.before_usd - others["taken_usd"]
    if missing_usd > 0:
        who = {"process": BEFORE.format(span=wish.span), "usd": missing_usd, "at_s": now_s}
        db.execute(MISSING, {**mine, **who})
        others |= {
            name: others[name] + missing_usd for name in ("taken_usd", "spent_usd", "gone_usd")
        }
    elsewhere = Elsewhere(**others)
    usd = max(min(wish.usd, wish.limit_usd - elsewhere.taken_usd), 0.0)
    told = {"spent_usd": wish.spent_usd, "rate_hz": wish.rate_hz, "at_s": now_s}
    # Who has spent more, as a call was billed more or a ceiling lowered, leaves so much less.
    db.execute(TAKE, {**mine, "taken_usd": max(usd, wish.spent_usd), **told})
    db.execute(FORGET, {"budget": wish.budget, "before_s": now_s - KEPT_S})
    return Allotment(usd, elsewhere)
