"""Each key's budget is a ceiling of its own, and each key's goal sets its own price."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from app.routing.treasury import Treasury
from policy.pacer import Budget
from policy.types import DAY_S
from storage.erasing import FORGOTTEN
from tests.app.commands.test_cli import turnpike
from tests.app.keyed import Keyed
from tests.app.running import Provider, Running, catalogue, running
from tests.storage.rounds import but
from upstream.provider import serve
from upstream.replies import Reply

CALLERS = 50
TOKENS = 100
# Nothing for the prompt, and as many tokens as were asked for: each call costs what is reserved.
ARM = {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 10.0}
CALL_USD = TOKENS * ARM["output_usd_per_mtok"] / 1e6
BODY = {"prompt": "What is 17 * 23?", "max_tokens": TOKENS}


def exact(_model: str, body: dict[str, Any]) -> Reply:
    spoken = TOKENS * (body.get("n") or 1)
    return Reply("331", input_tokens=10, output_tokens=spoken, latency_s=0.05)


@contextmanager
def pricing(folder: Path, **dials: Any) -> Iterator[Running]:
    """Yield a service whose one arm costs exactly what is reserved."""
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(folder, provider.url, {"one": ARM})
        with running(folder, arms, **dials) as service:
            yield service


@pytest.fixture
def priced(tmp_path: Path) -> Iterator[Running]:
    with pricing(tmp_path) as service:
        yield service


def at_once(keyed: Keyed, elsewhere: Running | None = None) -> list[tuple[int, str]]:
    """Return the status and code of fifty requests that come at the same moment."""
    barrier, apps = Barrier(CALLERS), [keyed.service.client.application]
    apps += [] if elsewhere is None else [elsewhere.client.application]

    def ask(caller: int) -> tuple[int, str]:
        with apps[caller % len(apps)].test_client() as client:
            barrier.wait()
            response = client.post("/complete", json=BODY, headers=keyed.headers)
        if response.status_code == 200:
            return 200, ""
        assert response.json is not None
        assert 1 <= int(response.headers["retry-after"]) <= 86_400
        return response.status_code, response.json["error"]["code"]

    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(ask, range(CALLERS)))


@pytest.mark.slow
def test_b9_fifty_callers_with_a_budget_for_five_are_five_and_forty_five(priced: Running) -> None:
    shop = Keyed(priced, budget_usd=5.5 * CALL_USD, budget_per="day")
    told = at_once(shop)
    assert told.count((200, "")) == 5
    assert told.count((429, "budget_exceeded")) == 45
    spent_usd = priced.parts.log.spend_usd(0.0, key_id=shop.row.id)
    assert spent_usd == pytest.approx(5 * CALL_USD)
    assert Keyed(priced, "site").post("/complete", BODY).status_code == 200


LONG = "many words " * 10_000
SAID = {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize(
    ("said", "beside"),
    [
        ({**SAID, "reasoning_content": LONG}, {}),
        ({**SAID, "reasoning": [{"type": "text", "text": LONG}]}, {}),
        ({**SAID, "name": LONG}, {}),
        ({**SAID, "content": [{"type": "refusal", "refusal": LONG}]}, {}),
        ({**SAID, "content": [{"type": "thinking", "thinking": [{"text": LONG}]}]}, {}),
        (SAID, {"documents": [{"text": LONG}]}),
        (SAID, {"prediction": {"type": "content", "content": LONG}}),
    ],
)
def test_what_a_model_may_read_counts_in_what_is_reserved_wherever_it_stands(
    tmp_path: Path, said: dict[str, Any], beside: dict[str, Any]
) -> None:
    arms = {"one": {"context_window": 1_000_000}}
    with running(tmp_path, catalogue(tmp_path, "http://127.0.0.1:9/v1", arms)) as service:
        shop = Keyed(service, budget_usd=0.01, budget_per="day")
        hello = {"role": "user", "content": "Hello?"}
        body = {"messages": [hello, said, hello], "max_tokens": 1, **beside}
        assert shop.refused("/route", body) == (429, "budget_exceeded")
        body |= {"messages": [hello, SAID, hello], **dict.fromkeys(beside)}
        assert shop.post("/route", body).status_code == 200


@pytest.mark.slow
def test_b9_the_ceiling_of_the_service_holds_for_all_its_keys_together(tmp_path: Path) -> None:
    with pricing(tmp_path, budget_usd=5.5 * CALL_USD) as service:
        shop = Keyed(service, budget_usd=100 * CALL_USD)
        site = Keyed(service, "site", willingness_to_pay_usd=1.0)
        told = [*at_once(shop), *at_once(site)]
        assert told.count((200, "")) == 5
        assert told.count((429, "budget_exceeded")) == 95
        assert service.parts.log.spend_usd(0.0) == pytest.approx(5 * CALL_USD)


def test_a_call_that_is_alone_in_its_keys_budget_is_not_so_in_the_services(tmp_path: Path) -> None:
    """Without `max_tokens` the longest answer is reserved wherever another call is under way."""
    with pricing(tmp_path, budget_usd=0.2) as service:
        shop, site = (Keyed(service, name, budget_usd=0.1) for name in ("shop", "site"))
        asked = {"prompt": BODY["prompt"]}
        body = {"json": {**asked, "stream": True}, "headers": shop.headers}
        with closing(service.client.post("/complete", **body)) as under_way:
            assert under_way.status_code == 200
            assert site.refused("/complete", asked) == (429, "budget_exceeded")
        assert site.post("/complete", asked).status_code == 200


def test_a_refusal_says_whose_budget_is_spent_and_tells_a_tenant_nothing_of_all(
    tmp_path: Path,
) -> None:
    with pricing(tmp_path, budget_usd=2.5 * CALL_USD) as service:
        shop = Keyed(service, budget_usd=1.5 * CALL_USD)
        site, operator = Keyed(service, "site"), Keyed(service, "us", scopes=("complete", "admin"))
        shop.ask(max_tokens=TOKENS)
        of_its_own = shop.post("/complete", BODY)
        site.ask(max_tokens=TOKENS)
        told = [each.post("/complete", BODY) for each in (site, operator)]
    assert "it could cost $0.001, the key's budget has $0.0005 left" in of_its_own.text
    assert "it could cost $0.001, the service's budget has less left" in told[0].text
    assert "it could cost $0.001, the service's budget has $0.0005 left" in told[1].text


@pytest.mark.slow
def test_b9_two_replicas_never_spend_more_of_a_keys_budget_than_there_is(
    tmp_path: Path, postgres_url: str
) -> None:
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        dials = {"database": postgres_url, "data": tmp_path}
        with running(tmp_path, arms, **dials) as here, running(tmp_path, arms, **dials) as there:
            shop = Keyed(here, budget_usd=5.5 * CALL_USD)
            there.parts.keyring.follow()
            told = at_once(shop, elsewhere=there)
            served = told.count((200, ""))
            assert 4 <= served <= 5  # a piece too small for a call may lie at each of them
            assert told.count((429, "budget_exceeded")) == CALLERS - served
            spent_usd = here.parts.log.spend_usd(0.0, key_id=shop.row.id)
            assert spent_usd == pytest.approx(served * CALL_USD)


def test_what_a_call_that_nobody_heard_of_again_held_of_a_key_is_given_back(
    priced: Running,
) -> None:
    shop = Keyed(priced, budget_usd=1.5 * CALL_USD)
    asked = {"json": {**BODY, "stream": True}, "headers": shop.headers}
    unheard = priced.client.post("/complete", **asked, buffered=False)
    assert unheard.status_code == 200
    told = shop.post("/complete", BODY)
    assert (told.status_code, told.json["error"]["code"]) == (429, "budget_exceeded")
    assert "the key's budget has $0.0005 left beside what is held for other calls" in told.text
    now_s = time.time()
    priced.parts.live.forget(now_s - 60.0, now_s)  # it is younger
    assert shop.refused("/complete", BODY) == (429, "budget_exceeded")
    priced.parts.live.forget(now_s, now_s)
    assert shop.post("/complete", BODY).status_code == 200
    unheard.close()


def test_what_was_spent_yesterday_is_no_part_of_today_after_a_restart(priced: Running) -> None:
    assert priced.ask(max_tokens=TOKENS)["cost_usd"] == pytest.approx(CALL_USD)
    goals = replace(priced.parts.keyring.goals, service=Budget(2 * CALL_USD, "day"))
    today_s = time.time()
    tomorrow_s = (today_s // DAY_S + 1) * DAY_S + 1
    for now_s, left in ((today_s, 1), (tomorrow_s, 2)):
        opened = Treasury(priced.parts.log, lambda: priced.learned, goals, bool, now_s).service
        assert opened.left_usd(now_s) == pytest.approx(left * CALL_USD)


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_what_a_key_has_spent_is_known_after_a_restart(tmp_path: Path, is_forgotten: bool) -> None:
    """Also where its tenant has been forgotten meanwhile, and no decision is the key's any more."""
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        with running(tmp_path, arms) as service:
            shop = Keyed(service, budget_usd=2.5 * CALL_USD)
            assert [shop.post("/complete", BODY).status_code for _ in range(2)] == [200, 200]
        if is_forgotten:
            assert turnpike(tmp_path, "forget", "--tenant", "shop", "--yes").exit_code == 0
        with running(tmp_path, arms) as shop.service:
            assert shop.refused("/complete", BODY) == (429, "budget_exceeded")
            site = Keyed(shop.service, "site", budget_usd=2.5 * CALL_USD)
            assert site.post("/complete", BODY).status_code == 200
            found = shop.service.parts.log.ask("SELECT tenant, key_id FROM decisions", {})
            assert ((FORGOTTEN, None) in [tuple(row.values()) for row in found]) == is_forgotten


@pytest.mark.parametrize("days_ago", [0, 1, -2])  # -2: the clock was ahead
def test_what_was_spent_counts_in_its_day_alone_after_a_restart(
    tmp_path: Path, days_ago: int
) -> None:
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        dials: dict[str, Any] = {"budget_usd": 1.0, "budget_per": "day"}
        with running(tmp_path, arms, **dials) as service:
            service.ask(max_tokens=TOKENS)
        with closing(sqlite3.connect(tmp_path / "turnpike.db")) as log, log:
            log.execute("UPDATE outcomes SET at_s = at_s - 86400 * ?", [days_ago])
        with running(tmp_path, arms, **dials) as service:
            goal = service.get("/policy")["goal"]
    spent_usd = 0.0 if days_ago else CALL_USD
    assert goal["spent_usd"] == pytest.approx(spent_usd)
    assert goal["left_usd"] == pytest.approx(1.0 - spent_usd)


@pytest.mark.parametrize(("usd", "per"), [(0.5 * CALL_USD, "hour"), (1.0, "day")])
def test_who_is_refused_is_told_when_the_tightest_budget_starts_anew(
    tmp_path: Path, usd: float, per: str
) -> None:
    """Of a key and of the service, one has a budget for an hour that pays for no call."""
    others = {"hour": (1.0, "day"), "day": (0.5 * CALL_USD, "hour")}[per]
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        dials: dict[str, Any] = {"budget_usd": usd, "budget_per": per}
        with running(tmp_path, arms, **dials) as service:
            shop = Keyed(service, budget_usd=others[0], budget_per=others[1])
            refused = shop.post("/complete", BODY)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 3_600


def test_b10_what_was_held_for_a_stream_that_is_left_is_given_back(priced: Running) -> None:
    shop = Keyed(priced, budget_usd=1.5 * CALL_USD)
    body = {**BODY, "stream": True}
    with closing(priced.client.post("/complete", json=body, headers=shop.headers)) as left:
        next(iter(left.response))
        assert shop.refused("/complete", BODY) == (429, "budget_exceeded")
    pacer = priced.parts.live.pacer_of(priced.parts.keyring.holder(shop.key))
    assert (pacer.books.reserved_usd, pacer.books.expected_usd) == (0.0, 0.0)
    assert pacer.books.settled_usd == pytest.approx(priced.parts.log.spend_usd(0.0))


def test_b10_what_a_killed_process_had_under_way_counts_after_the_restart(tmp_path: Path) -> None:
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        with running(tmp_path, arms) as service:
            shop = Keyed(service, budget_usd=2.5 * CALL_USD)
            row = service.parts.log.decision(shop.ask(max_tokens=TOKENS)["id"]).decision
            service.parts.log.decide(but(row, id="tp-killed")).wait()
        with running(tmp_path, arms) as shop.service:
            lost = shop.service.parts.log.decision("tp-killed").outcome
            assert lost is not None
            assert (lost.status, lost.cost_usd) == ("abandoned", pytest.approx(CALL_USD))
            assert shop.refused("/complete", BODY) == (429, "budget_exceeded")


def test_b10_a_call_that_fails_costs_the_key_nothing(tmp_path: Path) -> None:
    arms = catalogue(tmp_path, "http://127.0.0.1:9/v1", {"one": {}, "two": {}})
    with running(tmp_path, arms) as service:
        shop = Keyed(service, budget_usd=1.0)
        assert shop.post("/complete", BODY).status_code == 502
        books = service.parts.live.pacer_of(service.parts.keyring.holder(shop.key)).books
        assert (books.settled_usd, books.reserved_usd, books.requests) == (0.0, 0.0, 2)


def test_each_key_pays_its_own_price_and_the_rest_the_services(service: Running) -> None:
    dear = Keyed(service, "dear", willingness_to_pay_usd=5.0)
    cheap = Keyed(service, "cheap", willingness_to_pay_usd=1e-6)
    plain = Keyed(service, "plain")
    for keyed, price in ((dear, 5.0), (cheap, 1e-6), (plain, 0.01)):
        answer = keyed.ask("What is 4 * 3?")
        told = keyed.get(f"/decisions/{answer['id']}").json
        assert told["willingness_to_pay_usd"] == price
        own = keyed.ask("What is 4 * 3?", willingness_to_pay=0.5)
        assert keyed.get(f"/decisions/{own['id']}").json["willingness_to_pay_usd"] == 0.5


def test_several_answers_at_once_are_reserved_as_such(priced: Running) -> None:
    shop = Keyed(priced, budget_usd=5.5 * CALL_USD, budget_per="day")
    asked = {"model": "auto", "max_tokens": TOKENS, "messages": [{"role": "user", "content": "hi"}]}
    told = [shop.post("/v1/chat/completions", {**asked, "n": n}).status_code for n in (4, 2, 1, 1)]
    assert told == [200, 429, 200, 429]


def test_a_budget_beside_a_price_is_a_ceiling_and_leaves_the_price(service: Running) -> None:
    shop = Keyed(service, willingness_to_pay_usd=0.5, budget_usd=1e-9, budget_per="hour")
    assert shop.refused("/complete", BODY) == (429, "budget_exceeded")
    rich = Keyed(service, "rich", willingness_to_pay_usd=0.5, budget_usd=10.0, budget_per="hour")
    answer = rich.ask()
    assert rich.get(f"/decisions/{answer['id']}").json["willingness_to_pay_usd"] == 0.5


@pytest.mark.slow
def test_a_budget_per_request_and_a_floor_are_kept_by_each_key_for_itself(service: Running) -> None:
    tight = Keyed(service, "tight", budget_usd=5e-5, budget_per="request")
    fine = Keyed(service, "fine", quality_floor=0.98)
    prices: dict[str, set[float]] = {}
    for n in range(80):
        for keyed in (tight, fine):
            answer = keyed.ask(f"What is {n} * 3?")
            keyed.post("/feedback", {"id": answer["id"], "thumbs": "up"})
            told = keyed.get(f"/decisions/{answer['id']}").json
            prices.setdefault(keyed.row.name, set()).add(told["willingness_to_pay_usd"])
    live, keyring = service.parts.live, service.parts.keyring
    tight_pacer = live.pacer_of(keyring.holder(tight.key))
    fine_pacer = live.pacer_of(keyring.holder(fine.key))
    assert len(prices["tight"]) > 3
    assert prices["tight"].isdisjoint({0.01})
    spent_usd = service.parts.log.spend_usd(0.0, key_id=tight.row.id)
    assert spent_usd / 80 < 1e-4
    assert len(tight_pacer.ring.forecasts) == len(fine_pacer.ring.forecasts) == 80
    baseline = fine_pacer.ring.quality_of("gpt-4o")
    assert baseline is not None
    assert fine_pacer.ring.quality(fine_pacer.willingness_to_pay_usd) >= 0.97 * 0.98 * baseline
    assert live.pacer.willingness_to_pay_usd == 0.01
    goal = tight.get("/policy").json["goal"]
    assert (goal["kind"], goal["usd"], goal["requests"]) == ("budget", 5e-5, 80)


def test_a_key_that_waits_for_its_books_keeps_nobody_else_waiting(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, site = Keyed(service, budget_usd=1.0, budget_per="day"), Keyed(service, "site")
    begun, is_back, was_back = Event(), Event(), []

    def away(*_: object) -> list[Any]:
        begun.set()
        was_back.append(is_back.wait(5))
        return []

    monkeypatch.setattr(service.parts.log, "asked_with", away)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(shop.ask)
        assert begun.wait(10)
        site.ask()
        is_back.set()
        assert asked.result()["arm"]
    assert was_back == [True]


def test_what_has_no_price_is_not_passed_on_for_a_key_with_a_budget(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        for n, more in enumerate(({"budget_usd": 1.0}, {"allowed_arms": ("gpt-4o",)})):
            keyed = Keyed(service, f"shop{n}", **more)
            for path in ("/v1/embeddings", "/v1/responses"):
                assert keyed.refused(path, {"model": "m"}) == (403, "insufficient_scope")


def test_who_asks_at_the_services_price_is_in_its_ring_after_a_restart(
    tmp_path: Path, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "budget_usd": 1e-3, "budget_per": "request"}
    with running(tmp_path, **dials) as service:
        plain = Keyed(service, "plain")
        dear = Keyed(service, "dear", willingness_to_pay_usd=5.0)
        gone = Keyed(service, "gone", willingness_to_pay_usd=5.0)
        asking = [plain.ask, plain.ask, dear.ask, plain.ask, gone.ask]
        ids = [ask(f"What is {n} * 3?")["id"] for n, ask in enumerate(asking)]
        moments = [service.parts.log.decision(ids[n]).decision.decided_at_s for n in (0, 1, 3)]
        assert len(service.parts.live.pacer.ring.forecasts) == len(moments)
        gone.revoke()
    with running(tmp_path, **dials) as service:
        assert [each.at_s for each in service.parts.live.pacer.ring.forecasts] == moments
