"""Tenants: nobody sees, rates or is answered from what another tenant has asked."""

from pathlib import Path
from typing import Any

import pytest

from app.keys.holder import Holder
from policy.pacer import Budget, WillingnessToPay
from tests.app.keyed import Keyed
from tests.app.running import SUM, Provider, Running, catalogue, eventually, running


def test_b6_another_tenants_decision_is_none_to_see_or_to_rate(service: Running) -> None:
    shop, site = Keyed(service, "shop"), Keyed(service, "site")
    answer = shop.ask()["id"]
    unknown = site.get("/decisions/tp-0").json["error"]
    for decision in (answer, "tp-0"):
        assert site.refused("/feedback", {"id": decision, "thumbs": "up"}) == (
            404, "completion_not_found",
        )  # fmt: skip
        told = site.get(f"/decisions/{decision}")
        assert told.status_code == 404
        same = told.json["error"]["message"].replace(decision, "tp-0")
        assert same == unknown["message"]
    assert shop.get(f"/decisions/{answer}").json["reward"] is None
    assert shop.post("/feedback", {"id": answer, "thumbs": "up"}).json["status"] == "recorded"


def test_keys_of_one_tenant_share_what_is_theirs(service: Running) -> None:
    web, app = (Keyed(service, name, tenant="acme") for name in ("web", "app"))
    answer = web.ask()["id"]
    assert app.post("/feedback", {"id": answer, "thumbs": "down"}).status_code == 200
    assert web.get(f"/decisions/{answer}").json["reward"] == 0.0


def test_the_operator_sees_and_rates_what_any_tenant_asked(service: Running) -> None:
    shop = Keyed(service)
    operator = Keyed(service, "ops", scopes=("read", "feedback", "admin"))
    answer = shop.ask()["id"]
    assert operator.get(f"/decisions/{answer}").status_code == 200
    rated = {"id": answer, "thumbs": "up", "rater": "ops"}
    assert operator.post("/feedback", rated).json["status"] == "recorded"
    assert service.parts.log.decision(answer).decision.tenant == "shop"


def test_b7_a_tenant_named_in_the_request_changes_nothing(service: Running) -> None:
    shop, site = Keyed(service, "shop"), Keyed(service, "site")
    answer = shop.ask(user="site", metadata={"tenant": "site"})["id"]
    decision = service.parts.log.decision(answer).decision
    assert (decision.tenant, decision.key_id) == ("shop", shop.row.id)
    headers = {**site.headers, "x-tenant": "shop"}
    assert service.client.get(f"/decisions/{answer}", headers=headers).status_code == 404


def test_k1_one_tenants_answers_are_never_given_to_another(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, cache="exact") as service:
        shop, site = Keyed(service, "shop"), Keyed(service, "site")
        again = Keyed(service, "again", tenant="shop")
        told = [each.ask()["cache"] for each in (shop, site, again, site)]
        assert told == ["miss", "miss", "hit", "hit"]


def test_b8_no_key_is_made_over_http(service: Running) -> None:
    rules = [rule.rule for rule in service.client.application.url_map.iter_rules()]
    assert [rule for rule in rules if "key" in rule] == []


def allowed(keyed: Keyed, **more: Any) -> list[str]:
    told = keyed.post("/route", {"prompt": SUM, **more})
    return sorted(arm["arm"] for arm in told.json["arms"])


def test_a_key_asks_the_arms_it_is_allowed_and_no_others(service: Running) -> None:
    shop = Keyed(service, allowed_arms=("gpt-4o", "qwen3-32b", "gone"))
    assert allowed(shop) == ["gpt-4o", "qwen3-32b"]
    assert allowed(shop, models=["qwen3-32b", "glm-4-plus"]) == ["qwen3-32b"]
    status, code = shop.refused("/complete", {"prompt": SUM, "models": ["glm-4-plus"]})
    assert (status, code) == (400, "no_eligible_arm")
    pinned = {"prompt": SUM, "models": ["qwen3-32b"]}
    told = shop.post("/complete", pinned | {"fallbacks": ["glm-4-plus"]})
    assert (told.status_code, told.json["error"]["param"]) == (400, "fallbacks")
    assert "none of which the key allows; it allows gpt-4o, qwen3-32b" in told.text
    assert allowed(shop, **pinned, fallbacks=["glm-4-plus", "gpt-4o"]) == ["qwen3-32b"]
    names = [each["id"] for each in shop.get("/v1/models").json["data"]]
    assert {name for name in names if not name.startswith("auto")} == {"gpt-4o", "qwen3-32b"}
    chat = {"model": "glm-4-plus", "messages": [{"role": "user", "content": SUM}]}
    assert shop.refused("/v1/chat/completions", chat) == (400, "no_eligible_arm")
    assert shop.get("/v1/models/glm-4-plus").status_code == 404


def test_of_the_arms_with_one_model_its_name_asks_the_one_that_the_key_allows(
    service: Running,
) -> None:
    shop = Keyed(service, allowed_arms=("deepseek-v4-pro-economy",))
    chat = {"model": "deepseek-ai/DeepSeek-V4-Pro", "messages": [{"role": "user", "content": SUM}]}
    told = shop.post("/v1/chat/completions", chat)
    assert told.headers["x-turnpike-arm"] == "deepseek-v4-pro-economy", told.json


def test_a_stored_answer_of_an_arm_that_a_key_may_not_ask_is_not_given(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, cache="exact") as service:
        web = Keyed(service, "web", tenant="acme", allowed_arms=("gpt-4o",))
        app = Keyed(service, "app", tenant="acme", allowed_arms=("qwen3-32b",))
        assert [(each["arm"], each["cache"]) for each in (web.ask(), app.ask())] == [
            ("gpt-4o", "miss"),
            ("qwen3-32b", "miss"),
        ]


@pytest.mark.parametrize("tenant", ["a", "default"])
def test_a_conversation_of_one_tenant_takes_no_seat_of_another(
    service: Running, tenant: str
) -> None:
    shop = Keyed(service, "shop", tenant=tenant)
    site = Keyed(service, "site", tenant="b")
    session = {"session": "s1", "models": ["gpt-4o"]}
    shop.ask("x " * 2_000, **session)
    told = site.post("/complete", {"prompt": "y", "session": "s1"}).json
    assert site.get(f"/decisions/{told['id']}").json["cached_by_arm"] == {}


def test_i8_the_policy_shows_a_tenant_what_is_shared_and_its_own_use_and_no_others(
    service: Running,
) -> None:
    shop, site = Keyed(service, "shop"), Keyed(service, "site")
    operator = Keyed(service, "ops", scopes=("read", "admin"))
    for _ in range(3):
        answer = shop.ask(models=["gpt-4o"])
        shop.post("/feedback", {"id": answer["id"], "thumbs": "up"})
    site.ask(models=["qwen3-32b"])
    seen = {each.row.name: each.get("/policy").json for each in (shop, site, operator)}
    used = {
        name: {arm["arm"]: arm["requests"] for arm in told["arms"] if arm["requests"]}
        for name, told in seen.items()
    }
    assert used == {
        "shop": {"gpt-4o": 3},
        "site": {"qwen3-32b": 1},
        "ops": {"gpt-4o": 3, "qwen3-32b": 1},
    }
    rated = {name: {arm["rated"] for arm in told["arms"]} for name, told in seen.items()}
    assert rated == {"shop": {0, 3}, "site": {0}, "ops": {0, 3}}
    assert [seen[name]["counts"] is None for name in ("shop", "site", "ops")] == [True, True, False]
    assert "answers" not in seen["site"]["cache"]
    beliefs = [[arm["belief"]["effective_n"] for arm in told["arms"]] for told in seen.values()]
    assert beliefs[0] == beliefs[1] == beliefs[2]


def test_what_is_wrong_in_the_catalogue_is_shown_to_operators_alone(
    tmp_path: Path, provider: Provider
) -> None:
    path = catalogue(tmp_path, provider.url, {"small": {}})
    with running(tmp_path, arms=path) as service:
        shop = Keyed(service, "shop")
        operator = Keyed(service, "ops", scopes=("read", "admin"))
        catalogue(tmp_path, "https://joe:s3cr3tpw@host/v1", {"small": {}})
        assert eventually(lambda: operator.get("/policy").json["catalogue_error"] is not None)
        for page in ("/policy", "/", "/pages/settings"):
            told = {each.row.name: each.get(page).text for each in (shop, operator)}
            assert "is wrong; it must be" in told["ops"]
            assert "is wrong; it must be" not in told["shop"]
            assert "s3cr3tpw" not in told["ops"] + told["shop"]


def test_a_key_counts_dollars_with_any_budget_whatever_else_it_aims_at() -> None:
    day = Budget(1.0, "day")
    assert not Holder("shop", goal=WillingnessToPay(0.1)).counts_dollars
    assert Holder("shop", goal=WillingnessToPay(0.1), cap=day).counts_dollars
    assert Holder("shop", goal=day).counts_dollars
