"""The savings report: what was spent, what rules would have cost, and how satisfied people were.

It is plain JSON, made from sums over the log. `docs/report.md` has the equations.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from jobs.requests import busy_s, requests
from jobs.satisfaction import RatedRound, of_baseline, ours, rated_rounds
from jobs.tally import ALL, UNNAMED, Comparison, Counting, Rule, Tally, most_usd
from policy.baselines import baseline
from policy.savings import FEWEST_OF_A_PART, BillSums, Saving, saving
from policy.types import DAY_S, Arm
from storage.reader import LogReader

T = TypeVar("T")
PERIODS: Mapping[str, int] = {"1d": 1, "7d": 7, "30d": 30, "90d": 90}
"""Whole days (UTC) that a report may be about, today among them."""
RECENT = 300
"""So many decisions tell what is usually predicted."""
SHOWN_PARTS = 20
MOST_TENANTS = 100
EVERYBODY = ""

LINES = tuple(
    {
        "asked": "requests that asked an arm, and what they have cost in all",
        "fallbacks": "routed requests that went on to another arm, and what failed calls cost",
        "exploration": "answers by arms that did not look best, the control group among them, and "
        "what they were expected to cost more",
        "pinned": "the caller named the arm: counted alike on both sides",
        "not delivered": "no arm gave a whole answer: counted alike on both sides",
        "stored answers": "answers that were given again and asked nobody: not in the saving",
    }.items()
)


def reports(
    log: LogReader,
    arms: Sequence[Arm],
    named: str | None,
    now_s: float,
    periods: Sequence[str] = tuple(PERIODS),
    tenant: str | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Return, by tenant and period, the reports of a log; under "" those of all tenants together.

    `named` is the baseline, None for the dearest arm. The tenants are those with the most requests;
    with `tenant` only the reports of that one are made, which may have asked nothing. `told` is
    told how many more decisions, and then rated ones, have been read.
    """
    arm = baseline(arms, named)
    rules = [Rule(arm), Rule()]
    counting = Counting(rules, {arm.name: arm for arm in arms}, most_usd(log.recent(RECENT)))
    since_s, lasts_s = begins_s(max(periods, key=PERIODS.__getitem__), now_s), busy_s(arms)
    # A request that goes on after midnight is one, of the day before, as is what is said of it.
    begun_s: dict[str, float] = {}
    spent = _telling(log.spending(since_s - lasts_s, now_s, tenant), told)
    for request in requests(spent, lasts_s):
        counting.count(request)
        if request.last is not request.first:
            begun_s[request.last.id] = request.first.decided_at_s
    rated = log.decisions(since_s=since_s, until_s=now_s, tenant=tenant, rated_only=True)
    said = rated_rounds(_telling(rated, told), begun_s)
    names = [rule.name for rule in rules]
    return {
        whose: {
            period: {
                "period": period,
                "since_s": begins_s(period, now_s),
                "until_s": now_s,
                **_report(_of(counting, said, whose, begins_s(period, now_s)), arm, names),
            }
            for period in periods
        }
        for whose in ([EVERYBODY, *_largest(counting)] if tenant is None else [tenant])
    }


def _telling(rows: Iterable[T], told: Callable[[int], None]) -> Iterator[T]:
    for row in rows:
        yield row
        told(1)


def _largest(counting: Counting) -> list[str]:
    """Return the tenants with the most requests, so many as reports are kept of."""
    sizes = Counter[str]()
    for (tenant, _), tally in counting.tallies.items():
        sizes[tenant] += tally.line("asked").requests + tally.line("stored answers").requests
    return [tenant for tenant, _ in sizes.most_common(MOST_TENANTS)]


@dataclass(frozen=True, slots=True)
class _Period:
    """What was counted and said of one tenant, or of all, since a moment."""

    whole: Tally
    days: Mapping[int, Tally]
    said: Sequence[RatedRound]


def _of(counting: Counting, said: Sequence[RatedRound], tenant: str, since_s: float) -> _Period:
    whole = Tally()
    days: dict[int, Tally] = {}
    for (whose, day), tally in sorted(counting.tallies.items()):
        if day * DAY_S >= since_s and tenant in (EVERYBODY, whose):
            whole.add(tally)
            days.setdefault(day, Tally()).add(tally)
    heard = [v for v in said if v.at_s >= since_s and tenant in (EVERYBODY, v.tenant)]
    return _Period(whole, days, heard)


def begins_s(period: str, now_s: float) -> float:
    """Return the moment a period begins: midnight (UTC) of its first day.

    >>> begins_s("1d", 1_800_000_000.0) % DAY_S
    0.0
    """
    return (now_s // DAY_S + 1 - PERIODS[period]) * DAY_S


def _report(month: "_Period", baseline_arm: str, rules: Sequence[str]) -> dict[str, Any]:
    whole = month.whole
    answered = whole.line("asked").requests - whole.line("not delivered").requests
    answered += sum(not rated.is_whole for rated in month.said)  # a part can be rated too
    always, gain = of_baseline(month.said, baseline_arm)
    return {
        "baseline": baseline_arm,
        "requests": whole.line("asked").requests + whole.line("stored answers").requests,
        "spent_usd": whole.line("asked").usd,
        "lines": [{"line": name, "says": says, **asdict(whole.line(name))} for name, says in LINES],
        "rules": [_compared(name, whole.rule(name)) for name in rules],
        "satisfaction": {
            "answered": answered,
            "rated": len(month.said),
            "coverage": len(month.said) / answered if answered else None,
            "ours": asdict(ours(month.said)),
            "baseline": asdict(always),
            "more_than_baseline": asdict(gain),
            "tasks": _by_task(month.said),
        },
        "days": [_day(day, tally, rules[0]) for day, tally in sorted(month.days.items())],
    }


def _compared(name: str, comparison: Comparison) -> dict[str, Any]:
    """Return what a rule would have cost: in all, by task and by arm, the largest first."""
    whole = saving(comparison.of(*ALL))
    parts: dict[str, list[dict[str, Any]]] = {"task": [], "arm": []}
    by_bill = sorted(comparison.sums.items(), key=lambda item: -item[1].spent)
    for (kind, part), sums in by_bill:
        if kind != ALL[0] and len(parts[kind]) < SHOWN_PARTS and sums.requests:
            parts[kind].append({"name": part, **_saved(sums, saving(sums, FEWEST_OF_A_PART))})
    cached = comparison.cached
    return {
        "rule": name,
        "total": _saved(comparison.of(*ALL), whole),
        "tasks": parts["task"],
        "arms": parts["arm"],
        "stored_answers": {
            "requests": cached.requests,
            "would_have_cost_usd": None if whole.why_not else cached.usd * whole.ratio,
        },
        "no_such_choice": asdict(comparison.no_such_choice),
    }


def _saved(sums: BillSums, made: Saving) -> dict[str, Any]:
    """Return a saving as it is shown; what is not to be shown is not there."""
    shown = made.why_not is None
    return {
        "requests": sums.requests,
        "spent_usd": sums.spent,
        "would_have_cost_usd": made.bill_usd if shown else None,
        "saved_usd": made.saved_usd if shown else None,
        "low_usd": made.low_usd if shown else None,
        "high_usd": made.high_usd if shown else None,
        "saved_share": made.saved_usd / made.bill_usd if shown and made.bill_usd else None,
        "ess": sums.ess,
        "unheard": sums.unheard,
        "why_not": made.why_not,
    }


def _by_task(said: Sequence[RatedRound]) -> list[dict[str, Any]]:
    by_task: dict[str, list[RatedRound]] = {}
    for rated in said:
        by_task.setdefault(rated.task or UNNAMED, []).append(rated)
    largest = sorted(by_task.items(), key=lambda item: (-len(item[1]), item[0]))[:SHOWN_PARTS]
    return [{"name": task, **asdict(ours(rounds))} for task, rounds in largest]


def _day(day: int, tally: Tally, rule: str) -> dict[str, Any]:
    """Return a day's requests and dollars, for a picture; `predicted_usd` is the model's word."""
    sums = tally.rule(rule).of(*ALL)
    return {
        "at_s": float(day * DAY_S),
        "requests": tally.line("asked").requests,
        "spent_usd": tally.line("asked").usd,
        "compared_usd": sums.spent,
        "predicted_usd": sums.predicted,
    }
