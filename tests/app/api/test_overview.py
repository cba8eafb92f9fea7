"""What `/policy` tells of the use of an arm: of who asks, and of what asked the arm."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.api.overview import last_rated_at_s, latency_s, overview
from app.keys.holder import ANYBODY, Holder
from app.monitoring.traffic import Traffic
from policy.pacer import Budget
from tests.app.faulty import faulty, good, refusing
from tests.app.monitoring.test_traffic import ROW
from tests.app.running import Provider, Running, running
from tests.storage.rounds import NOON_S
from tests.upstream.misbehaving import Conversation


def test_stored_answers_are_no_requests_and_failed_ones_no_answers(service: Running) -> None:
    now_s, log = time.time(), service.parts.log
    made = log.decision(service.ask(models=["gpt-4o"])["id"])
    assert made.outcome is not None
    for i, changes in enumerate(
        [
            {"status": "error", "latency_s": 60.0, "cost_usd": 0.0},
            {"cache": "hit", "cost_usd": 0.0},
            {"at_s": now_s - 8 * 86_400},
        ]
    ):
        kind = "cached" if "cache" in changes else "routed"
        outcome = replace(made.outcome, decision_id=f"d{i}", **changes)
        log.decide(replace(made.decision, id=f"d{i}", kind=kind, decided_at_s=outcome.at_s))
        log.settle(outcome).wait()
    told = {arm["arm"]: arm for arm in service.get("/policy")["arms"]}
    used, idle = told["gpt-4o"], told["qwen3-32b"]
    assert (used["requests"], used["share"], used["availability"]) == (2, 1.0, 0.5)
    assert used["cost_usd"] == pytest.approx(made.outcome.cost_usd)
    assert used["cost_usd_per_request"] == pytest.approx(made.outcome.cost_usd / 2)
    assert used["latency_s"] == pytest.approx(made.outcome.latency_s)
    assert (used["rated"], used["mean_reward"], used["last_feedback_at_s"]) == (0, None, None)
    assert (idle["requests"], idle["share"], idle["availability"]) == (0, 0.0, None)


def test_clients_that_leave_and_a_restart_of_ours_say_nothing_of_availability(
    service: Running,
) -> None:
    log = service.parts.log

    def availability(*statuses: str) -> Any:
        made = log.decision(service.ask(models=["gpt-4o"])["id"])
        for i, status in enumerate(statuses):
            log.decide(replace(made.decision, id=f"{made.decision.id}-{i}"))
            log.settle(
                replace(made.outcome, decision_id=f"{made.decision.id}-{i}", status=status)
            ).wait()
        told = {arm["arm"]: arm for arm in service.get("/policy")["arms"]}
        return told["gpt-4o"]["availability"]

    assert availability() == 1.0
    assert availability("client_gone", "client_gone", "abandoned") == 1.0
    assert availability("timeout") == pytest.approx(3 / 4)


def test_requests_that_the_provider_calls_wrong_say_nothing_of_availability(tmp_path: Path) -> None:
    def strict(talk: Conversation) -> None:
        (refusing if "temperature" in talk.body else good)(talk)

    with faulty(tmp_path, {"only": strict}) as made:
        made.service.ask("hi")
        for _ in range(3):
            made.service.refused("/complete", {"prompt": "hi", "temperature": 2})
        [told] = made.service.get("/policy")["arms"]
    assert (told["requests"], told["availability"], told["health"]["failures"]) == (4, 1.0, 0)


def test_whoever_last_rated_an_arm_is_told_apart_by_tenant() -> None:
    given = [
        replace(ROW, status="rated", rated_at_s=NOON_S),
        replace(ROW, status="rated", rated_at_s=NOON_S + 9, tenant="rival"),
        ROW,
    ]
    traffic = Traffic().add(given, 1)
    said = [last_rated_at_s(traffic, "small", whose) for whose in ("acme", "rival", None, "shop")]
    assert said == [NOON_S, NOON_S + 9, NOON_S + 9, None]
    assert last_rated_at_s(traffic, "large", None) is None
    assert Traffic.of(traffic.to_arrays(), 1).rated_at_s == traffic.rated_at_s
    assert Traffic.of(Traffic().to_arrays(), 0).rated_at_s == {}


def test_how_long_an_arm_takes_is_told_by_its_whole_answers() -> None:
    given = [ROW, replace(ROW, latency_s=4.0), replace(ROW, status="timeout", latency_s=60.0)]
    traffic = Traffic().add(given, 1)
    assert latency_s(traffic, "small") == 3.0
    assert latency_s(traffic, "large") is None


def test_what_all_have_spent_of_the_budget_is_told_to_operators_only(
    tmp_path: Path, provider: Provider
) -> None:
    figures = {"left_usd", "spent_usd", "requests", "next_usd_per_request"}
    tenants = Holder("k", "k", "acme", frozenset({"read"}))
    own = replace(tenants, goal=Budget(1.0, "day"))
    with running(tmp_path, sandbox_url=provider.url, budget_usd=5.0) as service:
        service.ask()
        told = [overview(service.parts, holder)["goal"] for holder in (ANYBODY, own, tenants)]
    assert [each["usd"] for each in told] == [5.0, 1.0, 5.0]
    assert all(each[name] is not None for each in told[:2] for name in figures)
    assert all(told[2][name] is None for name in figures)
