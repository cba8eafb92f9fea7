"""Fit a new policy to the team's own prompts and outcomes, and keep it only if it is no worse.

The candidate gets a feature space fitted to the prompts, prior scales by evidence, and a fold of
the log. It is promoted on the doubly robust value of the held-out newest rounds; where that does
not tell the two apart, on the evidence of all outcomes, which needs far fewer. "Not enough feedback
yet" is a result like any other. Nothing is written here: whoever asked records what is returned.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import uuid4

from features.fit import FEWEST_PROMPTS, FIT_PROMPTS, fit
from features.sketch import Sketch
from features.space import GROUPS, Space
from jobs.judge import Judgement, judge, usable
from jobs.learned import Learned
from jobs.refold import Fold, as_found, in_order
from policy.errors import InvalidInput
from policy.hyper import Hyper
from policy.tuning import LOG_BAYES_FACTOR, score, tuned
from storage.events import EvalEvent
from storage.learnable import LearnableLog
from storage.records import PolicyVersion, Retrain, RetrainTrigger, Round

HELD_OUT = 0.3
MOST_HELD_OUT = 20_000
FEWEST_ESS = 200.0
FEWEST_FOR_VETO = 30.0  # an interval from two rounds is as narrow as chance makes it
MARGIN = 0.01
CALIBRATION_SLACK = 0.01
SPEND_SLACK = 1.02

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A retrain and, if it promoted its candidate, the policy version and what it has learned."""

    retrain: Retrain
    policy: PolicyVersion | None = None
    learned: Learned | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """Whether to promote, why, and the figures behind it."""

    promoted: bool
    reason: str
    report: dict[str, Any]


class _Begun(NamedTuple):
    """When a retrain began, and how far the log reached: what is rated later is news after it."""

    at_s: float
    upto_seq: int


def retrain(
    log: LearnableLog,
    trigger: RetrainTrigger,
    clock: Clock,
    fewest_outcomes: int = 25,
    fold: Fold | None = None,
) -> Result:
    """Return the verdict on a candidate fitted to everything in the log, with the candidate.

    `fold` is how the log is folded; None in order.

    raises : InvalidInput if no policy was ever adopted
    """
    fold = fold or in_order(log)
    begun = _Begun(clock(), position := log.position())
    incumbent = log.latest_policy() or _never_adopted()
    sketches, counts = _sketches(log), log.counts()
    outcomes = counts.rated + counts.evals
    if outcomes < fewest_outcomes or len(sketches) < FEWEST_PROMPTS:
        decided = _too_early(outcomes, fewest_outcomes, len(sketches))
        return Result(_recorded(decided, trigger, begun, clock(), incumbent, None))
    space = fit(sketches, incumbent.version + 1)
    decided, hyper = _decide(log, position, incumbent, space, fold)
    if not decided.promoted:
        return Result(_recorded(decided, trigger, begun, clock(), incumbent, space.version))
    learned = _tuned_tokens(fold(Learned.under(space.version, space, hyper), position))
    policy = PolicyVersion(
        version=space.version,
        created_at_s=clock(),
        source="retrain",
        feature_version=space.version,
        space=space.to_bytes(),
        hyper=learned.hyper.to_json(),
    )
    recorded = _recorded(decided, trigger, begun, clock(), incumbent, space.version)
    return Result(recorded, policy, replace(learned, upto_seq=position))


def _decide(
    log: LearnableLog, position: int, incumbent: PolicyVersion, space: Space, fold: Fold
) -> tuple[Decided, Hyper]:
    """Return the verdict, and the hyper-parameters the candidate would serve with.

    The value is judged with scales tuned on the older part only. Where it leaves open which of the
    two is better, the scales are tuned on all outcomes and the evidence of both is compared.
    """
    held_out, after, before, _ = contest(log, incumbent, space, fold)
    judgement = judge(held_out, after, before)
    if (valued := by_value(judgement)) is not None:
        return valued, after.hyper
    whole, start = fold(before, position), Learned.under(space.version, space, after.hyper)
    fitted = fold(start, position)
    if fitted.changes != whole.changes:  # evidence compares only what rests on the same outcomes
        fitted = as_found(start, log, position, whole)
    candidate = _tuned(fitted)
    return by_evidence(_log_bayes_factor(candidate, whole), judgement), candidate.hyper


def contest(
    log: LearnableLog, incumbent: PolicyVersion, space: Space, fold: Fold | None = None
) -> tuple[list[Round], Learned, Learned, int]:
    """Return the newest rounds, and a candidate in this space and the incumbent to judge on them.

    Both are folded up to the position returned last, before the first of these rounds was decided.
    """
    fold = fold or in_order(log)
    held_out, cut = _held_out(log)
    before = fold(Learned.start(incumbent), cut)
    after = _tuned(fold(Learned.under(space.version, space, before.hyper), cut))
    return held_out, after, before, cut


def by_value(judgement: Judgement | None) -> Decided | None:
    """Return the verdict of the held-out rounds, None where they leave it to the evidence.

    They do where they are few or the interval is too wide to tell, and where a candidate that is as
    good predicts worse, of which all outcomes say more, or spends more, which its value has in it.
    """
    if judgement is None or judgement.ess < FEWEST_ESS:
        return None
    low, high = judgement.gain.interval
    gain = f"{judgement.gain.mean:+.4f} per decision (95 % {low:+.4f} to {high:+.4f})"
    report = {"rule": "value", **judgement.to_json()}
    if _is_worse(judgement):
        return Decided(False, f"it is worse: its value differs by {gain}", report)
    off = judgement.candidate_calibration - judgement.incumbent_calibration
    overspends = judgement.spend_ratio > SPEND_SLACK and low <= 0.0
    if low < -MARGIN or off > CALIBRATION_SLACK or overspends:
        return None
    return Decided(True, f"not worse on {judgement.rounds} newer rounds: {gain}", report)


def _is_worse(judgement: Judgement) -> bool:
    low, high = judgement.gain.interval
    return low < -MARGIN and high < 0.0


def by_evidence(log_bayes_factor: float, judgement: Judgement | None) -> Decided:
    """Return the verdict where the held-out rounds leave open which of the two is better.

    All outcomes are then asked which policy made them more likely. A value that is lower beyond
    doubt still forbids.

    source : Kass and Raftery 1995: a log Bayes factor above 1 is positive evidence
    """
    size = 0.0 if judgement is None else judgement.ess
    few = f"the values are not told apart (effective sample size {size:.0f})"
    if judgement is not None and size >= FEWEST_ESS and judgement.gain.interval[0] >= -MARGIN:
        few = f"its value is not lower on {judgement.rounds} newer rounds"
    factor = f"log Bayes factor {log_bayes_factor:+.1f}"
    report = {"rule": "evidence", "log_bayes_factor": round(log_bayes_factor, 3)}
    if judgement is not None:
        report |= judgement.to_json()
        if size >= FEWEST_FOR_VETO and _is_worse(judgement):
            reason = f"its value is lower on the newer rounds (effective sample size {size:.0f})"
            return Decided(False, reason, report)
    if log_bayes_factor < LOG_BAYES_FACTOR:
        needed = f"{LOG_BAYES_FACTOR:g} needed"
        return Decided(False, f"not enough feedback yet: {few}, {factor}, {needed}", report)
    return Decided(True, f"{few}: {factor}", report)


def _log_bayes_factor(candidate: Learned, incumbent: Learned) -> float:
    default = Hyper().quality_prior(GROUPS)
    ours, theirs = incumbent.beliefs.quality, candidate.beliefs.quality
    return score(theirs, theirs.prior, default) - score(ours, ours.prior, default)


def _tuned(learned: Learned) -> Learned:
    """Return the same evidence of quality under the prior scales that it makes most likely."""
    belief = learned.beliefs.quality
    prior = tuned(belief, Hyper().quality_prior(GROUPS))
    hyper = replace(learned.hyper, quality_deviation=prior.deviation, quality_shared=prior.shared)
    beliefs = replace(learned.beliefs, quality=belief.under(prior), hyper=hyper)
    return replace(learned, beliefs=beliefs)


def _tuned_tokens(learned: Learned) -> Learned:
    """Return the same for the lengths of answers, which no verdict depends on."""
    belief = learned.beliefs.tokens
    prior = tuned(belief, Hyper().tokens_prior(GROUPS))
    hyper = replace(learned.hyper, tokens_deviation=prior.deviation, tokens_shared=prior.shared)
    beliefs = replace(learned.beliefs, tokens=belief.under(prior), hyper=hyper)
    return replace(learned, beliefs=beliefs)


def _held_out(log: LearnableLog) -> tuple[list[Round], int]:
    """Return the newest rated rounds, and the position before the first of them was decided."""
    most = min(int(log.counts().rated * HELD_OUT), MOST_HELD_OUT)
    newest = usable(log.decisions(rated_only=True, limit=most))
    return newest, min((each.decision.learned_seq for each in newest), default=0)


def _sketches(log: LearnableLog) -> list[Sketch]:
    """Return the newest prompts, each once; those of evals while decisions are few.

    One whose figures another hand has spoilt would leave no number in the space.
    """
    # Where no hash is kept, the sketch itself tells one prompt from another.
    decisions = {each.prompt_sha256 or each.sketch: each.sketch for each in log.recent(FIT_PROMPTS)}
    few = len(decisions) < FIT_PROMPTS
    evals = {
        event.prompt_sha256 or event.sketch: event.sketch
        for event in (log.events() if few else ())
        if isinstance(event, EvalEvent) and event.teaches
    }
    sketches = map(Sketch.from_bytes, (evals | decisions).values())
    return [each for each in sketches if each.is_sound]


def _too_early(outcomes: int, needed: int, prompts: int) -> Decided:
    seen = f"{outcomes} rated outcomes and evals ({needed} needed)"
    reason = f"not enough feedback yet: {seen}, {prompts} prompts ({FEWEST_PROMPTS} needed)"
    return Decided(False, reason, {"rule": "none", "outcomes": outcomes, "prompts": prompts})


def _recorded(
    decided: Decided,
    trigger: RetrainTrigger,
    begun: _Begun,
    ended_at_s: float,
    incumbent: PolicyVersion,
    candidate_version: int | None,
) -> Retrain:
    return Retrain(
        id=uuid4().hex,
        started_at_s=begun.at_s,
        ended_at_s=ended_at_s,
        trigger=trigger,
        incumbent_version=incumbent.version,
        candidate_version=candidate_version,
        promoted=decided.promoted,
        reason=decided.reason,
        report={**decided.report, "upto_seq": begun.upto_seq},
    )


def _never_adopted() -> PolicyVersion:
    raise InvalidInput("no policy has been adopted yet; start the service once, then retrain")
