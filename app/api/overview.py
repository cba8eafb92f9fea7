"""The whole policy as JSON: what is believed of each arm, what a dollar buys, what was learned."""

import time
from dataclasses import asdict
from math import ceil, inf
from typing import Any

import numpy as np

from app.keys.holder import Holder
from app.monitoring.traffic import Traffic
from app.processes.loop import beside
from app.routing.lately import RECENT, Lately
from app.wiring import Parts
from jobs.learned import Learned
from jobs.requests import DELIVERED
from policy.pacer import KNOWN, Budget, Pacer, QualityFloor
from policy.types import DAY_S, HOUR_S, Arm
from storage.records import Retrain
from storage.snapshots import digest

SINCE_S = 7 * DAY_S
ASKED = ("routed", "pinned", "fallback")
"""The kinds of decisions that asked an arm."""
EVERYBODYS = {"left_usd", "spent_usd", "requests", "next_usd_per_request"}
"""What a goal of the service tells of all tenants together."""
OPERATORS = ("learned_events", "store", "counts", "alarms", "catalogue_error")
"""What tells of all tenants together, or of the inside of the service: null but for operators."""
STEPS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)


def overview(parts: Parts, holder: Holder) -> dict[str, Any]:
    """Return the policy in force, and the goal and use of whoever asks, of the last seven days.

    What is believed is shared by all tenants; what was asked and spent is shown to its own.
    """
    learned, now_s, arms = parts.live.learned, time.time(), parts.catalogue().arms
    recent = beside(lambda: parts.log.recent(RECENT))
    lately = Lately.of(learned, list(arms), recent, holder.among(arms))
    beliefs, terms = {arm: _belief(learned, lately, arm) for arm in arms}, parts.router.terms
    pacer = parts.live.pacer_of(holder)
    wanted = goal(pacer, learned, now_s)
    if holder.goal is None and holder.sees is not None:
        wanted |= dict.fromkeys(EVERYBODYS & wanted.keys())
    return {
        "policy": terms.policy,
        "policy_version": learned.policy_version,
        "learned_sha256": digest(learned.to_arrays()),
        "sandbox": terms.sandbox,
        "willingness_to_pay_usd": pacer.willingness_to_pay_usd,
        "goal": wanted,
        "frontier": _frontier(lately, pacer.willingness_to_pay_usd),
        "arms": _arms(parts, holder.sees, beliefs, now_s),
        "features": _features(learned, holder.sees),
        "hyper": learned.hyper.to_json(),
        "noise_sd": float(np.sqrt(learned.beliefs.quality.noise)),
        "cache": _cache(parts, holder.sees, now_s),
        "retrains": [_retrain(each) for each in parts.log.retrains(10)],
        **(_operators(parts, learned) if holder.sees is None else dict.fromkeys(OPERATORS)),
    }


def _operators(parts: Parts, learned: Learned) -> dict[str, Any]:
    """Return what only an operator is told."""
    return {
        "learned_events": learned.upto_seq,
        "store": asdict(parts.log.standing),
        "counts": asdict(beside(parts.log.counts)),
        "alarms": [asdict(alarm) for alarm in parts.alarms.open],
        "catalogue_error": parts.file.error,
    }


def _cache(parts: Parts, tenant: str | None, now_s: float) -> dict[str, Any]:
    """Return what the cache has done; what it holds is of all tenants, so not for each to see."""
    used = asdict(beside(lambda: parts.log.cache_use(now_s - SINCE_S, tenant)))
    held = parts.cache.figures() if tenant is None else {"mode": parts.cache.rules.mode}
    return {**held, "last_7_days": used}


def goal(pacer: Pacer, learned: Learned, now_s: float) -> dict[str, Any]:
    """Return what sets the willingness to pay, and how near to it the service is."""
    wanted = pacer.goal
    left = {"left_usd": pacer.unspent_usd(now_s)}
    if isinstance(wanted, Budget):
        books = pacer.at(now_s).books
        return {
            **left,
            "kind": "budget",
            "usd": wanted.usd,
            "per": wanted.per,
            "spent_usd": books.spent_usd + books.elsewhere.spent_usd,
            "requests": books.requests,
            "next_usd_per_request": pacer.target_usd(now_s),
        }
    if isinstance(wanted, QualityFloor):
        return {**left, "kind": "quality_floor", **_floor(wanted, pacer, learned)}
    return {**left, "kind": "willingness_to_pay", "usd": wanted.usd}


def _floor(wanted: QualityFloor, pacer: Pacer, learned: Learned) -> dict[str, Any]:
    """Return how a floor is held, and how many outcomes are missing to know what it is held by."""
    ring, pay, arm = pacer.ring, pacer.willingness_to_pay_usd, wanted.baseline
    known = learned.beliefs.quality.known.get(arm)
    return {
        "share": wanted.share,
        "baseline": arm,
        "baseline_quality": ring.quality_of(arm) if ring.forecasts else None,
        "baseline_outcomes_missing": ceil(max(KNOWN - (known.evidence.weight if known else 0), 0)),
        "quality": ring.quality(pay, beside=arm) if arm in ring.arms else None,
        "surely_above": ring.above(pay, wanted.share, arm) if arm in ring.arms else None,
    }


def _features(learned: Learned, tenant: str | None) -> dict[str, Any]:
    return {
        "version": learned.space.version,
        "dimensions": len(learned.beliefs.quality.prior.groups),
        "terms": len(learned.space.buckets),
        "tasks": list(learned.space.tags) if tenant is None else None,
    }


def _arms(
    parts: Parts, tenant: str | None, beliefs: dict[str, dict[str, Any]], now_s: float
) -> list[dict[str, Any]]:
    """Return each arm with what is believed of it, and what it has done for a tenant or for all."""
    traffic = parts.traffic.now(tenant)
    week = of_week(traffic, now_s).where("kind", ASKED)
    requests = week.total().decisions
    return [
        {
            "arm": arm.name,
            "model": arm.model,
            "provider": arm.provider,
            "tier": arm.tier,
            "input_usd_per_mtok": arm.input_usd_per_mtok,
            "output_usd_per_mtok": arm.output_usd_per_mtok,
            "belief": beliefs[arm.name],
            "answers_as": _drift(parts, arm, tenant),
            "health": asdict(parts.router.health.standing(arm)),
            "ceilings": ceilings(parts, arm, tenant, now_s),
            **_use(week.where("arm", [arm.name]), requests),
            "latency_s": latency_s(week, arm.name),
            "last_feedback_at_s": last_rated_at_s(traffic, arm.name, tenant),
        }
        for arm in parts.catalogue().arms.values()
        if arm.name in beliefs
    ]


def ceilings(parts: Parts, arm: Arm, tenant: str | None, now_s: float) -> dict[str, Any]:
    """Return what an arm may not exceed, None where nothing is set, and what is used of it.

    What all tenants together use of it is not for each to see.
    """
    had = parts.live.shares.of(arm.name)
    used = {"requests": had.requests, "of": had.of}
    shown = used if tenant is None else dict.fromkeys(used)
    usd, pacer = arm.max_usd_per_day, parts.live.pacer_of_arm(arm)
    spent_usd = None
    if pacer is not None and tenant is None:
        books = pacer.at(now_s).books
        spent_usd = books.spent_usd + books.elsewhere.spent_usd
    return {
        "share": None if arm.max_share is None else {"most": arm.max_share, **shown},
        "usd_per_day": None if usd is None else {"most": usd, "spent_usd": spent_usd},
    }


def of_week(traffic: Traffic, now_s: float) -> Traffic:
    """Return the traffic of the last seven days, and what is begun of the hour before."""
    return traffic.between((now_s - SINCE_S) // HOUR_S * HOUR_S, inf)


def latency_s(traffic: Traffic, arm: str) -> float | None:
    """Return how long an arm took for a whole answer on average, None without any."""
    answered = traffic.where("arm", [arm]).where("status", ["ok"]).total()
    return answered.latency_s / answered.decisions if answered.decisions else None


def last_rated_at_s(traffic: Traffic, arm: str, tenant: str | None) -> float | None:
    """Return when an arm was last rated by a tenant, or by anybody; None if it never was."""
    found = [
        at_s
        for (whose, rated), at_s in traffic.rated_at_s.items()
        if rated == arm and tenant in {None, whose}
    ]
    return max(found, default=None)


def _drift(parts: Parts, arm: Arm, tenant: str | None) -> dict[str, Any] | None:
    """Return how an arm has answered as another model since the start, if it has."""
    drift = parts.router.drifts.of(arm.name)
    if drift is None:
        return None
    return asdict(drift) | ({} if tenant is None else {"answers": None})


def _use(of_arm: Traffic, requests: int) -> dict[str, Any]:
    """Return what an arm has done lately; a fallback is a request to the arm that it went to.

    A client that left, or whose request was wrong, says nothing of whether the arm was available;
    nor does a process of ours that ended amid a call.
    """
    used, answered = of_arm.total(), of_arm.where("status", DELIVERED).total()
    n = used.decisions
    awaited = n - of_arm.where("status", ["client_gone", "rejected", "abandoned"]).total().decisions
    return {
        "requests": n,
        "share": n / requests if n else 0.0,
        "availability": answered.decisions / awaited if awaited else None,
        "cost_usd": used.cost_usd,
        "cost_usd_per_request": used.cost_usd / n if n else None,
        "rated": used.rated,
        "mean_reward": used.satisfaction,
    }


def _belief(learned: Learned, lately: Lately, arm: str) -> dict[str, Any]:
    """Return what is believed of an arm's quality over the recent prompts, or the average one."""
    belief = lately.belief(arm)
    return {
        "quality": belief.quality,
        "quality_sd": belief.quality_sd,
        "effective_n": belief.outcomes,
        "changed_at_s": learned.changed_at_s(arm),
    }


def _frontier(lately: Lately, willingness_to_pay_usd: float) -> list[dict[str, float]]:
    """Return what other prices of a dollar would have cost and brought on the recent prompts."""
    return [
        {
            "willingness_to_pay_usd": point.willingness_to_pay_usd,
            "cost_usd_per_request": point.cost_usd,
            "quality": point.quality,
        }
        for point in lately.frontier([willingness_to_pay_usd * step for step in STEPS])
    ]


def _retrain(retrain: Retrain) -> dict[str, Any]:
    return {
        "id": retrain.id,
        "at_s": retrain.ended_at_s,
        "took_s": retrain.ended_at_s - retrain.started_at_s,
        "trigger": retrain.trigger,
        "incumbent_version": retrain.incumbent_version,
        "candidate_version": retrain.candidate_version,
        "promoted": retrain.promoted,
        "reason": retrain.reason,
        "report": {name: each for name, each in retrain.report.items() if name != "upto_seq"},
    }
