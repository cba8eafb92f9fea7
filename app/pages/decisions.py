"""The pages of decisions: which there were, and of one why it went where it went."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from app.mistakes import seen
from app.pages.charts import colours
from app.processes.loop import beside
from app.routing.why import why
from app.wiring import Parts
from features.facts import MOST
from policy.decide import LEARNING
from policy.errors import InvalidInput
from policy.exploration import looked_best
from policy.prediction import AT_ONCE
from storage.erasing import transcripts
from storage.records import Attempt, Decision, DecisionKind, Outcome
from storage.search import DecisionFilter, DecisionMark, Ending, ListedDecision, RatedAs

FILTERS = ("arm", "task", "rated", "ending", "kind", "least_usd")
PAGE = 50
TASKS = 200
CHAIN = 8
RATER = "dashboard"
"""Who rates on the page."""
NEARLY_NONE = 0.01
ALONE = "It was the only one that could be asked."

ENDINGS: Mapping[Ending, str] = {
    "answered": "answered",
    "filtered": "filtered",
    "failed": "failed",
    "left": "client left",
    "open": "under way",
}
STATUSES: Mapping[str | None, tuple[str, str]] = {
    "ok": ("answered", "good"),
    "continued": ("continued by another", "fair"),
    "filtered": ("filtered", "fair"),
    "client_gone": ("client left", "fair"),
    "timeout": ("timed out", "bad"),
    "error": ("failed", "bad"),
    "truncated_upstream": ("broke off", "bad"),
    "abandoned": ("abandoned", "bad"),
    None: ("under way", "open"),
}
"""How an outcome is told, and how good it is."""


def decisions(parts: Parts, sees: str | None, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the list.

    raises : InvalidInput naming the field of the query that is wrong
    """
    sought, before = _sought(given, sees), _mark(given.get("before"))
    found = beside(lambda: parts.log.lookups.find(sought, before, PAGE))
    traffic = parts.traffic.now(sees)
    arms = list(parts.catalogue().arms)
    go_on = found.go_on
    asked = {name: value for name in FILTERS if (value := given.get(name))}
    return {
        "found": [
            (each, STATUSES.get(each.status, (each.status, "fair")), better_than(each) is not None)
            for each in found.decisions
        ],
        "is_full": len(found.decisions) == PAGE,
        "looked_back_to_s": None if go_on is None else go_on.at_s,
        "older": None if go_on is None else asked | {"before": f"{go_on.at_s!r}_{go_on.id}"},
        "asked": asked,
        "is_first": "before" not in given,
        "arms": list(dict.fromkeys([*arms, *traffic.by("arm")])),
        "tasks": [task for task in traffic.by("task") if task][:TASKS],
        "kinds": get_args(DecisionKind),
        "endings": ENDINGS,
        "colours": colours(arms, traffic),
        "is_empty": not len(traffic.starts_s) and not found.decisions,
    }


def decision(parts: Parts, sees: str | None, decision_id: str) -> dict[str, Any]:
    """Return why a decision went to its arm, what came of it, and what was tried before and after.

    raises : UnknownDecision
    """
    log = parts.log
    found = log.decision(decision_id, sees)
    told = why(found, log.attempts(decision_id), transcripts(log.ask, decision_id))
    ratings = log.lookups.ratings(decision_id)
    return {
        "decision": found.decision,
        "outcome": found.outcome,
        "status": STATUSES[None if found.outcome is None else found.outcome.status],
        "why": told,
        "because": because(found.decision),
        "words": list(in_words(told["context"]["facts"])),
        "timeline": timeline(list(_chain(parts, sees, found.decision))),
        "ratings": ratings,
        "mine": next((each.reward for each in ratings if each.rater == RATER), None),
        "colours": colours(parts.catalogue().arms, parts.traffic.now(sees)),
    }


def because(made: Decision) -> str:
    """Return in a sentence why the decision went to its arm."""
    if made.kind == "cached":
        again = "The same question had been answered before: the stored answer was given again."
        return f"No arm that was asked has answered. {again}" if made.retry_of else again
    if made.kind == "pinned":
        return "The caller asked for this arm by name; nothing was chosen."
    first = "Another arm had failed, or could not be asked. " if made.kind == "fallback" else ""
    if made.policy not in LEARNING:
        return f"{first}The rule in force is {made.policy}, which does not ask what arms are worth."
    better, drawn = better_than(made), f"drawn with a probability of {made.propensity:.3f}"
    is_many = len(made.eligible) > AT_ONCE
    if better is not None:
        more = "the most of those compared" if is_many else "more"
        tried = f"It was tried out to learn about it: {better} looked worth {more}"
        return f"{first}{tried}, and this one was {drawn}."
    most = "those compared, of so many arms a few first" if is_many else len(made.eligible)
    why = f"It looked worth the most of {most}: its quality less its price. It was {drawn}."
    return f"{first}{why if len(made.eligible) > 1 else ALONE}"


def better_than(made: Decision | ListedDecision) -> str | None:
    """Return the arm that looked worth the most of those compared where another was taken.

    None where what was taken is worth as much. What is worth more was not compared.

    Only what learns asks what arms are worth, and only where nobody named one.
    """
    if made.kind not in ("routed", "fallback") or made.policy not in LEARNING:
        return None
    pays, cost_usd = made.willingness_to_pay_usd, made.cost_usd_predicted
    best = looked_best(made.quality, cost_usd, pays, made.propensities)
    taken = made.eligible.index(made.arm)
    worth = [made.quality[i] - cost_usd[i] / pays for i in (best, taken)]
    return made.eligible[best] if worth[0] != worth[1] else None


def in_words(facts: Mapping[str, float]) -> Iterator[str]:
    """Yield the facts of a prompt as a person would tell them.

    >>> list(in_words({"length": 2.9444389791664403, "numbers": 1.0986122886681098}))
    ['about 18 characters', '2 numbers']
    """
    amount = {name: math.expm1(value) for name, value in facts.items()}
    yield f"about {amount.get('length', 0):.0f} characters"
    yield from (name for name in ("opens as a question", "opens as an order") if facts.get(name))
    for name, one, many in (
        ("numbers", "1 number", "numbers"),
        ("question marks", "1 question mark", "question marks"),
        ("listed options", "1 listed option", "listed options"),
    ):
        n = round(amount.get(name, 0))
        if n:
            yield one if n == 1 else f"{n} {many}"
    for name in ("code marks", "maths marks", "digits", "signs", "other scripts"):
        if (share := facts.get(name, 0)) >= NEARLY_NONE:
            yield f"{100 * share:.0f} %{' or more' * (share == MOST.get(name))} {name}"
    for name, says in (
        ("conversation", "conversation or system message"),
        ("tools and images", "tools or images"),
    ):
        if facts.get(name, 0) > 0:
            yield says


def timeline(chain: Sequence[tuple[Decision, Outcome | None, Sequence[Attempt]]]) -> dict[str, Any]:
    """Return the calls of a request to providers, in order, each with its place in time."""
    calls = [(made, call) for made, _, attempts in chain for call in attempts]
    begun_s = min((call.started_at_s for _, call in calls), default=0.0)
    ended_s = max((call.started_at_s + call.latency_s for _, call in calls), default=0.0)
    took_s = max(ended_s - begun_s, 1e-9)
    return {
        "took_s": took_s if calls else None,
        "decisions": [made.id for made, _, _ in chain],
        "calls": [
            {
                "decision_id": made.id,
                "call": call,
                "after_s": call.started_at_s - begun_s,
                "left": 100 * (call.started_at_s - begun_s) / took_s,
                "first": 100 * (call.ttft_s or 0.0) / took_s,
                "width": max(100 * call.latency_s / took_s, 0.5),
            }
            for made, call in calls
        ],
    }


def _chain(
    parts: Parts, sees: str | None, made: Decision
) -> Iterator[tuple[Decision, Outcome | None, Sequence[Attempt]]]:
    """Yield the decisions of one request in order: those this one followed, and its retries."""
    first = made
    for _ in range(CHAIN):
        if first.retry_of is None:
            break
        first = parts.log.decision(first.retry_of, sees).decision
    waiting, left = [first.id], CHAIN
    while waiting and left:
        found = parts.log.decision(waiting.pop(0), sees)
        yield found.decision, found.outcome, parts.log.attempts(found.decision.id)
        waiting += parts.log.lookups.retries(found.decision.id)
        left -= 1


def _sought(given: Mapping[str, str], sees: str | None) -> DecisionFilter:
    return DecisionFilter(
        tenant=sees,
        arm=given.get("arm") or None,
        task=given.get("task") or None,
        kind=_one_of(given, "kind", get_args(DecisionKind)),
        rated=_one_of(given, "rated", get_args(RatedAs)),
        ending=_one_of(given, "ending", get_args(Ending)),
        least_usd=_dollars(given.get("least_usd")),
    )


def _one_of(given: Mapping[str, str], name: str, right: Sequence[str]) -> Any:
    value = given.get(name) or None
    if value is not None and value not in right:
        raise InvalidInput(
            f"{name} is {seen(value)}: it must be one of {', '.join(right)}", param=name
        )
    return value


def _dollars(value: str | None) -> float | None:
    try:
        usd = float(value) if value else None
    except ValueError:
        usd = math.nan
    if usd is not None and not 0 <= usd < math.inf:
        raise InvalidInput(
            f"least_usd is {seen(value)}: it must be a number of dollars, such as 0.001",
            param="least_usd",
        )
    return usd


def _mark(value: str | None) -> DecisionMark:
    if not value:
        return DecisionMark()
    at_s, _, identity = value.partition("_")
    try:
        mark = DecisionMark(float(at_s), identity)
    except ValueError:
        mark = DecisionMark(math.nan)
    if math.isnan(mark.at_s):
        raise InvalidInput(
            f"before is {seen(value)}: it must be taken from a link to older decisions",
            param="before",
        )
    return mark
