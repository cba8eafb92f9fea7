"""How words, and whose they were, leave the log: what is overdue, what is theirs, what is done.

Nothing here decides that anything goes: a keeping time, or somebody who asks to be forgotten, does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

from policy.errors import InvalidInput
from policy.types import DAY_S, HOUR_S
from storage.allotments import NOW
from storage.records import Decision
from storage.rows import Row, restore, text
from storage.sql import AskLog, Sql, Values
from storage.words import FORMS, Expiry, Form, Stripped, Transcript

TABLE = """
CREATE TABLE forgotten_spending (
    key_id TEXT NOT NULL,
    hour_s REAL NOT NULL,
    usd REAL NOT NULL,
    PRIMARY KEY (key_id, hour_s)
) STRICT
"""
"""What is forgotten of a tenant is still spent: the ceilings of its keys are held against it."""

FORGOTTEN = "(forgotten)"
"""Whose a decision is once its tenant is forgotten: no tenant can be called so."""

TRANSCRIPTS = "SELECT * FROM transcripts WHERE decision_id = :decision_id AND text <> ''"

# Asked every minute: without an index for each form, all texts of the log would be read for it.
BY_FORM = """
DROP INDEX transcripts_by_time;

CREATE INDEX transcripts_by_form ON transcripts (form, at_s)
"""

OVERDUE_TEXTS = """
SELECT DISTINCT decision_id FROM transcripts
WHERE (form = 'redacted' AND at_s < :redacted) OR (form = 'full' AND at_s < :full)
LIMIT :most
"""

OVERDUE_HASHES = """
SELECT id AS decision_id FROM decisions
WHERE prompt_sha256 <> '' AND decided_at_s < :before_s LIMIT :most
"""

# Named so that both parameters may be NULL in either store.
_THEIRS = """
(CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
    AND (CAST(:session AS TEXT) IS NULL OR d.session = :session)
"""

HELD = f"""
SELECT count(*) AS decisions,
    (SELECT count(*) FROM transcripts t JOIN decisions d ON d.id = t.decision_id
        WHERE t.text <> '' AND {_THEIRS}) AS transcripts,
    (SELECT count(*) FROM feedback f JOIN decisions d ON d.id = f.decision_id
        WHERE {_THEIRS}) AS ratings,
    (SELECT count(*) FROM feedback f JOIN decisions d ON d.id = f.decision_id
        WHERE {_THEIRS} AND f.comment IS NOT NULL) AS comments
FROM decisions d WHERE {_THEIRS}
"""  # noqa: S608  our own words

THEIRS = f"""
SELECT d.id, d.tenant, d.key_id, d.feature_version, d.sketch FROM decisions d
WHERE {_THEIRS} AND d.id > :after ORDER BY d.id LIMIT :most
"""  # noqa: S608

SPACE = """
SELECT space FROM policies WHERE feature_version = :version ORDER BY version LIMIT 1
"""

# What was added up by tenant is made again without the one who is forgotten. So is what policies
# were adopted with: where it is missing, the log is folded. Nothing would make alarms again.
DELETE_REPORT = "DELETE FROM latest WHERE name = 'report'"
DELETE_STATES = "DELETE FROM states"

DELETE_TEXT = "DELETE FROM transcripts WHERE decision_id = :decision_id"

# An answer that is still to come finds an empty one in its place; whoever keeps texts keeps it.
NO_ANSWER = """
INSERT INTO transcripts (decision_id, part, at_s, form, text)
SELECT d.id, 'answer', d.decided_at_s, 'redacted', '' FROM decisions d
WHERE d.id = :decision_id
    AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.decision_id = d.id)
"""

EMPTY_HASH = "UPDATE decisions SET prompt_sha256 = '' WHERE id = :decision_id"

EXPIRE = {"text": DELETE_TEXT, "hash": EMPTY_HASH}

STRIP = """
UPDATE decisions SET tenant = :tenant, key_id = :key_id, session = NULL, prompt_sha256 = '',
    sketch = :sketch, context = :context, ineligible = '{}'
WHERE id = :decision_id
"""

SPENT = """
SELECT d.*, COALESCE(o.at_s, :now_s) AS at_s, o.cost_usd
FROM decisions d LEFT JOIN outcomes o ON o.decision_id = d.id
WHERE d.id = :decision_id AND d.key_id IS NOT NULL AND COALESCE(o.at_s, :now_s) >= :today_s
    AND (o.at_s IS NOT NULL OR d.kind <> 'cached')
"""

KEEP_SPENT = """
INSERT INTO forgotten_spending (key_id, hour_s, usd) VALUES (:key_id, :hour_s, :usd)
ON CONFLICT (key_id, hour_s) DO UPDATE SET usd = forgotten_spending.usd + excluded.usd
"""

SPENT_BEFORE = "DELETE FROM forgotten_spending WHERE hour_s < :today_s"

HUSH = "UPDATE attempts SET message = NULL WHERE decision_id = :decision_id"

RATERS = "SELECT DISTINCT rater FROM feedback WHERE decision_id = :decision_id ORDER BY rater"

NO_COMMENT = "UPDATE feedback SET comment = NULL WHERE decision_id = :decision_id"

RENAME = """
UPDATE feedback SET rater = :known_as WHERE decision_id = :decision_id AND rater = :rater
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How much the log holds of a tenant or a session."""

    decisions: int
    transcripts: int
    ratings: int
    comments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whom to forget: a tenant, a session, or a session of a tenant."""

    tenant: str | None = None
    session: str | None = None

    @property
    def values(self) -> dict[str, str | None]:
        """Return what a query is told."""
        return {"tenant": self.tenant and text(self.tenant),
                "session": self.session and text(self.session)}  # fmt: skip


def transcripts(ask: AskLog, decision_id: str) -> list[Transcript]:
    """Return what is kept of the words of a decision."""
    rows = ask(TRANSCRIPTS, {"decision_id": text(decision_id)})
    return [restore(Transcript, row) for row in rows]


def overdue(
    ask: AskLog, forms: tuple[Form, ...], texts_before_s: float, hashes_before_s: float, most: int
) -> list[Expiry]:
    """Return at most so many texts and hashes that must go: too old, or in no form of these."""
    before_s: dict[str, float] = {form: texts_before_s if form in forms else inf for form in FORMS}
    texts = ask(OVERDUE_TEXTS, {"most": most, **before_s})
    hashes = ask(OVERDUE_HASHES, {"before_s": hashes_before_s, "most": most})
    return [
        *(Expiry(decision_id=row["decision_id"], what="text") for row in texts),
        *(Expiry(decision_id=row["decision_id"], what="hash") for row in hashes),
    ]


def held(ask: AskLog, whose: Whose) -> Held:
    """Return how much there is to forget."""
    return restore(Held, ask(HELD, whose.values)[0])


def theirs(ask: AskLog, whose: Whose, most: int) -> Iterator[list[Row]]:
    """Yield the decisions of a tenant or a session, at most so many at a time.

    The first page that is not full is the last: of who goes on asking there are always some more.
    """
    after = ""
    while True:
        rows = list(ask(THEIRS, {**whose.values, "after": after, "most": most}))
        if rows:
            yield rows
        if len(rows) < most:
            return
        after = rows[-1]["id"]


def space(ask: AskLog, feature_version: int) -> bytes:
    """Return the feature space of a version as it was stored, nothing for the built-in one."""
    rows = ask(SPACE, {"version": feature_version})
    return bytes(rows[0]["space"]) if rows else b""


def expire(db: Sql, values: Values) -> None:
    """Take out a text or a hash whose time is over.

    raises : InvalidInput if it is neither
    """
    what = str(values["what"])
    if what not in EXPIRE:
        raise InvalidInput(
            f"{what!r} cannot expire; it must be {' or '.join(EXPIRE)}", param="what"
        )
    db.execute(EXPIRE[what], {"decision_id": values["decision_id"]})


def strip(db: Sql, values: Values) -> None:
    """Take words, session, tenant, raters and comments out of a decision and all that is its."""
    decision = {"decision_id": values["decision_id"]}
    if values["key_id"] is None:
        _keep_spent(db, str(values["decision_id"]))
    db.execute(STRIP, values)
    for statement in (HUSH, DELETE_TEXT, NO_ANSWER, NO_COMMENT):
        db.execute(statement, decision)
    db.execute(DELETE_STATES)
    if values["tenant"] == FORGOTTEN:
        db.execute(DELETE_REPORT)
    raters = [str(row["rater"]) for row in db.query(RATERS, decision)]
    ours = [f"{FORGOTTEN} {n}" for n in range(len(raters))]
    # Two raters of one decision stay two; which they are is told by nothing. Anybody may have
    # called himself as we call them.
    named, free = sorted({*raters} - {*ours}), sorted({*ours} - {*raters})
    for rater, known_as in zip(named, free, strict=True):
        db.execute(RENAME, {**decision, "rater": rater, "known_as": known_as})


def _keep_spent(db: Sql, decision_id: str) -> None:
    """Add what it cost to what its key has spent in this hour, as no budget lasts beyond today."""
    now_s = db.query(NOW)[0]["now_s"]
    today = {"today_s": now_s - now_s % DAY_S}
    db.execute(SPENT_BEFORE, today)
    for row in db.query(SPENT, {"decision_id": decision_id, "now_s": now_s, **today}):
        hour_s, usd = row["at_s"] - row["at_s"] % HOUR_S, row["cost_usd"]
        if usd is None:  # its end is still to come, and will name no key
            usd = restore(Decision, row).predicted_usd
        db.execute(KEEP_SPENT, {"key_id": row["key_id"], "hour_s": hour_s, "usd": usd})


ERASERS: dict[type[Any], Callable[[Sql, Values], None]] = {Expiry: expire, Stripped: strip}
