"""Why this arm: a decision from the log, told so that a person can follow it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, get_args

from features.facts import NAMES
from features.sketch import Sketch
from policy.decide import LEARNING
from policy.exploration import looked_best
from storage.records import Attempt, Decision, Outcome, Round
from storage.words import Part, Transcript


def why(
    found: Round, attempts: Sequence[Attempt], said: Sequence[Transcript] = ()
) -> dict[str, Any]:
    """Return a decision with its context in words, its arms, and what would have flipped it.

    `said` is what is kept of the prompt and its answer.
    """
    decision, outcome = found.decision, found.outcome
    return {
        "id": decision.id,
        "decided_at_s": decision.decided_at_s,
        "kind": decision.kind,
        "retry_of": decision.retry_of,
        "answer_of": decision.answer_of,
        "sandbox": decision.sandbox,
        "policy": decision.policy,
        "policy_version": decision.policy_version,
        "feature_version": decision.feature_version,
        "willingness_to_pay_usd": decision.willingness_to_pay_usd,
        "explore": decision.explore,
        "arm": decision.arm,
        "propensity": decision.propensity,
        "context": context_in_words(decision),
        **{part: _said(part, said) for part in get_args(Part)},
        "cached_by_arm": dict(decision.cached_by_arm),
        "arms": considered(decision),
        "ineligible": dict(decision.ineligible),
        "attempts": [_attempt(each) for each in attempts],
        "outcome": None if outcome is None else _outcome(outcome),
        "reward": found.reward,
    }


def considered(decision: Decision) -> list[dict[str, Any]]:
    """Return each eligible arm with what was believed of it, the likeliest first.

    Where a stored answer was given again no arm was weighed.
    """
    if decision.kind == "cached":
        return []
    taken = decision.eligible.index(decision.arm)
    rows = [_arm(decision, i, taken) for i in range(len(decision.eligible))]
    return sorted(rows, key=lambda row: -float(row["propensity"]))


def context_in_words(decision: Decision) -> dict[str, Any]:
    """Return the facts of the prompt that the policy saw; its words are known by hashes only."""
    sketch = Sketch.from_bytes(decision.sketch)
    facts = zip(NAMES, sketch.facts.tolist(), strict=True)
    return {
        "task": decision.task,
        "words": decision.words,
        "input_tokens_estimated": decision.input_tokens_estimated,
        "distinct_terms": len(sketch.buckets),
        "facts": {name: round(value, 4) for name, value in facts},
    }


def _arm(decision: Decision, i: int, taken: int) -> dict[str, Any]:
    pay = decision.willingness_to_pay_usd
    return {
        "arm": decision.eligible[i],
        "propensity": decision.propensities[i],
        "quality": decision.quality[i],
        "quality_sd": decision.quality_sd[i],
        "cost_usd": decision.cost_usd_predicted[i],
        "utility": decision.quality[i] - decision.cost_usd_predicted[i] / pay,
        "would_look_better_if": None if i == taken else _flip(decision, i, taken),
    }


def _flip(decision: Decision, i: int, taken: int) -> str:
    """Return the smallest change under which this arm would look better than the one taken."""
    pay = decision.willingness_to_pay_usd
    dearer = decision.cost_usd_predicted[i] - decision.cost_usd_predicted[taken]
    better = decision.quality[i] - decision.quality[taken]
    gap = dearer / pay - better
    if gap < 0:
        return f"it already did, by {_digits(-gap)} of utility: {_passed_over(decision, i)}"
    if better > 0 and dearer > 0:
        return f"one more thumbs-up were worth more than ${_digits(dearer / better)}"
    if better < 0 and dearer < 0:
        return f"one more thumbs-up were worth less than ${_digits(dearer / better)}"
    return f"its quality were {_digits(gap)} higher"


def _passed_over(decision: Decision, i: int) -> str:
    """Return why an arm that looked better than the one taken was not taken."""
    if decision.policy not in LEARNING:
        return "the rule did not ask"
    pay, cost_usd = decision.willingness_to_pay_usd, decision.cost_usd_predicted
    best = looked_best(decision.quality, cost_usd, pay, decision.propensities)
    more = decision.quality[i] - decision.quality[best] - (cost_usd[i] - cost_usd[best]) / pay
    return "of so many arms a few are compared first" if more > 0 else "the draw explored"


def _digits(figure: float) -> str:
    """Return four digits that count, however small the figure is: what is told can be tried."""
    return f"{Decimal(f'{figure:#.4g}'):f}"


def _said(part: str, said: Sequence[Transcript]) -> dict[str, Any] | None:
    """Return a text and the form in which it was kept, None where it was not."""
    kept = (each for each in said if each.part == part)
    return next(({"text": each.text, "form": each.form} for each in kept), None)


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "arm": attempt.arm,
        "status": attempt.status,
        "http_status": attempt.http_status,
        "message": attempt.message,
        "latency_s": attempt.latency_s,
        "cost_usd": attempt.cost_usd,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "cache": outcome.cache,
        "arm": outcome.arm,
        "model": outcome.model,
        "finish_reason": outcome.finish_reason,
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "cost_usd": outcome.cost_usd,
        "latency_s": outcome.latency_s,
    }
