"""The page of today: what is spent and how satisfied users are, where it goes, what has changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.api.overview import ASKED
from app.monitoring.traffic import Traffic, TrafficSums
from app.pages.charts import by_arm, colours, satisfaction, span
from app.wiring import Parts
from jobs.requests import DELIVERED
from policy.errors import NotReady
from storage.records import Retrain

CHANGES = 8
REPORTED: Mapping[str, str] = {"1h": "1d", "24h": "1d", "7d": "7d", "30d": "30d"}
"""The report that goes with a span: reports are about whole days."""
VERDICTS: Mapping[tuple[Any, bool], str] = {
    ("value", True): "The newest ratings show that it does no worse than the one before.",
    ("value", False): "The newest ratings do not show that a new one would do as well.",
    ("evidence", True): "It fits the ratings so far better than the one before.",
    ("evidence", False): "The ratings so far do not show that a new one would be better.",
}
"""What came of a retrain, by the rule that decided and whether it promoted."""

ADOPTED: Mapping[str, tuple[str, str]] = {
    "rollback": ("The features of policy {} serve again.", "back"),
    "forget": ("Somebody was forgotten, and the log was folded anew without their words.", "new"),
    "withdraw": ("Evals were withdrawn or taken back, and the log was folded anew.", "new"),
    "distrust": ("Thumbs of somebody were withdrawn, and the log was folded anew.", "new"),
    "catalogue": ("The catalogue has a new arm, or other quality hints.", "new"),
}
"""Why a policy was adopted, other than by a retrain, and how it is marked."""


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened to the policy, and where to read more."""

    at_s: float
    what: str
    says: str
    mark: str
    page: str = "pages.show_retrains"


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that somebody should look at now."""

    what: str
    says: str


def today(parts: Parts, sees: str | None, name: str | None, now_s: float) -> dict[str, Any]:
    """Return what the page shows of a span of time, to somebody who sees a tenant or all."""
    traffic = parts.traffic.now(sees)
    period = span(name, traffic, now_s)
    lately, paints = period.of(traffic), colours(parts.catalogue().arms, traffic)
    return {
        "period": period,
        "is_empty": not len(traffic.starts_s),
        "total": lately.total(),
        "before": period.before(traffic).total(),
        "report": reported(parts, sees, REPORTED[period.name]),
        "is_whole_days": period.name in REPORTED.values(),
        "cached": _share(lately, "cached", lately),
        "fallbacks": _share(lately.where("status", DELIVERED), "fallback", lately),
        "undelivered": _undelivered(lately),
        "refused": parts.instruments.metrics.refused() if sees is None else 0,
        "arms": _arms(lately.where("kind", ASKED), paints),
        "spend": by_arm(lately, period, paints, "usd", lambda sums: sums.cost_usd),
        "satisfaction": satisfaction(lately, period),
        "concerns": list(concerns(parts, sees)),
        "changes": changes(parts),
    }


def reported(parts: Parts, sees: str | None, report: str) -> dict[str, Any] | None:
    """Return what the report says, None while a long log is added up for the first time."""
    try:
        return parts.reports.lately(report, sees)
    except NotReady:
        return None


def concerns(parts: Parts, sees: str | None) -> Iterator[Concern]:
    """Yield what is wrong now; to a tenant only of the arms, for the rest tells of all tenants."""
    if sees is None:
        yield from _operators(parts)
    for arm in parts.catalogue().arms.values():
        standing = parts.router.health.standing(arm)
        if standing.state != "closed":
            state = "left alone" if standing.state == "open" else "on trial"
            yield Concern(f"{arm.name} is {state}", standing.why or "it failed too often lately")


def _operators(parts: Parts) -> Iterator[Concern]:
    """Yield what is an operator's to mend: alarms, the catalogue's file, arms that drift."""
    for alarm in parts.alarms.open:
        what = f"{alarm.about}: {alarm.name}" if alarm.about else alarm.name.capitalize()
        yield Concern(what, f"{alarm.says}; {alarm.remedy}")
    if parts.file.error is not None:
        yield Concern("The catalogue cannot be used as it is", parts.file.error)
    for arm in parts.catalogue().arms:
        if (drift := parts.router.drifts.of(arm)) is not None:
            booked = drift.billed_as or "it is billed"
            says = f"{drift.answers} answers came from {drift.model}, booked as {booked}"
            yield Concern(f"{arm} answers as another model", says)


def changes(parts: Parts) -> list[News]:
    """Return what happened to the policy, the newest first."""
    found = [_retrained(each) for each in parts.log.retrains(CHANGES)]
    for each in parts.log.lookups.versions(CHANGES):
        if each.source in ADOPTED:
            says, mark = ADOPTED[each.source]
            told = says.format(each.features_of)
            found.append(News(each.created_at_s, f"Policy {each.version}", told, mark))
    learned = parts.live.learned
    for arm in parts.catalogue().arms:
        for at_s in learned.changed_at_s(arm):
            says = "Its ratings no longer fit what was believed of it: it is judged anew."
            found.append(News(at_s, f"{arm} has changed", says, "alarm", "pages.show_policy"))
    return sorted(found, key=lambda change: -change.at_s)[:CHANGES]


def _retrained(retrain: Retrain) -> News:
    if retrain.promoted:
        what, mark = f"Policy {retrain.candidate_version} promoted", "new"
    else:
        what, mark = f"Policy {retrain.incumbent_version} stays", "same"
    why = f"{retrain.reason[:1].upper()}{retrain.reason[1:]}."
    says = VERDICTS.get((retrain.report.get("rule"), retrain.promoted), why)
    return News(retrain.ended_at_s, what, says, mark)


def _share(some: Traffic, kind: str, lately: Traffic) -> float | None:
    """Return how many requests had a decision of this kind, of which each has one at most."""
    requests = lately.total().requests
    return some.where("kind", [kind]).total().decisions / requests if requests else None


def _undelivered(lately: Traffic) -> float | None:
    """Return the share of the requests to which no whole answer came, of an arm or of the cache."""
    requests, answers = lately.total().requests, lately.where("status", DELIVERED).total().decisions
    return max(requests - answers, 0) / requests if requests else None


def _arms(asked: Traffic, paints: dict[str, str]) -> list[dict[str, Any]]:
    total, used = asked.total(), asked.by("arm")
    answered = asked.where("status", DELIVERED).by("arm")
    return [
        {
            "arm": arm,
            "colour": paints.get(arm, "c8"),
            "sums": sums,
            "answers": answered.get(arm, TrafficSums()),
            "share": sums.decisions / max(total.decisions, 1),
        }
        for arm, sums in used.items()
        if sums.decisions
    ]


def moved(now: TrafficSums, before: TrafficSums, passed: float) -> dict[str, float | None]:
    """Return how much the sums have moved, as shares, against as much of the span before.

    As much as has `passed` of this one, 0..1: the day or hour under way is not over yet.
    """
    return {
        "cost_usd": _ratio(now.cost_usd, passed * before.cost_usd),
        "requests": _ratio(now.requests, passed * before.requests),
    }


def _ratio(now: float, before: float) -> float | None:
    return now / before - 1 if before else None
