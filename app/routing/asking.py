"""One request under way: what it needs, whom it has been sent to, and its next decision."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeGuard

from app.keys.holder import Holder
from app.routing.ask import Ask
from app.routing.live import Choice
from app.routing.retention import Retention
from app.routing.seats import Seat, Seats, TurnKeys
from app.routing.turn import Turn
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.learned import Learned
from policy.ceilings import Bound
from policy.decide import Question, Verdict
from policy.eligibility import FORBIDDEN, Demand
from policy.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    ParameterUnsupported,
    UpstreamError,
    UpstreamRejected,
)
from policy.letters import about_tokens
from policy.types import Arm, Floats
from storage.cache_file import StoredAnswer
from storage.records import Decision, DecisionKind
from upstream.doubt import BLANK
from upstream.health import Call

GOES_ON = frozenset({"trailing_assistant"})


@dataclass(slots=True)
class Asking:
    """One request under way; `calls` are those that have failed it, `failures` says how.

    `takes_blank` says whether an answer may say nothing.
    `overflowed` is the largest window that the prompt did not fit. `partial` is what the client has
    of an answer that broke off: the next arm goes on from there. `stands_in` says whether an older
    answer could be given instead. `seat` is that of the conversation's last turn.

    units  : began_s in seconds of the monotonic clock, overflowed in tokens
    """

    ask: Ask
    holder: Holder
    retention: Retention
    prompt: Prompt
    sketch: Sketch
    turn_keys: TurnKeys
    seat: Seat | None
    began_s: float = field(default_factory=time.monotonic)
    calls: list[Call] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    overflowed: int = 0
    retry_of: str | None = None
    error: UpstreamError | None = None
    takes_blank: bool = False
    partial: str = ""
    stands_in: Callable[[], bool] = bool

    @classmethod
    def of(cls, ask: Ask, seats: Seats, holder: Holder, retention: Retention) -> Self:
        """Return a request that nobody has been asked yet."""
        prompt = Prompt.of(ask.messages, ask.task, ask.tools, ask.beside)
        sketch, keys = retention.sketch(prompt), TurnKeys.of(ask, holder.tenant)
        seat, blank = seats.find(keys), ask.may_be_blank
        return cls(ask, holder, retention, prompt, sketch, keys, seat, takes_blank=blank)

    @property
    def body(self) -> dict[str, Any]:
        """Return what the next arm is sent, but for the model."""
        return self.ask.after(self.partial) if self.partial else self.ask.body

    @property
    def asked(self) -> list[Arm]:
        """Return the arms that have failed it."""
        return [each.arm for each in self.calls]

    @property
    def goes_back_to(self) -> str | None:
        """Return the arm that is asked before any other: the one that has the conversation.

        It waits for the results of the tools it has called; or another arm has rejected what it
        said. Elsewhere the policy is free.
        """
        is_bound = self.ask.in_tool_loop or self._is_rejected
        return self.seat.arm if self.seat is not None and is_bound else None

    @property
    def attempts(self) -> int:
        """Return how many arms have been asked, the one under way included."""
        return len(self.asked) + 1

    @property
    def is_final(self) -> bool:
        """Return whether what went wrong would go wrong with any arm, as far as can be told.

        What the model of one arm does not take is tried with one other, where none was wanted, and
        so is a conversation: what one model has said, another may not take. So is what an arm has
        rejected that rejects whatever comes.
        """
        if not self._is_rejected or len(self.asked) > 1:
            return self._is_rejected
        is_taken_elsewhere = isinstance(self.error, ParameterUnsupported) or (
            self.ask.is_conversation and not isinstance(self.error, ContentFiltered)
        )
        return (self.ask.pins or not is_taken_elsewhere) and self.calls[-1].doubted is None

    def blame(self, turn: Turn, error: UpstreamError) -> None:
        """Remember that the arm of this turn has failed."""
        arm = turn.arm
        if isinstance(turn.call, Call):
            self.calls.append(turn.call)
        self.takes_blank = self.takes_blank or error.code == BLANK
        self.failures[arm.name] = f"it has just failed: {error.message}"
        if isinstance(error, ContextLengthExceeded):
            self.overflowed = max(self.overflowed, arm.context_window)
        self.retry_of = turn.decision.id
        # What one arm says of the request is told, whatever others did with it; but not what an arm
        # says of a conversation that another has.
        is_told = self._is_rejected and not self._is_foreign(self.error)
        if self.error is None or not (is_told or self._is_foreign(error)):
            self.error = error

    def question(
        self,
        context: Floats,
        allowed: tuple[str, ...] | None,
        unavailable: Mapping[str, str],
        willingness_to_pay_usd: float,
        bound: Bound = "kept",
    ) -> Question:
        """Return what the policy is asked next; `allowed` None for every arm."""
        ask = self.ask
        pays_usd = (ask.willingness_to_pay_usd or willingness_to_pay_usd) * ask.pay_factor
        return Question(
            context=context,
            demand=Demand(
                input_tokens=self.prompt.input_tokens + int(about_tokens(self.partial)),
                output_tokens=ask.max_output_tokens,
                choices=ask.choices,
                capabilities=ask.needs | (GOES_ON if self.partial else frozenset()),
                allowed=allowed,
                max_cost_usd=ask.max_cost_usd,
                unavailable={**unavailable, **self.failures},
                cached_tokens={} if self.seat is None else {self.seat.arm: self.seat.tokens},
            ),
            willingness_to_pay_usd=pays_usd,
            words=self.prompt.words,
            explore=ask.explore and not self._is_bound,
            bound=bound,
        )

    def decision(
        self, identity: str, question: Question, choice: Choice, sandbox: bool
    ) -> Decision:
        """Return the log's row of a choice."""
        verdict = choice.verdict
        return Decision(
            **self._asked(identity, question, choice.learned),
            policy=verdict.policy,
            kind=self._kind(verdict.arm),
            arm=verdict.arm,
            propensity=verdict.propensity,
            **_arms_of(verdict),
            explore=question.explore,
            allowance=choice.allowance.mass,
            sandbox=sandbox,
            cached_by_arm=question.demand.cached_tokens,
        )

    def again(
        self,
        identity: str,
        question: Question,
        learned: Learned,
        stored: StoredAnswer,
        sandbox: bool,
    ) -> Decision:
        """Return the log's row of an answer that is given again: nobody was drawn.

        What is expected of asking the arm anew is what it had cost.
        """
        return Decision(
            **self._asked(identity, question, learned),
            policy="cache",
            kind="cached",
            arm=stored.arm,
            propensity=1.0,
            eligible=(stored.arm,),
            propensities=(1.0,),
            quality=(),
            quality_sd=(),
            cost_usd_predicted=(stored.cost_usd,),
            ineligible=self.failures,
            explore=False,
            allowance=0.0,
            sandbox=sandbox,
            answer_of=stored.decision_id,
        )

    def _asked(self, identity: str, question: Question, learned: Learned) -> dict[str, Any]:
        """Return what the log keeps of every request."""
        return {
            "id": identity,
            "decided_at_s": time.time(),
            "tenant": self.holder.tenant,
            "key_id": self.holder.key_id,
            "task": self.ask.task,
            "session": self.ask.session,
            "policy_version": learned.policy_version,
            "learned_seq": learned.upto_seq,
            "retry_of": self.retry_of,
            "willingness_to_pay_usd": question.willingness_to_pay_usd,
            "feature_version": learned.space.version,
            "context": question.context,
            "sketch": self.sketch.to_bytes(),
            "input_tokens_estimated": self.prompt.input_tokens,
            "prompt_sha256": self.retention.digest(self.prompt),
            "words": self.prompt.words,
        }

    def too_small(self, arms: Mapping[str, Arm]) -> dict[str, str]:
        """Return the arms whose window is no larger than one that has overflowed."""
        window = self.overflowed
        why = f"the prompt did not fit a window of {window}"
        return {name: why for name, arm in arms.items() if arm.context_window <= window}

    def forbidden(self, arms: Collection[str]) -> dict[str, str]:
        """Return the arms that the key of the request does not allow."""
        allowed = self.holder.among(arms)
        return {name: FORBIDDEN for name in arms if name not in allowed}

    @property
    def _is_rejected(self) -> bool:
        """Return whether an arm has said that the request is wrong, not only too long for it."""
        return _rejects(self.error)

    def _is_foreign(self, error: UpstreamError | None) -> bool:
        """Return whether an arm rejects a conversation that another one has."""
        if not _rejects(error) or isinstance(error, ContentFiltered):
            return False
        return self.seat is not None and self.seat.arm != error.arm

    @property
    def _is_bound(self) -> bool:
        """Return whether this is no place to try an arm out.

        Besides where somebody has chosen or failed: amid tools, and amid a conversation that an arm
        has in its cache. Arms are tried where conversations begin.
        """
        is_cached = self.seat is not None and self.seat.tokens > 0
        return self.ask.in_tool_loop or self.ask.pins or bool(self.asked) or is_cached

    def _kind(self, arm: str) -> DecisionKind:
        if self.asked or (self.ask.pins and arm not in (self.ask.models or ())):
            return "fallback"
        return "pinned" if self.ask.pins else "routed"


def _rejects(error: UpstreamError | None) -> TypeGuard[UpstreamRejected]:
    is_rejection = isinstance(error, UpstreamRejected)
    return is_rejection and not isinstance(error, ContextLengthExceeded)


def _arms_of(verdict: Verdict) -> dict[str, Any]:
    """Return what the log keeps of every arm that was considered."""
    return {
        "eligible": verdict.eligible,
        "propensities": tuple(verdict.propensities.tolist()),
        "quality": tuple(verdict.quality.tolist()),
        "quality_sd": tuple(verdict.quality_sd.tolist()),
        "cost_usd_predicted": tuple(verdict.cost_usd.tolist()),
        "ineligible": verdict.ineligible,
    }
