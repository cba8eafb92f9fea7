"""The learned state that serves: it follows the log, and readers never wait for it.

Every durable event reaches it from the log's writer, in order; a new state replaces the old one by
one assignment. A start takes the newest snapshot of the serving policy and folds what came after.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from structlog import get_logger

from app.keys.holder import Holder
from app.routing.goals import Goals
from app.routing.listing import Listing
from app.routing.pacing import Piece
from app.routing.sharing import Sharing
from app.routing.treasury import Treasury
from jobs.intake import save, saved
from jobs.learned import Learned
from policy.ceilings import Shares
from policy.decide import Question, Verdict, decide, seeded
from policy.errors import BudgetExceeded, ConfigError
from policy.exploration import Allowance
from policy.pacer import Pacer
from policy.types import Arm
from storage import snapshots
from storage.events import Event, OutcomeEvent, PolicyEvent
from storage.log import Log
from storage.records import Decision

LOGGER = get_logger()
SNAPSHOT_EVERY = 4_000
FOLDED_EVERY_S = 0.25
"""How long what answers teach may wait, so that one step learns from many."""
MOST_UNTAUGHT = 1_000
"""How many may wait: at a start with a long log they come faster than anybody decides."""
MORE: tuple[Piece, ...] = ("some", "all")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A verdict with the state it came from: together with the id they give it again."""

    verdict: Verdict
    learned: Learned
    allowance: Allowance


class Live:
    """What has been learned so far, and what may still be explored."""

    def __init__(
        self,
        log: Log,
        data: Path,
        arms: Iterable[Arm],
        goals: Goals,
        priced_apart: Callable[[str], bool],
        now_s: float,
    ) -> None:
        self._log = log
        self._data = data
        self._lock = threading.Lock()
        self._allowance = Allowance()
        self._shares = Shares()
        self._goals = goals
        self._saved_seq = 0
        self._folding = threading.Lock()
        self._untaught: list[Event] = []
        self._folded_at_s = 0.0
        self._listing = Listing(log, lambda: self.learned)
        policy = log.latest_policy() or self._listing.first(arms, now_s)
        self._learned = self._restored(Learned.start(policy))
        log.subscribe(self._follow, after_seq=self._learned.upto_seq)
        self._treasury = Treasury(log, lambda: self.learned, goals, priced_apart, now_s)
        self._treasury.follow(arms, now_s)
        self._sharing = Sharing(log, self._lock, self._treasury.shared)

    @property
    def learned(self) -> Learned:
        """Return what has been learned from every event so far."""
        with self._folding:
            return self._taught()

    @property
    def lately(self) -> Learned:
        """Return what decides: it knows thumbs at once, what answers teach up to 0.25 s later.

        Each step of learning costs the next decision a posterior, however much it has learned.
        """
        is_fresh = time.monotonic() - self._folded_at_s < FOLDED_EVERY_S
        return self._learned if is_fresh else self.learned

    @property
    def pacer(self) -> Pacer:
        """Return what sets the willingness to pay of the service, as it stands."""
        return self._treasury.service.pacer

    @property
    def shares(self) -> Shares:
        """Return what each arm that has a share of the requests has had of it."""
        return self._shares

    def pacer_of(self, holder: Holder) -> Pacer:
        """Return what sets the price for whoever asks: the goal of its key, or the service's.

        raises : StoreUnavailable if the books of the key cannot be opened now
        """
        return self._treasury.of(holder, time.time()).pacer

    def pacer_of_arm(self, arm: Arm) -> Pacer | None:
        """Return the books of an arm that has a ceiling of its own, None of any other."""
        pacing = self._treasury.of_arm(arm.name)
        return None if pacing is None or arm.max_usd_per_day is None else pacing.pacer

    def decide(
        self,
        decision_id: str,
        learned: Learned,
        arms: Sequence[Arm],
        question: Question,
        policy: str,
        holder: Holder,
        *,
        spend: bool = True,
    ) -> Choice:
        """Return the choice for one prompt; one at a time, because all share what may be explored.

        Without `spend` it is only asked what would be chosen, and nothing counts as explored.

        raises : NoEligibleArm; BudgetExceeded with the seconds until the budget starts anew;
            StoreUnavailable if the budget is shared and more of it would be needed
        """
        asked = partial(
            self._decide, decision_id, learned, arms, question, policy, holder, spend=spend
        )
        for piece in MORE:
            try:
                return asked()
            except BudgetExceeded as error:
                if not self._more(error, holder, arms, piece):
                    raise
        return asked()

    def _more(
        self, error: BudgetExceeded, holder: Holder, arms: Sequence[Arm], piece: Piece
    ) -> bool:
        """Return whether more may be left of the budgets that are in the way of a request."""
        now_s = time.time()
        with self._lock:
            budgets = self._treasury.shared_of(error, holder, arms, now_s)
        return self._sharing.more(budgets, piece, now_s)

    def share(self, now_s: float, piece: Piece = "some") -> None:
        """Take or give back of the budgets that other processes spend from too.

        raises : StoreUnavailable
        """
        self._sharing.keep(now_s, piece)

    def _decide(
        self,
        decision_id: str,
        learned: Learned,
        arms: Sequence[Arm],
        question: Question,
        policy: str,
        holder: Holder,
        *,
        spend: bool,
    ) -> Choice:
        with self._lock:
            allowance, now_s = self._allowance, time.time()
            shares = self._shares.earned(arms, int(question.bound != "pinned"))
            if question.bound == "kept" and (used_up := shares.used_up(arms)):
                question = question.without(used_up)
            try:
                verdict = decide(
                    arms,
                    self._treasury.limited(question, holder, arms, now_s),
                    learned.beliefs,
                    seeded(decision_id),
                    policy=policy,
                    allowance=allowance,
                    control=self._goals.control_of(holder.goal),
                )
            except BudgetExceeded as error:
                self._treasury.exceeded(error, holder, arms, now_s)
                raise
            if spend:
                self._allowance = verdict.allowance.spend(verdict.explored)
                self._shares = shares.paid(verdict.arm)
                self._treasury.decided(decision_id, verdict, holder, now_s)
        return Choice(verdict, learned, allowance)

    def settle(self, decision: Decision, usd: float) -> float:
        """Return when what a call has cost was booked: the hour and day of budgets it counts in."""
        with self._lock:
            at_s = time.time()
            self._treasury.settled(decision, usd, at_s)
        return at_s

    def forget(self, before_s: float, now_s: float) -> None:
        """Give back what budgets hold for calls that began before a moment, and cannot go on."""
        with self._lock:
            self._treasury.forget(before_s, now_s)

    def follow(self, arms: Iterable[Arm], now_s: float) -> None:
        """Come nearer to a policy version for the catalogue, if that has other arms or hints.

        A ceiling that an arm has been given is in force from then on.

        raises : StoreUnavailable
        """
        self._treasury.follow(arms, now_s)
        self._listing.follow(arms, now_s)

    def snapshot(self) -> None:
        """Save what has been learned, unless nothing has been since the last time."""
        learned = self.learned
        if learned.upto_seq == self._saved_seq:
            return
        save(self._data, learned, self._log.mark(learned.upto_seq))
        self._saved_seq = learned.upto_seq

    def snapshot_when_due(self) -> None:
        """Save what has been learned once enough has come since the last time."""
        if self.learned.upto_seq - self._saved_seq >= SNAPSHOT_EVERY:
            self.snapshot()

    def _follow(self, events: Sequence[Event]) -> None:
        with self._folding:
            for event in events:
                if event.seq <= self._known_seq:
                    continue  # handed on again, because something failed after it
                if isinstance(event, PolicyEvent) and (adopted := self._adopted(event)):
                    self._learned, self._untaught = adopted, []
                else:
                    self._untaught.append(event)
            may_wait = all(isinstance(event, OutcomeEvent) for event in events)
            if not may_wait or len(self._untaught) >= MOST_UNTAUGHT:
                self._taught()

    @property
    def _known_seq(self) -> int:
        return self._untaught[-1].seq if self._untaught else self._learned.upto_seq

    def _taught(self) -> Learned:
        """Learn from what has come; for whoever holds the lock."""
        if self._untaught:
            self._learned, self._untaught = self._learned.fold(self._untaught), []
        self._folded_at_s = time.monotonic()
        return self._learned

    def _adopted(self, event: PolicyEvent) -> Learned | None:
        """Return what is known under a later policy version than ours; None if it is not served.

        While replicas are replaced one after the other, new ones adopt what old ones cannot read.
        """
        if event.version <= self._learned.policy_version:
            return None
        try:
            start = self._restored(Learned.start(event))
        except ConfigError as error:
            LOGGER.warning("an adopted policy is passed over", reason=error.message)
            return None
        return start.fold(self._log.events(start.upto_seq, event.seq))

    def _restored(self, start: Learned) -> Learned:
        """Return the policy version as it was saved, if it was; what others had learned goes."""
        try:
            snapshots.forget_before(self._data / "snapshots", start.policy_version)
        except OSError as error:  # no reason not to serve, but somebody may have been forgotten
            LOGGER.warning("snapshots of earlier policies stay", why=str(error))
        return saved(self._data, self._log, start) or start
