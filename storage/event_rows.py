"""Reading learning events: one query per kind, merged by `seq`, used live and after a restart.

`seq` has no gaps and rows below a committed position never change, so a page of events is a range
of `seq` and needs no open transaction.
"""

from collections.abc import Iterator
from hashlib import sha256
from operator import attrgetter
from typing import Any

from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent, PolicyEvent
from storage.rows import restore
from storage.sql import AskLog

PAGE = 1000

POSITION = "SELECT seq FROM log_position"

OUTCOMES = """
SELECT o.seq, o.at_s, o.decision_id, d.tenant, o.arm, d.feature_version, d.context, d.sketch,
    o.output_tokens, o.status, o.cache, o.usage_estimated, o.finish_reason, o.choices
FROM outcomes o JOIN decisions d ON d.id = o.decision_id
WHERE o.seq > :after AND o.seq <= :upto
"""

FEEDBACK = """
SELECT f.seq, f.at_s, f.decision_id, d.tenant, f.rater, f.arm, d.feature_version, d.context,
    d.sketch, f.reward, p.reward AS previous_reward, p.at_s AS previous_at_s, f.excluded,
    f.withdrawn, f.revision, d.answer_of, NOT EXISTS (
        SELECT 1 FROM feedback e
        WHERE e.decision_id = f.decision_id AND e.seq < COALESCE(p.seq, f.seq)
            AND e.withdrawn = 0
    ) AS is_first
FROM feedback f JOIN decisions d ON d.id = f.decision_id
LEFT JOIN feedback p ON p.decision_id = f.decision_id AND p.rater = f.rater
    AND p.revision = f.revision - 1 AND p.reward IS NOT NULL
WHERE f.seq > :after AND f.seq <= :upto
"""

EVALS = """
SELECT seq, at_s, prompt_sha256, sketch, arm, score, withdrawn
FROM evals WHERE seq > :after AND seq <= :upto
"""

POLICIES = """
SELECT seq, version, space, hyper
FROM policies WHERE seq > :after AND seq <= :upto
"""

MARK = """
SELECT at_s, decision_id AS what FROM outcomes WHERE seq = :seq
UNION ALL SELECT at_s, decision_id FROM feedback WHERE seq = :seq
UNION ALL SELECT at_s, prompt_sha256 FROM evals WHERE seq = :seq
UNION ALL SELECT created_at_s, source FROM policies WHERE seq = :seq
"""

# What teaches is what `teaches` says of an event; an imported eval lets no time pass.
NEWEST_LESSON = """
SELECT COALESCE(max(l.at_s), 0.0) AS at_s FROM (
    SELECT max(o.at_s) AS at_s FROM outcomes o
    WHERE o.seq > :after AND o.seq <= :upto
        AND o.status = 'ok' AND o.cache = 'miss' AND o.usage_estimated = 0
    UNION ALL
    SELECT max(f.at_s) AS at_s FROM feedback f
    WHERE f.seq > :after AND f.seq <= :upto AND f.excluded = 0 AND f.withdrawn = 0
) l
"""

QUERIES: tuple[tuple[type[Any], str], ...] = (
    (OutcomeEvent, OUTCOMES),
    (FeedbackEvent, FEEDBACK),
    (EvalEvent, EVALS),
    (PolicyEvent, POLICIES),
)


def position(ask: AskLog) -> int:
    """Return the seq of the newest event, 0 for none."""
    return int(ask(POSITION, {})[0]["seq"])


def mark(ask: AskLog, seq: int) -> str:
    """Return what tells the event at a position from any that another log has there.

    It is of what never changes, whatever is forgotten or pruned, and where there is no event of
    that there is none.
    """
    event = [(row["at_s"], row["what"]) for row in ask(MARK, {"seq": seq})]
    return sha256(repr(event).encode()).hexdigest()[:16]


def page(ask: AskLog, after: int, upto: int) -> list[Event]:
    """Return the events with after < seq <= upto in seq order."""
    seqs, events = {"after": after, "upto": upto}, list[Event]()
    for kind, sql in QUERIES:
        events += [restore(kind, row) for row in ask(sql, seqs)]
        if len(events) == upto - after:  # all there are, and mostly they are of the first kind
            break
    return sorted(events, key=attrgetter("seq"))


def spans(after: int, upto: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the pages that cover after < seq <= upto.

    >>> list(spans(10, 2500))
    [(10, 1010), (1010, 2010), (2010, 2500)]
    """
    for low in range(after, upto, PAGE):
        yield low, min(low + PAGE, upto)
