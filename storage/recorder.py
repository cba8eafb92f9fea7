"""The writing half of the log, whatever it is stored in: each record becomes a unit of work."""

import threading
from abc import ABC
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from policy.errors import InvalidInput
from storage import allotments, leases, writes
from storage.erasing import ERASERS
from storage.feed import Feed, Subscriber
from storage.inbox import Unit
from storage.keys import Key, Revocation
from storage.latest import REPLACE_KNOWN, Latest
from storage.records import (
    UNASSIGNED,
    Attempt,
    Decision,
    Eval,
    Fence,
    Outcome,
    PolicyVersion,
    Rating,
    Retrain,
    Voters,
    Withdrawal,
    WithdrawnVote,
)
from storage.rows import plain, text
from storage.spool import LogStanding, Spare, Spool
from storage.sql import Sql, Values
from storage.states import SavedState
from storage.words import Expiry, Stripped, Transcript
from storage.writer import GroupWriter

HandoverRow = (
    Eval
    | Expiry
    | Fence
    | Key
    | Latest
    | PolicyVersion
    | Retrain
    | Revocation
    | SavedState
    | Stripped
    | Voters
    | Withdrawal
    | WithdrawnVote
)


class LogRecorder(ABC):
    """A log that can be written: a store brings its writer, spool and feed.

    Only words, and whose they were, are ever taken out.
    """

    _writer: GroupWriter
    _spool: Spool
    _feed: Feed
    _are_full: writes.AreFull = staticmethod(writes.never_full)

    def decide(self, decision: Decision) -> Unit[None]:
        """Record a decision; wait for it before the first byte of the answer.

        While the log cannot be written, decisions, attempts and outcomes wait in the spool: they
        are durable there, have no position yet, and are found by nobody.

        raises : InvalidInput if a value cannot be stored, or the id is taken
        """
        return self._insert(decision)

    def attempt(self, attempt: Attempt) -> Unit[None]:
        """Record one upstream call."""
        return self._insert(attempt)

    def keep(self, transcript: Transcript) -> Unit[None]:
        """Record the text of a prompt or an answer, after its decision."""
        return self._insert(transcript)

    def settle(self, outcome: Outcome) -> Unit[int]:
        """Record how a decision ended, and give the event's seq; once per decision.

        raises : UnknownDecision; InvalidInput if the decision is already settled
        """
        spare = Spare.of(outcome, UNASSIGNED)
        return self._writer.submit(partial(writes.put_back, spare), spare)

    def rate(
        self,
        decision_id: str,
        rater: str,
        reward: float | None,
        *,
        comment: str | None = None,
        at_s: float,
        tenant: str | None,
        window_s: float,
    ) -> Rating:
        """Record a reward, durably, and return what that changed; None withdraws.

        The same reward again changes nothing, unless it brings another comment. `tenant` None
        rates whosever decision it is.

        units  : reward 0..1
        raises : UnknownDecision, FeedbackClosed, InvalidInput, StoreUnavailable
        """
        if reward is not None and not 0 <= reward <= 1:
            raise InvalidInput(f"reward must be between 0 and 1, not {reward}", param="reward")
        rate = writes.Rate(
            decision_id=text(decision_id),
            rater=text(rater),
            reward=None if reward is None else float(reward),
            comment=None if comment is None else text(comment),
            at_s=at_s,
            tenant=tenant and text(tenant),
            window_s=window_s,
            are_full=self._are_full,
        )
        return self._writer.submit(rate).wait()

    def limit_votes(self, are_full: writes.AreFull) -> None:
        """Let the votes of a decision's tenant teach nothing from when they are said to be full."""
        self._are_full = are_full

    def add_evals(self, evals: Sequence[Eval]) -> Unit[int]:
        """Record an imported evaluation, and give how many rows were new (a batch counts once)."""
        rows = [plain(one) for one in evals]
        return self._writer.submit(lambda db: writes.add_evals(db, rows))

    def adopt(self, policy: PolicyVersion) -> Unit[int]:
        """Record that a policy version serves from now on, and give the event's seq.

        raises : InvalidInput unless its version is above every earlier one
        """
        values = plain(policy)
        return self._writer.submit(lambda db: writes.adopt(db, values))

    def record_retrain(self, retrain: Retrain) -> Unit[None]:
        """Record a retrain with its verdict."""
        values = plain(retrain)
        return self._writer.submit(lambda db: writes.insert(db, Retrain, values))

    def replace(self, latest: Latest) -> Unit[bool]:
        """Record a result in place of the one before it, whose version is one less.

        Gives False, and changes nothing, if that is not the one that is there.
        """
        values = plain(latest)
        return self._writer.submit(lambda db: db.execute(REPLACE_KNOWN, values) > 0)

    def receive(
        self, handover_id: str, kind: str, at_s: float, records: Sequence[HandoverRow]
    ) -> Unit[bool]:
        """Record what another process handed over, all or nothing; False if it was in already.

        What it takes out is gone from the files too, as soon as nobody reads them.
        """
        handover: Values = {"id": text(handover_id), "kind": text(kind), "at_s": at_s}
        rows: list[tuple[type[Any], Values]] = [(type(one), plain(one)) for one in records]
        erases = any(kind in ERASERS for kind, _ in rows)
        return self._writer.submit(lambda db: writes.receive(db, handover, rows), scrubs=erases)

    def lease(self, name: str, holder: str, for_s: float) -> int | None:
        """Take or keep a lease, durably, and return its token; None while another holds it."""
        return self._writer.submit(lambda db: leases.lease(db, name, holder, for_s)).wait()

    def give_back(self, fence: Fence) -> None:
        """Let the next one take a lease at once."""
        self._writer.submit(lambda db: leases.give_back(db, fence)).wait()

    def allot(self, wish: allotments.Wish) -> Unit[allotments.Allotment]:
        """Give a process its piece of a budget, durably: as much of its wish as is left."""
        return self._writer.submit(lambda db: allotments.allot(db, wish))

    @property
    def standing(self) -> LogStanding:
        """Return how the log stands: whether it is written, and what waits to be."""
        return replace(self._spool.standing, is_stopped=not self._writer.is_running)

    def bring_back(self) -> None:
        """Bring what waits in the spool into the log, and wipe what was deleted, if that can be.

        raises : StoreUnavailable if it is not
        """
        self._writer.submit(lambda _db: None).wait()

    def take_over(self, spool: Path) -> None:
        """Let what waits in the spool of a process that has ended wait in ours, unless some does.

        Whoever asks holds the folder of that process until this returns; later nothing is done.

        raises : ConfigError if it cannot be opened or moved; StoreUnavailable
        """
        wanted, working = [spool], threading.Lock()

        def work(_db: Sql) -> None:
            with working:
                for each in wanted:
                    self._spool.take_over(each)

        try:
            self._writer.submit(work).wait()
        finally:
            with working:  # a writer that comes to it later finds nothing: nobody holds it then
                wanted.clear()

    @property
    def unwiped(self) -> bool:
        """Return whether something that was deleted can still be found in the files."""
        return self._writer.unwiped

    def subscribe(self, subscriber: Subscriber, after_seq: int | None = None) -> None:
        """Hand every learning event after `after_seq` (None: from now on) to the subscriber.

        Past events come first, before this returns; then each group right after its commit and
        before its tickets are released: one call at a time, in seq order, without gaps. While it
        runs nothing is committed, so it must not wait for the log; if it fails, the log stops.
        """
        self._feed.subscribe(subscriber, after_seq)

    @property
    def waiting(self) -> int:
        """Return how many units of work are in line for the next commits."""
        return self._writer.waiting

    def _insert(self, record: Decision | Attempt | Transcript) -> Unit[None]:
        spare = Spare.of(record, None)
        return self._writer.submit(lambda db: writes.insert(db, spare.kind, spare.values), spare)
