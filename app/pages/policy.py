"""The page of the policy: what is believed of each arm, what a dollar buys, what each task gets."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf, log10
from typing import Any

from app.api.overview import ASKED, ceilings, goal, last_rated_at_s, latency_s, of_week
from app.figures import decimals, dollars, percent
from app.keys.holder import Holder
from app.mistakes import seen
from app.monitoring.traffic import Traffic, TrafficSums
from app.pages.charts import OTHER, by_arm, colours, span
from app.processes.loop import beside
from app.routing.lately import RECENT, Lately
from app.wiring import Parts
from policy.decide import LEARNING
from policy.errors import InvalidInput
from policy.frontier import Point
from policy.pacer import Pacer
from policy.ring import HIGHEST_USD, LOWEST_USD
from policy.types import DAY_S

TASKS = 12
CURVE = 48
BELOW, ABOVE = 0.1, 1_000.0
"""The slider's ends, in calls of the cheapest and of the dearest arm."""

NOT_ASKED = "The rule in force is {}, which does not ask what a thumb is worth."


def policy(parts: Parts, holder: Holder, name: str | None, now_s: float) -> dict[str, Any]:
    """Return what the page shows; figures of use are of the last seven days."""
    traffic, lately = parts.traffic.now(holder.sees), lately_of(parts, holder)
    period = span(name, traffic, now_s)
    paints, asked = colours(parts.catalogue().arms, traffic), traffic.where("kind", ASKED)
    week = of_week(asked, now_s)
    pacer, learned = parts.live.pacer_of(holder), parts.live.learned
    rule = parts.router.terms.policy
    return {
        "period": period,
        "is_empty": not lately.tasks,
        "prompts": lately.prompts,
        "rule": rule,
        "version": learned.policy_version,
        "goal": goal(pacer, learned, now_s),
        "pay": pacer.willingness_to_pay_usd,
        "is_boundless": pacer.willingness_to_pay_usd >= HIGHEST_USD,
        "paints": paints,
        "arms": _arms(parts, holder.sees, lately, week, traffic),
        "shares": by_arm(period.of(asked), period, paints, "share", lambda sums: sums.decisions),
        "frontier": _frontier(lately, paints, pacer.willingness_to_pay_usd, rule),
        "slider": slider(lately, pacer.willingness_to_pay_usd),
        "now": _moved(lately, pacer, traffic, pacer.willingness_to_pay_usd, paints, rule),
        "tasks": _tasks(lately, week, paints),
        "hyper": learned.hyper,
        "dimensions": len(learned.beliefs.quality.prior.groups),
        "terms": len(learned.space.buckets),
        "tags": list(learned.space.tags),
        "noise_sd": float(learned.beliefs.quality.noise) ** 0.5,
        "learned_events": learned.upto_seq,
    }


def lately_of(parts: Parts, holder: Holder) -> Lately:
    """Return the recent prompts as the policy sees them now, for the arms that a key allows."""
    recent, arms = beside(lambda: parts.log.recent(RECENT)), list(parts.catalogue().arms)
    return Lately.of(parts.live.learned, arms, recent, holder.among(arms))


def payment(given: str) -> float:
    """Return a willingness to pay from a query.

    raises : InvalidInput
    """
    try:
        usd = float(given)
    except ValueError:
        usd = float("nan")
    if not LOWEST_USD <= usd <= HIGHEST_USD:
        raise InvalidInput(
            f"pay is {seen(given)}: it must be dollars from {LOWEST_USD:g} to {HIGHEST_USD:g}",
            param="pay",
        )
    return usd


def moved_to(parts: Parts, holder: Holder, willingness_to_pay_usd: float) -> dict[str, Any]:
    """Return what another willingness to pay would do to spend, quality and the arms' shares."""
    traffic = parts.traffic.now(holder.sees)
    paints = colours(parts.catalogue().arms, traffic)
    lately, pacer = lately_of(parts, holder), parts.live.pacer_of(holder)
    rule = parts.router.terms.policy
    return _moved(lately, pacer, traffic, willingness_to_pay_usd, paints, rule)


def _moved(
    lately: Lately,
    pacer: Pacer,
    traffic: Traffic,
    willingness_to_pay_usd: float,
    paints: Mapping[str, str],
    rule: str,
) -> dict[str, Any]:
    now, then = lately.at(pacer.willingness_to_pay_usd), lately.at(willingness_to_pay_usd)
    if now is None or then is None:
        return {"willingness_to_pay_usd": willingness_to_pay_usd, "says": "", "shares": []}
    shares = sorted(zip(then.shares, lately.arms, strict=True), reverse=True)
    return {
        "willingness_to_pay_usd": willingness_to_pay_usd,
        "cost_usd_per_request": then.cost_usd,
        "quality": then.quality,
        "shares": [
            {"arm": arm, "share": share, "colour": paints.get(arm, OTHER)}
            for share, arm in shares
            if share > 0
        ],
        "says": _told(now, then) if rule in LEARNING else NOT_ASKED.format(rule),
        "a_month": _a_month(traffic, then),
    }


def slider(lately: Lately, pay: float) -> dict[str, float]:
    """Return the ends and the place of the slider, as decimal logarithms of dollars."""
    costs = [found[0] for arm in lately.arms if (found := lately.always(arm)) is not None]
    costs = [cost for cost in costs if cost > 0] or [pay]
    low, high = log10(min(costs) * BELOW), log10(max(costs) * ABOVE)
    at = min(max(log10(pay), log10(LOWEST_USD)), log10(HIGHEST_USD))
    return {"low": min(low, at), "high": max(high, min(at, high + 1)), "at": min(at, high + 1)}


def _told(now: Point, then: Point) -> str:
    """Return the difference in words."""
    spend = then.cost_usd / now.cost_usd - 1 if now.cost_usd else inf if then.cost_usd else 0.0
    better = 100 * (then.quality - now.quality)
    if abs(spend) < 0.0005 and abs(better) < 0.005:  # noqa: PLR2004
        return "As it is now."
    dearer = "dearer" if spend > 0 else "cheaper"
    up = "better" if better > 0 else "worse"
    much = percent(abs(spend)) if now.cost_usd else dollars(then.cost_usd)
    return f"{much} {dearer} and {decimals(abs(better), 1)} points {up} than now."


def _a_month(traffic: Traffic, point: Point) -> str:
    """Return what a month would cost at the pace of the last seven days."""
    week = of_week(traffic, time.time())
    if not len(week.starts_s):
        return ""
    lasted_s = max(time.time() - float(week.starts_s.min()), DAY_S)
    requests = week.where("kind", ASKED).total().requests * 30 * DAY_S / lasted_s
    return f"About {dollars(point.cost_usd * requests)} a month at the pace of late."


def _frontier(lately: Lately, paints: Mapping[str, str], pay: float, rule: str) -> dict[str, Any]:
    """Return the curve of what money buys, where we are if we are on it, and every arm alone."""
    ends = slider(lately, pay)
    step = (ends["high"] - ends["low"]) / CURVE
    points = lately.frontier([10 ** (ends["low"] + i * step) for i in range(CURVE + 1)])
    now = lately.at(pay) if rule in LEARNING else None
    alone = {arm: lately.always(arm) for arm in lately.arms}
    return {
        "kind": "frontier",
        "curve": [[each.cost_usd, each.quality] for each in points],
        "now": None if now is None else [now.cost_usd, now.quality],
        "arms": [
            {"name": arm, "colour": paints.get(arm, OTHER), "at": at}
            for arm, at in alone.items()
            if at is not None
        ],
    }


def _arms(
    parts: Parts, sees: str | None, lately: Lately, week: Traffic, ever: Traffic
) -> list[dict[str, Any]]:
    used, total, now_s = week.by("arm"), week.total(), time.time()
    return [
        {
            "arm": arm,
            "belief": lately.belief(arm.name),
            "sums": used.get(arm.name, TrafficSums()),
            "share": used.get(arm.name, TrafficSums()).decisions / max(total.decisions, 1),
            "latency_s": latency_s(week, arm.name),
            "health": asdict(parts.router.health.standing(arm)),
            "ceilings": ceilings(parts, arm, sees, now_s),
            "drift": parts.router.drifts.of(arm.name),
            "rated_at_s": last_rated_at_s(ever, arm.name, sees),
            "changed_at_s": parts.live.learned.changed_at_s(arm.name)[-1:],
        }
        for arm in parts.catalogue().arms.values()
    ]


def _tasks(lately: Lately, week: Traffic, paints: Mapping[str, str]) -> dict[str, Any]:
    """Return a table of tasks and arms, those with most of the work first, and what is believed."""
    used = [arm for arm in week.by("arm") if arm in paints]
    tasks = list(week.by("task").items())
    return {
        "arms": [(arm, paints[arm]) for arm in used],
        "rows": [_task(lately, week, task, sums, used) for task, sums in tasks[:TASKS]],
        "more": max(len(tasks) - TASKS, 0),
    }


def _task(
    lately: Lately, week: Traffic, task: str | None, sums: TrafficSums, arms: Sequence[str]
) -> dict[str, Any]:
    asked = week.where("task", [task]).by("arm")
    decisions = max(sum(each.decisions for each in asked.values()), 1)
    return {
        "task": task,
        "sums": sums,
        "cells": [
            {
                "share": asked.get(arm, TrafficSums()).decisions / decisions,
                "belief": lately.belief_on(arm, task),
            }
            for arm in arms
        ],
    }
