"""The rows of the log as frozen records: one class per table, one field per column.

A record says what happened once and never changes. Shapes: k eligible arms, d features. `seq` is
the position of a learning event in the log; the writer assigns it, so a record that is still to
be written carries 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from policy.types import Floats

DecisionKind = Literal["routed", "pinned", "fallback", "cached"]
AttemptStatus = Literal[
    "ok", "rejected", "unauthorised", "busy", "timeout", "invalid", "error", "client_gone"
]
OutcomeStatus = Literal[
    "ok",
    "truncated_upstream",
    "continued",
    "client_gone",
    "timeout",
    "filtered",
    "error",
    "abandoned",
]
CacheUse = Literal["miss", "hit", "stale"]
PolicySource = Literal[
    "initial", "catalogue", "retrain", "rollback", "forget", "withdraw", "distrust"
]
RetrainTrigger = Literal["schedule", "feedback", "manual"]
RatingStatus = Literal["recorded", "updated", "revoked", "duplicate"]

UNASSIGNED = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Decision:
    """One choice of an arm, with everything needed to make it again and to judge it later.

    `id` and `learned_seq` (the log position the posterior had folded) seed and fix the draw;
    `sketch` is what lets a later feature version encode the prompt without keeping its text. Of a
    `cached` decision `answer_of` names the one whose answer is given again; nobody was drawn.
    `cached_by_arm` are the tokens of the prompt that an arm's provider was held to have cached.

    shapes : context (d,); propensities, quality, quality_sd, cost_usd_predicted (k,), as `eligible`
    """

    id: str
    decided_at_s: float
    tenant: str
    task: str | None
    session: str | None
    policy: str
    policy_version: int
    learned_seq: int
    kind: DecisionKind
    retry_of: str | None
    arm: str
    propensity: float
    eligible: tuple[str, ...]
    propensities: tuple[float, ...]
    quality: tuple[float, ...]
    quality_sd: tuple[float, ...]
    cost_usd_predicted: tuple[float, ...]
    ineligible: Mapping[str, str]
    willingness_to_pay_usd: float
    explore: bool
    allowance: float
    feature_version: int
    context: Floats
    sketch: bytes
    input_tokens_estimated: int
    prompt_sha256: str
    words: int
    sandbox: bool = False
    answer_of: str | None = None
    cached_by_arm: Mapping[str, int] = field(default_factory=dict)
    key_id: str | None = None

    @property
    def predicted_usd(self) -> float:
        """Return the dollars its arm was expected to cost; 0 in a row that another hand spoilt."""
        told = zip(self.eligible, self.cost_usd_predicted, strict=False)
        return dict(told).get(self.arm, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One upstream call made for a decision, also when it failed; `n` counts from 1."""

    decision_id: str
    n: int
    arm: str
    started_at_s: float
    latency_s: float
    ttft_s: float | None
    status: AttemptStatus
    http_status: int | None
    message: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a decision ended, exactly once.

    `continued` is an answer that broke off, and that the retry of this decision went on with.
    `arm` is the arm that answered, `model` what the provider said it was; `cost_usd` and `attempts`
    count all attempts of the decision. `output_tokens` are those of all `choices` together.
    """

    decision_id: str
    at_s: float
    arm: str
    status: OutcomeStatus
    finish_reason: str | None
    model: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    usage_estimated: bool
    cost_usd: float
    latency_s: float
    ttft_s: float | None
    cache: CacheUse = "miss"
    attempts: int = 1
    seq: int = UNASSIGNED
    choices: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One revision of one rater's reward for one decision; the last revision counts.

    `reward` None withdraws. `arm` and `excluded` are settled with the first revision and kept, so
    that a later revision takes back exactly what the first one gave; `excluded` means that no arm
    earns this reward (a cached answer, nothing was delivered, a vote too many). `withdrawn` are all
    revisions of a vote that is to be as if never given.
    """

    decision_id: str
    rater: str
    revision: int
    at_s: float
    reward: float | None
    comment: str | None
    arm: str
    excluded: bool
    seq: int = UNASSIGNED
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Eval:
    """One score of one arm on one prompt of the team's own evaluation.

    `batch` is the SHA-256 of the file it came in; of a second score of the same arm and prompt in
    that file it ends in ".2", and so on.
    """

    batch: str
    at_s: float
    prompt_sha256: str
    task: str | None
    sketch: bytes
    arm: str
    score: float
    seq: int = UNASSIGNED
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """That the scores of an imported file teach nothing, or teach again."""

    batch: str
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawnVote:
    """That what a rater said of a decision counts no longer, by the word of an operator."""

    decision_id: str
    rater: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Voters:
    """Whose votes: of a tenant's decisions, of those a key asked for, of a rater, from then on."""

    tenant: str | None = None
    key_id: str | None = None
    rater: str | None = None
    since_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One promoted policy: its feature space (empty for the built-in one) and hyper-parameters."""

    version: int
    created_at_s: float
    source: PolicySource
    feature_version: int
    space: bytes
    hyper: Mapping[str, Any]
    seq: int = UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """One retrain, whether it promoted a candidate or not, and why."""

    id: str
    started_at_s: float
    ended_at_s: float
    trigger: RetrainTrigger
    incumbent_version: int
    candidate_version: int | None
    promoted: bool
    reason: str
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What whoever writes under a lease shows: its name, and the token it was taken with."""

    name: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What a call to rate a decision changed; `revision` 0 means nothing was ever rated.

    `teaches` says whether an arm earns what this rater says of the decision.
    """

    decision_id: str
    status: RatingStatus
    revision: int
    reward: float | None
    teaches: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A decision with what came of it; `reward` is the mean over its raters, None if unrated."""

    decision: Decision
    outcome: Outcome | None
    reward: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSummary:
    """What stored answers did since a moment; `saved_usd` is what the hits had cost at first."""

    hits: int
    stale: int
    saved_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the log holds; only ratings that teach count.

    `feedback_since_retrain` are votes, of a rater on a decision: one changed often is one.
    """

    decisions: int
    outcomes: int
    rated: int
    evals: int
    feedback_since_retrain: int
