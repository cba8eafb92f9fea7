"""What an arm costs in a day has a ceiling of its own, and beyond it the others answer."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import httpx2
import pytest

from app.monitoring.lookout import Usual
from app.routing.treasury import OF_ARM
from policy.errors import StoreUnavailable
from policy.types import DAY_S, HOUR_S
from storage import allotments
from storage.allotments import Wish
from tests.app.keyed import Keyed
from tests.app.routing.test_treasury import ARM, BODY, CALL_USD, CALLERS, TOKENS, exact
from tests.app.running import Running, catalogue, eventually, running
from tests.app.serving import served
from tests.storage.filling import little_room
from upstream.provider import serve

CEILING_USD = 5.5 * CALL_USD
ONE = {**ARM, "max_usd_per_day": CEILING_USD}
TWO = {**ARM, "output_usd_per_mtok": 9000.0}
BEST = {"one": ONE, "two": TWO}
"""Whoever chooses takes the first, as long as that may be asked."""
SOBER = {**BODY, "explore": False}
WHY = "it could cost $0.001, more than is left of its $0.0055 until 00:00 UTC"


@contextmanager
def capped(folder: Path, arms: Any = BEST, **dials: Any) -> Iterator[Running]:
    """Yield a service whose best arm may cost five calls and a half in a day."""
    with serve(exact, lambda: list(arms)) as provider:
        path = catalogue(folder, provider.url, arms)
        with running(folder, path, **dials) as service:
            yield service


def spent_usd(service: Running, arm: str = "one") -> float:
    return service.parts.log.spend_usd(0.0, arm=arm)


def asked(service: Running, n: int, **more: Any) -> list[str]:
    return [service.ask(**{**SOBER, **more})["arm"] for _ in range(n)]


def at_once(*urls: str, body: Any = SOBER) -> list[tuple[int, Any]]:
    """Return the status and the arm or the error of fifty requests at the same moment."""
    barrier = Barrier(CALLERS)

    def ask(caller: int) -> tuple[int, Any]:
        with httpx2.Client(timeout=60) as client:
            barrier.wait()
            response = client.post(f"{urls[caller % len(urls)]}/complete", json=body)
        told = response.json()
        return response.status_code, told.get("arm") or told["error"]["code"]

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, range(CALLERS)))


def test_fifty_callers_on_a_socket_never_spend_more_on_an_arm_than_its_day_allows(
    tmp_path: Path,
) -> None:
    with capped(tmp_path) as service, served(service) as url:
        told = at_once(url)
        assert (told.count((200, "one")), told.count((200, "two"))) == (5, 45)
        assert spent_usd(service) == pytest.approx(5 * CALL_USD)
        rows = [each.decision for each in service.parts.log.decisions()]
        assert [row.ineligible for row in rows if row.arm == "two"] == [{"one": WHY}] * 45
        assert all(sum(row.propensities) == pytest.approx(1.0) for row in rows)
        [one, two] = service.get("/policy")["arms"]
        usd = {"most": CEILING_USD, "spent_usd": pytest.approx(5 * CALL_USD)}
        assert (one["ceilings"]["usd_per_day"], two["ceilings"]["usd_per_day"]) == (usd, None)
        shown = service.client.get("/pages/policy").text
        assert "at most $0.0055 a day: $0.005 spent" in shown


def test_who_has_nobody_else_is_refused_as_by_a_budget_until_the_day_is_over(
    tmp_path: Path,
) -> None:
    """Money is not lifted, nor is it for who asks for the arm by name."""
    with capped(tmp_path, {"one": ONE, "two": {**TWO, "context_window": 1}}) as service:
        assert asked(service, 5) == ["one"] * 5
        for more in ({}, {"models": ["one"]}):
            response = service.post("/complete", {**SOBER, **more})
            error = response.json["error"]
            assert (response.status_code, error["code"]) == (429, "budget_exceeded")
            assert error["type"] == "insufficient_quota"
            assert f"one: {WHY}" in error["message"]
            left_s = DAY_S - time.time() % DAY_S
            assert int(response.headers["retry-after"]) == pytest.approx(left_s, abs=5)


@pytest.mark.parametrize(
    ("hours_usd", "most_usd", "more", "left_s"),
    [
        (100.0, CEILING_USD, {}, DAY_S / 2),  # the hour has plenty, and never fits the other arm
        (5.7 * CALL_USD, None, {}, HOUR_S / 2),  # the ceiling is no longer in the catalogue
        (5.7 * CALL_USD, CEILING_USD, {"models": ["one"], "fallbacks": ["two"]}, HOUR_S / 2),
    ],
)
def test_who_is_refused_is_told_when_what_is_in_the_way_starts_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hours_usd: float,
    most_usd: float | None,
    more: Any,
    left_s: float,
) -> None:
    """At noon another day is twelve hours away; at half past, another hour is half of one."""
    two = TWO if more else {**TWO, "context_window": 1}
    at_s = time.time() // DAY_S * DAY_S + DAY_S / 2
    at_s += HOUR_S / 2 if left_s < HOUR_S else 0.0
    clock = SimpleNamespace(time=lambda: at_s, monotonic=time.monotonic)
    monkeypatch.setattr("app.routing.live.time", clock)
    arms = {"one": ONE, "two": two}
    with capped(tmp_path, arms, budget_usd=hours_usd, budget_per="hour") as service:
        assert asked(service, 5, models=["one"]) == ["one"] * 5
        if most_usd is None:
            path = tmp_path / "arms.toml"
            path.write_text(path.read_text().replace("max_usd_per_day", "#"))
        assert eventually(partial(is_in_force, service, most_usd))
        refused = service.post("/complete", {**SOBER, **more})
    assert int(refused.headers["retry-after"]) == pytest.approx(left_s, abs=5)


def test_a_pinned_call_counts_and_its_stand_in_answers_beyond_the_ceiling(tmp_path: Path) -> None:
    with capped(tmp_path) as service:
        assert asked(service, 3, models=["one"]) == ["one"] * 3
        assert asked(service, 3) == ["one", "one", "two"]
        assert asked(service, 1, models=["one"], fallbacks=["two"]) == ["two"]


@pytest.mark.parametrize(
    ("asked_for", "most_usd"),
    [({"max_tokens": TOKENS}, 1.5 * CALL_USD), ({}, 0.1)],  # without, the longest is reserved then
)
def test_a_call_under_way_is_held_of_an_arms_ceiling_until_nobody_can_hear_of_it(
    tmp_path: Path, asked_for: Any, most_usd: float
) -> None:
    body = {"prompt": BODY["prompt"], "explore": False, **asked_for}
    with capped(tmp_path, {"one": {**ARM, "max_usd_per_day": most_usd}, "two": TWO}) as service:
        whole = {**body, "stream": True}
        with closing(service.client.post("/complete", json=whole, buffered=False)) as unheard:
            assert unheard.status_code == 200
            assert service.ask(**body)["arm"] == "two"
            service.parts.live.forget(time.time(), time.time())
            assert service.ask(**body)["arm"] == "one"


def test_a_share_is_lifted_where_the_others_have_spent_their_day(tmp_path: Path) -> None:
    arms = {"one": ONE, "two": {**TWO, "max_share": 0.1}}
    with capped(tmp_path, arms) as service:
        assert asked(service, 9) == ["one"] * 5 + ["two"] * 4
        last, *_ = service.parts.log.decisions()
        assert last.decision.ineligible == {"one": WHY}


def test_what_an_arm_has_cost_today_is_known_after_a_restart_and_a_kill(tmp_path: Path) -> None:
    with capped(tmp_path) as service:
        assert asked(service, 3) == ["one"] * 3
    killed = tmp_path / "killed"
    with capped(tmp_path) as service:
        assert asked(service, 1) == ["one"]
        body = {**SOBER, "stream": True}
        with closing(service.client.post("/complete", json=body)) as under_way:
            assert under_way.status_code == 200
            shutil.copytree(tmp_path, killed)
    with capped(killed) as service:
        assert service.parts.log.counts().decisions == 5
        left = int(CEILING_USD / CALL_USD - spent_usd(service) / CALL_USD)
        assert asked(service, 3) == ["one"] * left + ["two"] * (3 - left)
        assert left < 2


@pytest.mark.slow
def test_a_restart_on_a_full_disk_gives_no_ceiling_anew(tmp_path: Path) -> None:
    told = []
    with capped(tmp_path) as service:
        told += asked(service, 2)
    with little_room(65_536):
        for _ in range(2):
            with capped(tmp_path) as service:
                told += asked(service, 2)
                assert service.parts.log.standing.waiting > 0
    assert told == ["one"] * 5 + ["two"]


def test_a_ceiling_that_comes_while_rows_wait_knows_what_they_cost(tmp_path: Path) -> None:
    with serve(exact, lambda: list(BEST)) as provider:
        path = catalogue(tmp_path, provider.url, {**BEST, "one": ARM})
        with running(tmp_path, path) as service:
            told = asked(service, 2)
            with little_room(65_536):
                told += asked(service, 2)
                assert service.parts.log.standing.waiting > 0
                catalogue(tmp_path, provider.url, BEST)
                assert eventually(partial(is_in_force, service, CEILING_USD))
                told += asked(service, 2)
    assert told == ["one"] * 5 + ["two"]


def test_while_the_log_cannot_be_read_its_spool_is_not_read_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, read = Mock(side_effect=StoreUnavailable("it is away")), Mock()
    with capped(tmp_path, {"one": ARM}) as service:
        log, one = service.parts.log, service.parts.catalogue().arms["one"]
        with monkeypatch.context() as patched:
            patched.setattr(type(log), "ask", away)
            patched.setattr(type(log), "unbooked", read)
            with pytest.raises(StoreUnavailable):
                service.parts.live.follow([replace(one, max_usd_per_day=1.0)], time.time())
    assert not read.called


def is_in_force(service: Running, most_usd: float | None) -> bool:
    told = service.get("/policy")["arms"][0]["ceilings"]["usd_per_day"]
    if told is None or most_usd is None:
        return told is most_usd
    return told["most"] == most_usd and told["spent_usd"] is not None


def test_a_ceiling_in_the_catalogue_is_taken_changed_and_left_out_as_the_service_runs(
    tmp_path: Path,
) -> None:
    with serve(exact, lambda: list(BEST)) as provider:
        path = catalogue(tmp_path, provider.url, {**BEST, "one": ARM})
        with running(tmp_path, path) as service:
            assert asked(service, 7) == ["one"] * 7
            for most, arm in ((5.5, "two"), (7.5, "two"), (8.5, "one"), (None, "one")):
                one = ARM if most is None else {**ARM, "max_usd_per_day": most * CALL_USD}
                catalogue(tmp_path, provider.url, {**BEST, "one": one})
                wanted = one.get("max_usd_per_day")
                assert eventually(partial(is_in_force, service, wanted))
                assert asked(service, 1) == [arm], most


def test_a_tenant_is_not_told_what_all_have_spent_on_an_arm(tmp_path: Path) -> None:
    with capped(tmp_path) as service:
        shop = Keyed(service, "shop", scopes=("complete", "read"))
        told = [shop.ask(**SOBER)["arm"] for _ in range(6)]
        assert told == ["one"] * 5 + ["two"]
        shown = service.client.get("/policy", headers=shop.headers).json["arms"][0]["ceilings"]
        assert shown["usd_per_day"] == {"most": CEILING_USD, "spent_usd": None}


def test_an_arm_that_has_spent_its_day_is_told_as_an_alarm(tmp_path: Path) -> None:
    with capped(tmp_path) as service:
        asked(service, 5)
        found = {
            alarm.about: alarm.says
            for alarm in service.parts.alarms._lookout.found(time.time(), Usual({}, {}), ())
            if alarm.name == "budget"
        }
    assert found == {"one": "91% of its $0.0055 for this day is spent"}


def test_what_is_kept_of_an_arms_ceiling_by_processes_that_were_killed_is_not_told_as_spent(
    tmp_path: Path, postgres_url: str
) -> None:
    with capped(tmp_path, database=postgres_url, data=tmp_path) as service:
        service.parts.live.share(time.time(), "all")
        assert asked(service, 1) == ["one"]
        service.parts.live.share(time.time() + 30)  # gives back most of it
        piece = Wish(
            budget=OF_ARM.format("one"),
            process="killed",
            span=int(time.time() // DAY_S),
            usd=4.0 * CALL_USD,
            limit_usd=CEILING_USD,
            rate_hz=1.0,
            spent_usd=CALL_USD,
        )
        service.parts.log.allot(piece).wait()
        with patch.object(allotments, "FRESH_S", -1.0):
            service.parts.live.share(time.time() + 60)
        says = [
            each.says
            for each in service.parts.alarms._lookout.found(time.time(), Usual({}, {}), ())
        ]
    assert says[0].startswith("36% of its $0.0055 for this day is spent, and 55% is kept by")


def test_who_asks_for_an_arm_by_name_gets_more_of_what_is_shared_of_it_and_of_no_other(
    tmp_path: Path, postgres_url: str
) -> None:
    arms = {**BEST, "two": {**TWO, "max_usd_per_day": 10.0}}
    with capped(tmp_path, arms, database=postgres_url, data=tmp_path) as service:
        service.parts.live.share(time.time())
        assert asked(service, 5, models=["one"]) == ["one"] * 5
        two = service.parts.live.pacer_of_arm(service.parts.catalogue().arms["two"])
        assert two is not None
        assert two.books.allotted_usd == pytest.approx(1.0)


@pytest.mark.slow
def test_two_replicas_share_the_ceiling_of_an_arm(tmp_path: Path, postgres_url: str) -> None:
    dials = {"database": postgres_url, "data": tmp_path}
    with serve(exact, lambda: list(BEST)) as provider:
        path = catalogue(tmp_path, provider.url, BEST)
        with running(tmp_path, path, **dials) as here, running(tmp_path, path, **dials) as there:
            services = [
                Running(each.parts, each.client.application.test_client()) for each in (here, there)
            ]
            arms: list[str] = []
            for _ in range(12):
                for each in services:
                    each.parts.live._sharing._kept_at_s = 0.0
                    each.parts.live.share(time.time())
                    arms += asked(each, 1)
            with served(here) as url, served(there) as other:
                arms += [arm for _, arm in at_once(url, other)]
            had = arms.count("one")
            assert 4 <= had <= 5  # a piece too small for a call may lie at each of them
            assert spent_usd(here) == pytest.approx(had * CALL_USD)
            shown = [each.get("/policy")["arms"][0]["ceilings"] for each in services]
            for each in shown:
                assert each["usd_per_day"]["spent_usd"] == pytest.approx(had * CALL_USD)
        with running(tmp_path, path, **dials) as later:
            later.parts.live.share(time.time(), "all")
            assert asked(later, 3) == ["one"] * (5 - had) + ["two"] * (had - 2)
