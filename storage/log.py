"""The log as the other rooms see it: everything they may write to it and read from it.

Writing returns a `Ticket` at once; the row is durable when `wait` returns. Units are committed in
the order in which they were submitted. Learning events get one strictly increasing `seq` without
gaps, so that folding them in that order is well defined.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

from storage.allotments import SharingLog
from storage.events import Event
from storage.keys import Key, KeyStanding, Revocation
from storage.latest import Latest
from storage.learnable import LearnableLog
from storage.leases import LeasableLog
from storage.lookups import Lookups
from storage.records import (
    Attempt,
    CacheSummary,
    Decision,
    Eval,
    Fence,
    Outcome,
    PolicyVersion,
    Rating,
    Retrain,
    Round,
)
from storage.rows import Row
from storage.spending import Spending
from storage.spool import Standing
from storage.states import SavedState, StatesLog
from storage.ticket import Ticket
from storage.words import Expiry, Stripped, Transcript

Subscriber = Callable[[Sequence[Event]], None]
HandedOver = (
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
)


class WritableLog(Protocol):
    """What may be appended; only words, and whose they were, are ever taken out."""

    def decide(self, decision: Decision) -> Ticket[None]:
        """Record a decision; wait for it before the first byte of the answer.

        While the log cannot be written, decisions, attempts and outcomes wait in the spool: they
        are durable there, have no position yet, and are found by nobody.

        raises : InvalidInput if a value cannot be stored, or the id is taken
        """
        ...

    def attempt(self, attempt: Attempt) -> Ticket[None]:
        """Record one upstream call."""
        ...

    def keep(self, transcript: Transcript) -> Ticket[None]:
        """Record the text of a prompt or an answer, after its decision."""
        ...

    def settle(self, outcome: Outcome) -> Ticket[int]:
        """Record how a decision ended, and give the event's seq; once per decision.

        raises : UnknownDecision; InvalidInput if the decision is already settled
        """
        ...

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
        ...

    def add_evals(self, evals: Sequence[Eval]) -> Ticket[int]:
        """Record an imported evaluation, and give how many rows were new (a batch counts once)."""
        ...

    def adopt(self, policy: PolicyVersion) -> Ticket[int]:
        """Record that a policy version serves from now on, and give the event's seq.

        raises : InvalidInput unless its version is above every earlier one
        """
        ...

    def record_retrain(self, retrain: Retrain) -> Ticket[None]:
        """Record a retrain with its verdict."""
        ...

    def replace(self, latest: Latest) -> Ticket[bool]:
        """Record a result in place of the one before it, whose version is one less.

        Gives False, and changes nothing, if that is not the one that is there.
        """
        ...

    def receive(
        self, handover_id: str, kind: str, at_s: float, records: Sequence[HandedOver]
    ) -> Ticket[bool]:
        """Record what another process handed over, all or nothing; False if it was in already.

        What it takes out is gone from the files too, as soon as nobody reads them.
        """
        ...

    def abandon(
        self, decided_before_s: float, at_s: float, decided_after_s: float = float("-inf")
    ) -> int:
        """Record an `abandoned` outcome for decisions that died without one; return how many."""
        ...

    @property
    def standing(self) -> Standing:
        """Return how the log stands: whether it is written, and what waits to be."""
        ...

    @property
    def unwiped(self) -> bool:
        """Return whether something that was deleted can still be found in the files."""
        ...

    def bring_back(self) -> None:
        """Bring what waits in the spool into the log, and wipe what was deleted, if that can be.

        raises : StoreUnavailable if it is not
        """
        ...

    def subscribe(self, subscriber: Subscriber, after_seq: int | None = None) -> None:
        """Hand every learning event after `after_seq` (None: from now on) to the subscriber.

        Past events come first, before this returns; then each group right after its commit and
        before its tickets are released: one call at a time, in seq order, without gaps. While it
        runs nothing is committed, so it must not wait for the log; if it fails, the log stops.
        """
        ...

    @property
    def waiting(self) -> int:
        """Return how many units of work are in line for the next commits."""
        ...

    def close(self) -> None:
        """Record everything still waiting, then close."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class ReadableLog(LearnableLog, StatesLog, Protocol):
    """What the log can be asked; every answer includes all that was durable before the question."""

    @property
    def lookups(self) -> Lookups:
        """Return what people ask of a log."""
        ...

    def ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of one query, which stands in this room beside what it is for."""
        ...

    def decision(self, decision_id: str, tenant: str | None = None) -> Round:
        """Return one decision with what came of it; `tenant` None sees every tenant's.

        raises : UnknownDecision, also when it belongs to another tenant
        """
        ...

    def newest_lesson_s(self, after_seq: int, upto_seq: int) -> float:
        """Return the latest moment of an outcome or thumb that teaches, in after < seq <= upto.

        0 without any.
        """
        ...

    def attempts(self, decision_id: str) -> list[Attempt]:
        """Return the upstream calls of a decision in order."""
        ...

    def cache_use(self, since_s: float, tenant: str | None = None) -> CacheSummary:
        """Return what stored answers have done since then, for one tenant or all."""
        ...

    def spend_usd(
        self, since_s: float, tenant: str | None = None, key_id: str | None = None
    ) -> float:
        """Return the dollars booked by outcomes since then, of one tenant or key if named."""
        ...

    def asked_with(self, key_id: str, n: int) -> list[Decision]:
        """Return the last n decisions that asked an arm with this key, oldest first."""
        ...

    def latest(self, name: str) -> Latest | None:
        """Return the newest result of this name, None if there was none yet."""
        ...

    def spending(
        self, since_s: float, until_s: float, tenant: str | None = None
    ) -> Iterator[Spending]:
        """Yield every decision that has ended, with what it cost, oldest first, page by page."""
        ...

    def decided_since(self, since_s: float) -> int:
        """Return how many decisions were made since then."""
        ...

    def known_keys(self) -> list[KeyStanding]:
        """Return every key that was ever made, the oldest first."""
        ...

    def keys_changed(self) -> int:
        """Return how often keys were made or revoked: while it stays, so do they."""
        ...

    def policy_version(self, version: int) -> PolicyVersion:
        """Return one policy version.

        raises : InvalidInput if there is none with this number
        """
        ...

    def retrains(self, limit: int = 20) -> list[Retrain]:
        """Return the latest retrains, newest first."""
        ...

    def faults(self) -> list[str]:
        """Return what the store itself finds wrong with its content, nothing if it is whole."""
        ...


class Log(WritableLog, ReadableLog, LeasableLog, SharingLog, Protocol):
    """The log: the truth that posterior and policy are folded from."""
