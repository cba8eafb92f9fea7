"""One request under way: what it needs, whom it has failed with, and its next decision."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from app.ask import Ask
from app.live import Choice
from features.prompt import Prompt
from features.sketch import Sketch
from policy.decide import Question, Verdict
from policy.eligibility import Demand
from policy.errors import ContextLengthExceeded, UpstreamError, UpstreamRejected
from policy.types import Arm, Floats
from storage.records import Decision, DecisionKind
from upstream.answers import CHARS_PER_TOKEN

TENANT = "default"
GOES_ON = frozenset({"trailing_assistant"})


@dataclass(slots=True)
class Asking:
    """One request under way; `failed` says of each arm that was asked how it failed.

    `partial` is what the client has of an answer that broke off: the next arm goes on from there.
    """

    ask: Ask
    prompt: Prompt
    sketch: Sketch
    failed: dict[str, str] = field(default_factory=dict)
    retry_of: str | None = None
    error: UpstreamError | None = None
    partial: str = ""

    @classmethod
    def of(cls, ask: Ask) -> Self:
        """Return a request that nobody has been asked yet."""
        prompt = Prompt.of(ask.messages, ask.task, ask.tools)
        return cls(ask, prompt, Sketch.of(prompt))

    @property
    def body(self) -> dict[str, Any]:
        """Return what the next arm is sent, but for the model."""
        return self.ask.after(self.partial) if self.partial else self.ask.body

    @property
    def pinned(self) -> bool:
        """Return whether the caller chose the arm."""
        return self.ask.models is not None and len(self.ask.models) == 1

    @property
    def attempts(self) -> int:
        """Return how many arms have been asked, the one under way included."""
        return len(self.failed) + 1

    @property
    def is_final(self) -> bool:
        """Return whether what went wrong would go wrong with any arm."""
        rejected = isinstance(self.error, UpstreamRejected)
        return rejected and not isinstance(self.error, ContextLengthExceeded)

    def blame(self, decision: Decision, error: UpstreamError) -> None:
        """Remember that the arm of this decision has failed."""
        self.failed[decision.arm] = f"it has just failed: {error.message}"
        self.retry_of = decision.id
        self.error = error

    def question(
        self, context: Floats, arms: Mapping[str, Arm], willingness_to_pay_usd: float
    ) -> Question:
        """Return what the policy is asked next."""
        ask = self.ask
        pays_usd = (ask.willingness_to_pay_usd or willingness_to_pay_usd) * ask.pay_factor
        return Question(
            context=context,
            demand=Demand(
                input_tokens=self.prompt.input_tokens + len(self.partial) // CHARS_PER_TOKEN,
                output_tokens=ask.max_output_tokens,
                capabilities=ask.needs | (GOES_ON if self.partial else frozenset()),
                allowed=self._allowed(arms),
                max_cost_usd=ask.max_cost_usd,
                unavailable=self.failed | self._too_small(arms),
            ),
            willingness_to_pay_usd=pays_usd,
            words=self.prompt.words,
            explore=ask.explore and not ask.in_tool_loop and not self.pinned and not self.failed,
        )

    def decision(
        self, identity: str, question: Question, choice: Choice, sandbox: bool
    ) -> Decision:
        """Return the log's row of a choice."""
        verdict, learned = choice.verdict, choice.learned
        return Decision(
            id=identity,
            decided_at_s=time.time(),
            tenant=TENANT,
            task=self.ask.task,
            session=self.ask.session,
            policy=verdict.policy,
            policy_version=learned.policy_version,
            learned_seq=learned.upto_seq,
            kind=self._kind(),
            retry_of=self.retry_of,
            arm=verdict.arm,
            propensity=verdict.propensity,
            **_arms_of(verdict),
            willingness_to_pay_usd=question.willingness_to_pay_usd,
            explore=question.explore,
            allowance=choice.allowance.mass,
            feature_version=learned.space.version,
            context=question.context,
            sketch=self.sketch.to_bytes(),
            input_tokens_estimated=self.prompt.input_tokens,
            prompt_sha256=self.prompt.digest,
            words=self.prompt.words,
            sandbox=sandbox,
        )

    def _kind(self) -> DecisionKind:
        if self.failed:
            return "fallback"
        return "pinned" if self.pinned else "routed"

    def _allowed(self, arms: Mapping[str, Arm]) -> tuple[str, ...] | None:
        """Return the arms the caller allows; a pinned arm that failed allows its own fallbacks."""
        if not self.failed or not self.pinned or self.ask.models is None:
            return self.ask.models
        pinned = arms.get(self.ask.models[0])
        return pinned.fallbacks if pinned is not None else ()

    def _too_small(self, arms: Mapping[str, Arm]) -> dict[str, str]:
        """Return the arms whose window is no larger than the one that has just overflowed."""
        if not isinstance(self.error, ContextLengthExceeded):
            return {}
        asked = arms.get(self.error.arm)
        window = 0 if asked is None else asked.context_window
        why = f"the prompt did not fit a window of {window}"
        return {name: why for name, arm in arms.items() if arm.context_window <= window}


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
