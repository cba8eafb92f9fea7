"""The learning events: what a policy is folded from, in the order of `seq`.

An event is read from the log, live and after a restart by the same query, and carries everything
the fold needs, so that folding never has to ask the log again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy.types import Floats
from storage.records import CacheUse, OutcomeStatus

CUT = 2.0
"""So many times as long an answer would have been that was cut off: of log-normal lengths whose
logarithms have an sd of .7, those beyond the middle one have twice its length in the mean."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OutcomeEvent:
    """A decision ended: tokens and status of the arm that answered, whether or not it is rated."""

    seq: int
    at_s: float
    decision_id: str
    tenant: str
    arm: str
    feature_version: int
    context: Floats
    sketch: bytes
    output_tokens: int
    status: OutcomeStatus
    cache: CacheUse
    usage_estimated: bool
    finish_reason: str | None = "stop"
    choices: int = 1

    @property
    def teaches(self) -> bool:
        """Return whether it says how long answers are: at its end, new, counted by the provider."""
        return self.status == "ok" and self.cache == "miss" and not self.usage_estimated

    @property
    def length(self) -> float:
        """Return how long one answer is, in tokens; one that was cut would have been longer."""
        cut = CUT if self.finish_reason == "length" else 1.0
        return cut * self.output_tokens / self.choices


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FeedbackEvent:
    """A rater's reward for the arm that answered, and the reward it replaces.

    `reward` None withdraws; `previous_reward` is what the same rater had given before and the fold
    must take back first. `excluded` feedback is kept but teaches no arm, nor does what an operator
    has `withdrawn`, which is as if never given. `answer_of` is the decision whose stored answer was
    given again, None where an arm was asked. `is_first` says that nobody had rated the decision
    before this reward, or before the one that it replaces. `revision` counts from 1 what this rater
    has said of it.
    """

    seq: int
    at_s: float
    decision_id: str
    tenant: str
    rater: str
    arm: str
    feature_version: int
    context: Floats
    sketch: bytes
    reward: float | None
    previous_reward: float | None
    previous_at_s: float | None
    excluded: bool
    answer_of: str | None = None
    is_first: bool = True
    revision: int = 1
    withdrawn: bool = False

    @property
    def teaches(self) -> bool:
        """Return whether an arm earns this reward."""
        return not (self.excluded or self.withdrawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalEvent:
    """A score of one arm on one prompt of an imported evaluation; withdrawn, it teaches nothing."""

    seq: int
    at_s: float
    prompt_sha256: str
    sketch: bytes
    arm: str
    score: float
    withdrawn: bool = False

    @property
    def teaches(self) -> bool:
        """Return whether it counts."""
        return not self.withdrawn


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEvent:
    """A policy version was adopted: from here on the fold uses its space and hyper-parameters."""

    seq: int
    version: int
    space: bytes
    hyper: Mapping[str, Any]


Event = OutcomeEvent | FeedbackEvent | EvalEvent | PolicyEvent
