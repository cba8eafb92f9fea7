"""The use cases, free of HTTP: complete, stream, route without a call.

A decision is on its way to disk while the provider is asked, and durable before the first byte of
the answer; the outcome is durable before the last. A provider that fails before its first content
costs one more decision, over the arms that are left: the healthiest first, the policy among them.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from app.answers.again import Again, stand_in
from app.answers.cache import Cache, Visit
from app.keys.holder import Holder
from app.monitoring.drift import Drifts
from app.routing.answering import Answering
from app.routing.ask import Ask, Recovery
from app.routing.asking import Asking
from app.routing.failover import ArmPool, explained, may_go_on, nobody, pools
from app.routing.ids import decision_id
from app.routing.live import Live
from app.routing.observed import Observed
from app.routing.retention import Retention
from app.routing.seats import Seats
from app.routing.turn import (
    Completion,
    Ended,
    Turn,
    attempt_row,
    broken_off,
    completed,
    cost_usd,
    failed,
    given_up,
    least,
    left,
    outcome_row,
    streamed,
)
from policy.errors import (
    EveryArmWaits,
    NoEligibleArm,
    StoreUnavailable,
    UpstreamBusy,
    UpstreamError,
)
from policy.types import Arm
from storage.records import Decision
from storage.spool import Durable
from upstream.catalogue import Catalogue
from upstream.client import Upstream
from upstream.health import Health
from upstream.stream import Stream


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator has set for every request."""

    policy: str
    sandbox: bool
    stream_recovery: Recovery
    retention: Retention


class Router:
    """Decides, asks, records; safe for many threads."""

    def __init__(
        self,
        terms: Terms,
        catalogue: Callable[[], Catalogue],
        upstream: Upstream,
        log: Observed,
        live: Live,
        health: Health,
        cache: Cache,
    ) -> None:
        self.terms = terms
        self.health = health
        self._catalogue = catalogue
        self._upstream = upstream
        self._log = log
        self._live = live
        self._cache = cache
        self._seats = Seats()
        self.drifts = Drifts()
        self._again = Again(catalogue, log, live, self._record, terms.sandbox)

    def complete(self, ask: Ask, holder: Holder) -> Completion:
        """Return a whole answer, its outcome durable.

        raises : NoEligibleArm, UpstreamError, StoreUnavailable
        """
        asking = self._asking(ask, holder)
        with self._visit(asking) as visit:
            if visit.found is not None:
                return self._again.complete(asking, visit.found, "hit")
            asking.stands_in = visit.has_stale
            try:
                completion = self._completed(asking)
            except UpstreamError as error:
                return self._again.complete(asking, stand_in(asking, visit, error), "stale")
            visit.keep(completion)
            return completion

    def stream(self, ask: Ask, holder: Holder) -> Answering:
        """Return an answer whose first content has come; iterate it for the rest.

        raises : NoEligibleArm, UpstreamError, StoreUnavailable
        """
        asking = self._asking(ask, holder)
        recovery = ask.stream_recovery or self.terms.stream_recovery
        go_on = partial(self._go_on, asking) if recovery == "continue" else None
        with ExitStack() as leaving:
            visit = leaving.enter_context(self._visit(asking))
            if visit.found is not None:
                return self._again.stream(asking, visit.found, "hit")
            asking.stands_in = visit.has_stale
            try:
                turn, stream = self._begun(asking, whole=recovery == "hold")
            except UpstreamError as error:
                return self._again.stream(asking, stand_in(asking, visit, error), "stale")
            leaving.pop_all()  # the answer leaves when it is closed
            return Answering(asking, turn, stream, self._record, go_on, visit)

    def route(self, ask: Ask, holder: Holder) -> Decision:
        """Return the decision that would be made now; nobody is asked and nothing is recorded.

        raises : NoEligibleArm
        """
        return self._choose(self._asking(ask, holder), spend=False)[0]

    def _asking(self, ask: Ask, holder: Holder) -> Asking:
        return Asking.of(ask, self._seats, holder, self.terms.retention)

    def _completed(self, asking: Asking) -> Completion:
        """Return the answer of the first arm that gives a whole one."""
        for turn in self._turns(asking):
            completion = None
            with self._blaming(asking, turn):
                body, excused = asking.body, asking.takes_blank
                answer = self._upstream.answer(turn.arm, body, excused=excused)
                turn.call.answer(answer.ttft_s)
                completion = completed(turn, answer, asking.attempts)
            if completion is not None:
                return replace(completion, durable=self._record(turn, completion.ended))
        raise self._last(asking)

    def _begun(self, asking: Asking, *, whole: bool = False) -> tuple[Turn, Stream]:
        """Return a stream whose first content, or whose whole answer, has come."""
        for turn in self._turns(asking):
            stream = None
            with self._blaming(asking, turn):
                body, excused = asking.body, asking.takes_blank
                stream = self._upstream.stream(turn.arm, body, excused=excused)
                turn.call.answer(stream.ttft_s)
            if stream is not None and self._may_start(asking, turn, stream, whole=whole):
                return turn, stream
        raise self._last(asking)

    def _may_start(self, asking: Asking, turn: Turn, stream: Stream, *, whole: bool) -> bool:
        """Return whether the client may see the answer; one held that breaks off is booked."""
        try:
            if whole:
                stream.hold()
            turn.recorded.wait()
        except UpstreamError as error:
            self._record(turn, streamed(stream, broken_off(error), error))
            asking.blame(turn, error)
            return False
        except StoreUnavailable:
            stream.close()
            turn.call.drop()
            self._live.settle(turn.decision, cost_usd(turn, streamed(stream)))
            raise
        except Exception as error:
            stream.close()
            self._record(turn, streamed(stream, given_up(error)))
            raise
        return True

    def _go_on(
        self, asking: Asking, turn: Turn, error: UpstreamError, text: str
    ) -> tuple[Turn, Stream]:
        """Return the stream of another arm that goes on from a part of an answer."""
        asking.blame(turn, error)
        asking.error, asking.partial = error, text
        return self._begun(asking)

    def _turns(self, asking: Asking) -> Iterator[Turn]:
        """Yield a turn, and another while the last one failed in a way that another arm may not."""
        while not asking.is_final and may_go_on(asking):
            try:
                decision, arm = self._choose(asking)
            except (NoEligibleArm, EveryArmWaits):
                if asking.error is None:
                    raise
                return
            with ExitStack() as failing:
                failing.callback(self._live.settle, decision, 0.0)
                recorded = self._log.decide(decision, asking.prompt.text)
                failing.pop_all()
            call = self.health.begin(arm, tuple(asking.calls))
            keys, known = asking.turn_keys.after, self._catalogue().arms
            yield Turn(decision, arm, recorded, call, time.time(), keys, known)

    def _choose(self, asking: Asking, *, spend: bool = True) -> tuple[Decision, Arm]:
        """Return the next decision, among the healthiest arms that fit the request.

        raises : NoEligibleArm, BudgetExceeded, EveryArmWaits
        """
        arms, none = self._catalogue().arms, NoEligibleArm({})
        asking.ask.require_known(arms, asking.holder.among(arms))
        passed_over: dict[str, Arm] = {}
        for pool in pools(asking, arms, self.health):
            try:
                decision, arm = self._decide(asking, arms, pool, spend=spend)
                return explained(decision, {**none.reasons, **asking.failures}), arm
            except NoEligibleArm as error:
                none = pool.told(error, none)
                passed_over |= {name: arms[name] for name in pool.passed_over(error.reasons)}
        raise nobody(asking.ask.given, passed_over, none, self.health)

    def _decide(
        self, asking: Asking, arms: Mapping[str, Arm], pool: ArmPool, *, spend: bool
    ) -> tuple[Decision, Arm]:
        identity, learned = decision_id(), self._live.lately
        question = asking.question(
            learned.space.context(asking.sketch),
            pool.allowed,
            {**pool.unavailable, **asking.too_small(arms), **asking.forbidden(arms)},
            self._live.pacer_of(asking.holder).willingness_to_pay_usd,
            pool.bound,
        )
        choice = self._live.decide(
            identity,
            learned,
            list(arms.values()),
            question,
            self.terms.policy,
            asking.holder,
            spend=spend,
        )
        decision = asking.decision(identity, question, choice, self.terms.sandbox)
        return decision, arms[decision.arm]

    @contextmanager
    def _blaming(self, asking: Asking, turn: Turn) -> Iterator[None]:
        """Record a failure of the provider inside, so that another arm can be asked.

        Whatever else ends the call is recorded too: no defect of ours may hold a budget.
        """
        began_s = time.monotonic()
        try:
            yield
        except UpstreamError as error:
            self._record(turn, failed(error, time.monotonic() - began_s))
            asking.blame(turn, error)
        except Exception as error:
            turn.call.drop()
            self._record(turn, left(turn, time.monotonic() - began_s, error))
            raise

    def _last(self, asking: Asking) -> UpstreamError:
        """Return the last failure, with the soonest moment to come back if that was named."""
        error = asking.error
        if error is None:
            raise AssertionError("a request ended without an answer and without an error")
        error.is_last = True
        if isinstance(error, UpstreamBusy):
            error.retry_after_s = self.health.waits_s(asking.asked) or error.retry_after_s
        return error

    def _visit(self, asking: Asking) -> Visit:
        holder = asking.holder
        return self._cache.visit(asking.ask, holder.tenant, holder.among(self._catalogue().arms))

    def _record(self, turn: Turn, ended: Ended) -> Durable:
        """Return where decision and outcome are recorded, once they are."""
        turn.call.end(ended.error, speaks=ended.speaks)
        at_s = self._live.settle(turn.decision, cost_usd(turn, ended))
        turn.recorded.wait()  # over the end of an hour or day, maybe
        if turn.cache == "miss":
            self._log.attempt(attempt_row(turn, ended))
            self._seats.follow(turn, ended)
            self.drifts.follow(turn, ended)
        settled = self._log.settle(outcome_row(turn, ended, at_s), ended.text)
        settled.wait()
        return least(turn.recorded.durable, settled.durable)
