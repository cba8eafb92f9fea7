"""One ceiling for all processes: together they never spend more, and nearly all of it is used."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tests.app.routing.test_pacing import asked_once
from tests.app.running import Provider, Running, running

CALLERS = 24
BUDGET = 0.004


@pytest.fixture
def replicas(tmp_path: Path, postgres_url: str, provider: Provider) -> Iterator[list[Running]]:
    dials = {
        "sandbox_url": provider.url,
        "database": postgres_url,
        "data": tmp_path,
        "budget_usd": BUDGET,
    }
    with (
        running(tmp_path, **dials) as a,
        running(tmp_path, **dials) as b,
        running(tmp_path, **dials) as c,
    ):
        yield [Running(each.parts, each.client.application.test_client()) for each in (a, b, c)]


def test_callers_at_three_replicas_never_spend_more_than_the_day_allows(
    replicas: list[Running],
) -> None:
    barrier = Barrier(CALLERS)

    def ask(caller: int) -> list[tuple[int, str]]:
        barrier.wait()
        return [asked_once(replicas[(caller + n) % 3]) for n in range(25)]

    with ThreadPoolExecutor(CALLERS) as pool:
        seen = [each for found in pool.map(ask, range(CALLERS)) for each in found]
    assert set(seen) <= {(200, ""), (429, "budget_exceeded")}
    assert min(seen.count((200, "")), seen.count((429, "budget_exceeded"))) > 0
    spent_usd = replicas[0].parts.log.spend_usd(0.0)
    assert 0.8 * BUDGET < spent_usd <= BUDGET
    for each in replicas:
        each.parts.live.share(time.time() + 60)
    goals = [each.get("/policy")["goal"] for each in replicas]
    assert all(goal["left_usd"] <= BUDGET - spent_usd + 1e-12 for goal in goals)


def test_a_process_that_ends_gives_back_what_it_has_not_spent(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "budget_usd": 1.0}
    for _ in range(3):
        with running(tmp_path, data=tmp_path, **dials) as service:
            service.ask()
            left_usd = service.get("/policy")["goal"]["left_usd"]
    with running(tmp_path, data=tmp_path, **dials) as service:
        assert service.get("/policy")["goal"]["left_usd"] == pytest.approx(
            1.0 - service.parts.log.spend_usd(0.0)
        )
    assert left_usd > 0.99


def test_a_restart_in_the_same_hour_knows_what_was_spent(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, **dials) as service:
        for n in range(10):
            service.ask(f"What is {n} * 3?")
        spent_usd = service.parts.log.spend_usd(0.0)
    with running(tmp_path, budget_usd=spent_usd, **dials) as service:
        assert service.refused("/complete", {"prompt": "What is 2 * 3?"})[0] == 429
