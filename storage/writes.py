"""The units of work: what each write does to the tables, inside the writer's transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from policy.errors import FeedbackClosed, InvalidInput, UnknownDecision
from storage.erasing import DELETE_REPORT, ERASERS
from storage.keys import NAME_IN_USE, Key, Revocation
from storage.latest import REPLACE_OLDER, Latest
from storage.leases import require
from storage.records import (
    UNASSIGNED,
    Eval,
    Feedback,
    Fence,
    Outcome,
    PolicyVersion,
    Rating,
    RatingStatus,
    Retrain,
    Voters,
    Withdrawal,
    WithdrawnVote,
)
from storage.rows import TABLES, Row, columns, plain
from storage.search import unknown
from storage.spool import Spare
from storage.sql import AskLog, Refused, Sql, Values
from storage.states import FORGET, SavedState
from storage.votes import never_given
from storage.withdrawing import withdraw

ALREADY_RECORDED = "already_recorded"

AreFull = Callable[[str, AskLog], bool]
"""Says of a tenant whether its votes are so many that one more teaches nothing.

It may ask what the transaction sees: votes that nobody has been told of yet.
"""


def never_full(_tenant: str, _ask: AskLog) -> bool:
    """Return that every vote teaches."""
    return False


def _insert_sql(kind: type[Any]) -> str:
    names = columns(kind)
    slots = ", ".join(f":{name}" for name in names)
    # The names are those of our own dataclasses; values are always bound.
    return f"INSERT INTO {TABLES[kind]} ({', '.join(names)}) VALUES ({slots})"  # noqa: S608


INSERTS = {kind: _insert_sql(kind) for kind in TABLES}

NEXT_SEQ = "UPDATE log_position SET seq = seq + 1 RETURNING seq"

NEWEST_VERSION = "SELECT COALESCE(max(version), 0) AS version FROM policies"

HAS_EVAL = """
SELECT arm FROM evals WHERE batch = :batch AND prompt_sha256 = :prompt_sha256 AND arm = :arm
"""

SAME_FILE = "SELECT withdrawn FROM evals WHERE batch = substr(CAST(:batch AS TEXT), 1, 64) LIMIT 1"

RECEIVE = """
INSERT INTO handovers (id, kind, received_at_s) VALUES (:id, :kind, :at_s)
ON CONFLICT (id) DO NOTHING
"""

RATEABLE = """
SELECT d.decided_at_s, d.tenant, COALESCE(o.arm, d.arm) AS arm,
    d.kind = 'cached' OR COALESCE(o.cache <> 'miss', FALSE)
        -- What was never begun was seen by nobody, whatever its provider bills.
        OR COALESCE(o.status <> 'ok' AND (o.output_tokens = 0 OR o.ttft_s IS NULL), FALSE)
        -- Two arms wrote a continued answer, so neither earns its reward.
        OR COALESCE(o.status = 'continued', FALSE)
        OR EXISTS (SELECT 1 FROM outcomes b
                   WHERE b.decision_id = d.retry_of AND b.status = 'continued') AS excluded
FROM decisions d LEFT JOIN outcomes o ON o.decision_id = d.id
WHERE d.id = :decision_id AND (CAST(:tenant AS TEXT) IS NULL OR d.tenant = :tenant)
"""

LATEST_REVISION = """
SELECT revision, reward, comment, arm, excluded FROM feedback
WHERE decision_id = :decision_id AND rater = :rater
ORDER BY revision DESC LIMIT 1
"""


def insert(db: Sql, kind: type[Any], values: Values) -> None:
    """Record one row.

    raises : UnknownDecision if it belongs to none; InvalidInput if it is there already, or wrong
    """
    try:
        db.execute(INSERTS[kind], values)
    except Refused as error:
        raise _refusal(kind, values, error) from error


def append(db: Sql, kind: type[Any], values: Values) -> int:
    """Record one learning event at the next position of the log, and return that position."""
    seq = int(db.query(NEXT_SEQ)[0]["seq"])
    insert(db, kind, {**values, "seq": seq})
    return seq


def put_back(spare: Spare[Any], db: Sql) -> int:
    """Record a row that has waited beside the log; return its position if it is an event."""
    if spare.kind is Outcome:
        return append(db, Outcome, spare.values)
    insert(db, spare.kind, spare.values)
    return UNASSIGNED


def _refusal(kind: type[Any], values: Values, refused: Refused) -> UnknownDecision | InvalidInput:
    what = kind.__name__.lower()
    if refused.why == "missing":
        if kind is Revocation:
            return InvalidInput(f"there is no key {values['key_id']!r} to revoke", param="key_id")
        decision_id = values.get("decision_id", values.get("id"))
        return UnknownDecision(f"there is no decision for this {what} of {decision_id!r}")
    if refused.why == "taken":
        return InvalidInput(
            f"this {what} is recorded already ({refused}); each can be recorded once",
            code=ALREADY_RECORDED,
        )
    return InvalidInput(f"this {what} cannot be recorded: {refused}")


@dataclass(frozen=True, slots=True)
class Rate:
    """The unit of work that records one rater's reward for one decision.

    The first reward of a rater teaches nothing if the votes of the decision's tenant are full then.
    """

    decision_id: str
    rater: str
    reward: float | None
    comment: str | None
    at_s: float
    tenant: str | None
    window_s: float
    are_full: AreFull = never_full

    def __call__(self, db: Sql) -> Rating:
        """Record a revision unless nothing changed; return what changed."""
        decision = self._open_decision(db)
        latest = self._latest(db)
        status = self._status(latest)
        revision = int(latest["revision"]) if latest else 0
        # Credit is settled once: a later revision takes back exactly what the first one gave.
        credit = latest or decision
        is_too_much = latest is None and self.are_full(decision["tenant"], db.query)
        excluded = bool(credit["excluded"]) or is_too_much
        if status != "duplicate":
            revision += 1
            feedback = Feedback(
                decision_id=self.decision_id,
                rater=self.rater,
                revision=revision,
                at_s=self.at_s,
                reward=self.reward,
                comment=self.comment,
                arm=credit["arm"],
                excluded=excluded,
            )
            append(db, Feedback, plain(feedback))
        return Rating(
            decision_id=self.decision_id,
            status=status,
            revision=revision,
            reward=self.reward,
            teaches=not excluded,
        )

    def _open_decision(self, db: Sql) -> Row:
        key = {"decision_id": self.decision_id, "tenant": self.tenant}
        decision = next(iter(db.query(RATEABLE, key)), None)
        if decision is None:
            raise unknown(self.decision_id)
        age_s = self.at_s - decision["decided_at_s"]
        if age_s > self.window_s:
            raise FeedbackClosed(
                f"feedback on {self.decision_id} came {age_s:.0f} s after the decision; "
                f"it is taken for {self.window_s:.0f} s",
                param="id",
            )
        return decision

    def _latest(self, db: Sql) -> Row | None:
        key = {"decision_id": self.decision_id, "rater": self.rater}
        return next(iter(db.query(LATEST_REVISION, key)), None)

    def _status(self, latest: Row | None) -> RatingStatus:
        if latest is None:
            if self.reward is None and self.comment:
                raise InvalidInput(
                    f"comment has no verdict to stand beside: {self.rater!r} has given none on "
                    f"{self.decision_id}; send it with one",
                    param="comment",
                )
            return "duplicate" if self.reward is None else "recorded"
        same_comment = self.comment is None or self.comment == latest["comment"]
        if self.reward == latest["reward"] and same_comment:
            return "duplicate"
        return "revoked" if self.reward is None else "updated"


def add_evals(db: Sql, rows: Sequence[Values]) -> int:
    """Record the evaluations that are not there yet, and return how many were new."""
    new = [values for values in rows if _add_eval(db, values)]
    return len(new)


def _add_eval(db: Sql, values: Values) -> bool:
    key = {name: values[name] for name in ("batch", "prompt_sha256", "arm")}
    if db.query(HAS_EVAL, key):
        return False
    # What was broken off and withdrawn meanwhile may come again whole: a file has one mark.
    before = db.query(SAME_FILE, {"batch": values["batch"]})
    append(db, Eval, {**values, **(before[0] if before else {})})
    return True


def adopt(db: Sql, values: Values) -> int:
    """Record a policy version above every earlier one, and return the event's seq."""
    newest = db.query(NEWEST_VERSION)[0]["version"]
    version = values["version"]
    if not isinstance(version, int) or version <= newest:
        raise InvalidInput(
            f"policy version {version!r} cannot be adopted: the log is at {newest}, so give "
            f"{newest + 1} or more",
            param="version",
        )
    return append(db, PolicyVersion, values)


def receive(db: Sql, handover: Values, rows: Sequence[tuple[type[Any], Values]]) -> bool:
    """Record what was handed over, once; return False if it was recorded before.

    raises : UnknownDecision, InvalidInput; another program may have made it
    """
    if db.execute(RECEIVE, handover) == 0:
        return False
    for kind, values in rows:
        try:
            RECEIVERS[kind](db, values)
        except Refused as error:
            raise _refusal(kind, values, error) from error
    return True


def _add_key(db: Sql, values: Values) -> None:
    """Record a key, unless its name belongs to another that is still one."""
    if db.query(NAME_IN_USE, {"name": values["name"]}):
        raise InvalidInput(
            f"there is a key named {values['name']!r}: revoke it first, or take another name",
            param="name",
        )
    insert(db, Key, values)


def _withdraw_vote(db: Sql, values: Values) -> None:
    """Record that a vote counts no longer, however long ago its decision was."""
    decision_id, rater, at_s = str(values["decision_id"]), str(values["rater"]), values["at_s"]
    Rate(decision_id, rater, None, None, float(at_s or 0), tenant=None, window_s=inf)(db)
    db.execute(DELETE_REPORT)


def _keep_state(db: Sql, values: Values) -> None:
    insert(db, SavedState, values)
    db.execute(FORGET, {"version": values["policy_version"]})


RECEIVERS: dict[type[Any], Callable[[Sql, Values], object]] = {
    Eval: _add_eval,
    PolicyVersion: adopt,
    Retrain: lambda db, values: insert(db, Retrain, values),
    Key: _add_key,
    Fence: lambda db, values: require(db, str(values["name"]), values["token"]),
    Latest: lambda db, values: db.execute(REPLACE_OLDER, values),
    SavedState: _keep_state,
    Revocation: lambda db, values: insert(db, Revocation, values),
    Withdrawal: withdraw,
    WithdrawnVote: _withdraw_vote,
    Voters: never_given,
    **ERASERS,
}
