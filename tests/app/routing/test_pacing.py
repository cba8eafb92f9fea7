"""Budgets and floors in the running service: kept, shown, and still known after a restart."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from app.routing.pacing import Pacing
from app.settings import Settings
from app.wiring import assemble
from policy.decide import decide, seeded
from policy.errors import ConfigError
from policy.exploration import FIRST_SHARE
from policy.pacer import KNOWN, Budget, Pacer
from policy.ring import Ring
from tests.app.running import CATALOGUE, Provider, Running, catalogue, running
from tests.policy.test_decide import ARMS, BELIEFS, FULL, asked

CALLERS = 50
PROMPT = "What is 17 * 23?"


def spent_usd(service: Running) -> float:
    return service.parts.log.spend_usd(0.0)


def asked_once(service: Running) -> tuple[int, str]:
    """Return the status and the error's code of one request, which says when to come back."""
    with service.client.application.test_client() as client:
        response = client.post("/complete", json={"prompt": PROMPT, "max_tokens": 200})
    if response.status_code == 200:
        return 200, ""
    assert response.json is not None
    assert int(response.headers["retry-after"]) >= 1
    return response.status_code, response.json["error"]["code"]


def test_fifty_callers_at_once_never_spend_more_than_the_day_allows(
    tmp_path: Path, provider: Provider
) -> None:
    budget = 0.002
    with running(tmp_path, sandbox_url=provider.url, budget_usd=budget) as service:
        barrier = Barrier(CALLERS)

        def ask(_: int) -> list[tuple[int, str]]:
            barrier.wait()
            return [asked_once(service) for _ in range(8)]

        with ThreadPoolExecutor(CALLERS) as pool:
            seen = [each for found in pool.map(ask, range(CALLERS)) for each in found]
        assert set(seen) <= {(200, ""), (429, "budget_exceeded")}
        assert spent_usd(service) <= budget
        assert min(seen.count((200, "")), seen.count((429, "budget_exceeded"))) > 0
        goal = service.get("/policy")["goal"]
        assert goal["spent_usd"] == pytest.approx(spent_usd(service))
        assert goal["left_usd"] == pytest.approx(budget - spent_usd(service))


def test_a_budget_too_small_for_any_arm_is_refused_with_what_is_left(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, budget_usd=1e-8, budget_per="hour") as service:
        status, error = service.refused("/complete", {"prompt": PROMPT})
        assert (status, error["code"], error["type"]) == (
            429,
            "budget_exceeded",
            "insufficient_quota",
        )
        assert "the service's budget has $1e-08 left" in error["message"]
        assert service.parts.log.counts().decisions == 0


def test_a_small_budget_starts_although_nobody_knows_how_long_answers_are(
    tmp_path: Path, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "budget_usd": 0.004, "budget_per": "hour"}
    with running(tmp_path, **dials) as service:
        for n in range(10):
            service.ask(f"What is {n} * 3?")
        assert 0 < spent_usd(service) <= 0.004


def test_what_was_spent_today_is_known_after_a_restart(tmp_path: Path, provider: Provider) -> None:
    dials = {"sandbox_url": provider.url, "budget_usd": 5.0}
    with running(tmp_path, **dials) as service:
        for n in range(20):
            service.ask(f"What is {n} * 3?")
        before = service.get("/policy")["goal"]
    with running(tmp_path, **dials) as service:
        after = service.get("/policy")["goal"]
        assert after["left_usd"] == pytest.approx(before["left_usd"])
        assert after["spent_usd"] == pytest.approx(before["spent_usd"])
        assert after["spent_usd"] > 0
        assert len(service.parts.live.pacer.ring.forecasts) == 20


def test_a_budget_per_request_sets_the_price_that_is_logged(
    tmp_path: Path, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "budget_usd": 2e-4, "budget_per": "request"}
    with running(tmp_path, **dials) as service:
        answers = [service.ask(f"What is {n} * 3?") for n in range(120)]
        prices = {
            service.get(f"/decisions/{answer['id']}")["willingness_to_pay_usd"]
            for answer in answers
        }
        assert len(prices) > 5
        mean_usd = spent_usd(service) / len(answers)
        assert mean_usd < 3e-4
        assert service.get("/policy")["goal"]["kind"] == "budget"


def test_a_request_may_still_name_its_own_price(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url, budget_usd=1.0) as service:
        answer = service.ask(willingness_to_pay=0.5)
        assert service.get(f"/decisions/{answer['id']}")["willingness_to_pay_usd"] == 0.5


def test_a_floor_of_quality_shows_what_it_expects(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url, quality_floor=0.98) as service:
        for n in range(40):
            answer = service.ask(f"What is {n} * 3?")
            service.rate(answer["id"])
            told = service.get(f"/decisions/{answer['id']}")["arms"]
            chance = {each["arm"]: each["propensity"] for each in told}
            if n < KNOWN / 2:  # what the floor is held against has to be known
                assert chance["gpt-4o"] >= FIRST_SHARE
            if n == 0:
                missing = service.get("/policy")["goal"]["baseline_outcomes_missing"]
                page = service.client.get("/pages/policy").text
                assert KNOWN - 1 <= missing <= KNOWN
                assert "nothing cheaper is sure to keep it yet" in page
                assert f"Half of the requests go to gpt-4o until {missing} more" in page
        goal = service.get("/policy")["goal"]
        assert goal["baseline"] == "gpt-4o"
        assert goal["baseline_outcomes_missing"] < KNOWN - 5
        assert goal["quality"] >= 0.97 * goal["baseline_quality"]
        assert goal["surely_above"] < goal["quality"] - 0.98 * goal["baseline_quality"]


def test_a_call_that_fails_gives_back_what_was_held_for_it(tmp_path: Path) -> None:
    arms = catalogue(tmp_path, "http://127.0.0.1:9/v1", {"one": {}, "two": {}})
    with running(tmp_path, arms, budget_usd=1.0) as service:
        assert service.refused("/complete", {"prompt": PROMPT})[0] == 502
        books = service.parts.live.pacer.books
        assert (books.settled_usd, books.requests) == (0.0, 2)
        assert service.parts.live.pacer.left_usd(time.time()) == pytest.approx(1.0)


def test_two_goals_or_an_unknown_baseline_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budget_usd is 1\.0 and quality_floor is 0\.9"):
        Settings.load({}, {"budget_usd": 1.0, "quality_floor": 0.9})
    given = {
        "arms": CATALOGUE,
        "database": tmp_path / "log.db",
        "quality_floor": 0.9,
        "baseline": "gpt-5o",
        "sandbox_url": "http://127.0.0.1:9",
    }
    with pytest.raises(ConfigError, match="TURNPIKE_BASELINE names 'gpt-5o'"):
        assemble(Settings.load({}, given), {})


def test_a_call_of_hours_is_held_until_it_cannot_go_on_and_booked_whenever_it_ends() -> None:
    pacing = Pacing(Pacer.of(Budget(1.0, "day"), Ring(0.1), 10.0))
    verdict = decide(ARMS, asked(), BELIEFS, seeded("d"), policy="thompson", allowance=FULL)
    for name, at_s in (("long", 10.0), ("other", 3_700.0)):
        pacing.decided(name, verdict, at_s, is_priced_here=False)
    reserved_usd = verdict.hold.reserved_usd
    assert pacing.pacer.books.reserved_usd == pytest.approx(2 * reserved_usd)
    pacing.forget(3_700.0, 3_800.0)
    assert pacing.pacer.books.reserved_usd == pytest.approx(reserved_usd)
    for name, usd in (("long", 0.9), ("other", 0.01), ("a stored answer", 0.0)):
        pacing.settled(name, usd, 4_000.0)
    assert pacing.left_usd(4_000.0) == pytest.approx(0.09)
