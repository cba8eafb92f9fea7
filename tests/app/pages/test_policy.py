"""What the page of the policy says of the use of arms: the same as `/policy`."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.figures import dollars
from app.keys.holder import ANYBODY, Holder
from app.pages.policy import lately_of, moved_to, policy
from policy.types import DAY_S
from tests.app.keyed import Keyed
from tests.app.running import Provider, Running, catalogue, eventually, running

ASKED, STORED = 3, 4


def test_stored_answers_are_no_use_of_an_arm(service: Running) -> None:
    first = service.ask(cache="use", models=["gpt-4o"], task="maths")
    for _ in range(STORED):
        again = service.ask(cache="use", models=["gpt-4o"], task="maths")
        assert again["cache"] == "hit"
    service.ask(models=["glm-4-plus"], task="maths")
    shown = policy(service.parts, ANYBODY, "24h", time.time())
    told = {each["arm"]: each for each in service.get("/policy")["arms"]}
    for row in shown["arms"]:
        arm, sums = row["arm"].name, row["sums"]
        assert (row["share"], sums.decisions) == (told[arm]["share"], told[arm]["requests"])
    [dear] = [row["sums"] for row in shown["arms"] if row["arm"].name == "gpt-4o"]
    assert dear.cost_usd / dear.decisions == pytest.approx(first["cost_usd"])
    [task] = shown["tasks"]["rows"]
    assert ([cell["share"] for cell in task["cells"]], task["sums"].requests) == ([0.5, 0.5], 2)
    assert sorted(each["values"][-1] for each in shown["shares"]["series"]) == [0.5, 0.5]


def test_of_the_arms_of_a_task_those_with_most_of_the_work_come_first(service: Running) -> None:
    least, most = list(service.parts.catalogue().arms)[:2]
    for arm in (least, most, most):
        service.ask(models=[arm], task="maths")
    told = policy(service.parts, ANYBODY, "24h", time.time())["tasks"]
    assert [arm for arm, _ in told["arms"]] == [most, least]
    shares = [cell["share"] for cell in told["rows"][0]["cells"]]
    assert shares == pytest.approx([2 / 3, 1 / 3])


def test_a_month_is_paid_for_what_asks_an_arm_and_not_for_stored_answers(service: Running) -> None:
    answers = [service.ask(cache="use", models=["gpt-4o"])["cache"] for _ in range(1 + STORED)]
    assert answers == ["miss"] + ["hit"] * STORED
    point = lately_of(service.parts, ANYBODY).at(0.01)
    assert point is not None
    says = moved_to(service.parts, ANYBODY, 0.01)["a_month"]
    assert says == f"About {dollars(30 * point.cost_usd)} a month at the pace of late."


def test_what_a_dollar_buys_is_told_at_the_prices_of_the_time_and_says_so(
    tmp_path: Path, provider: Provider
) -> None:
    model = {"model": "openai/gpt-4o", "output_usd_per_mtok": 10.0}
    with running(tmp_path, arms=catalogue(tmp_path, provider.url, {"one": model})) as service:
        service.ask()
        before = lately_of(service.parts, ANYBODY).always("one")
        new = {"output_usd_per_mtok": 99.0}
        catalogue(tmp_path, provider.url, {"one": model | new})
        assert eventually(lambda: service.get("/policy")["arms"][0].items() >= new.items())
        assert lately_of(service.parts, ANYBODY).always("one") == before
        assert "at what arms were expected to cost then" in service.client.get("/pages/policy").text


def test_what_is_dearer_than_nothing_is_told_in_dollars(tmp_path: Path, provider: Provider) -> None:
    free = {"model": "Qwen/Qwen3-32B", "input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0}
    best = {"model": "openai/gpt-4o", "quality": 0.95}
    arms = catalogue(tmp_path, provider.url, {"free": free | {"quality": 0.1}, "best": best})
    with running(tmp_path, arms=arms, willingness_to_pay_usd=1e-9) as service:
        service.ask()
        now, then = (moved_to(service.parts, ANYBODY, pay) for pay in (1e-9, 10.0))
    assert (now["cost_usd_per_request"], now["says"]) == (0.0, "As it is now.")
    assert then["says"].startswith(f"{dollars(then['cost_usd_per_request'])} dearer and ")
    assert then["says"].endswith(" points better than now.")


@pytest.mark.parametrize(("rule", "asks"), [("fixed:gpt-4o", False), ("greedy", True)])
def test_only_a_rule_that_asks_what_a_thumb_is_worth_has_a_place_on_the_curve(
    tmp_path: Path, provider: Provider, rule: str, asks: bool
) -> None:
    with running(tmp_path, sandbox_url=provider.url, policy=rule) as service:
        service.ask()
        text = service.client.get("/pages/policy").text
    assert ("As it is now." in text) == ("the policy, now" in text) == asks
    assert (f"The rule in force is {rule}, which does not ask" in text) == (not asks)


def test_what_is_explored_at_most_leaves_out_the_first_trials(service: Running) -> None:
    for _ in range(30):
        service.ask()
    [line] = [each for each in service.get("/report")["lines"] if each["line"] == "exploration"]
    assert line["requests"] > 0.1 * 30 + 5
    text = service.client.get("/pages/policy").text
    assert "10 % of the traffic, the first trials of each arm aside" in text


def test_a_key_with_a_goal_of_its_own_is_shown_that_goal(service: Running) -> None:
    shop = Keyed(service, willingness_to_pay_usd=0.5)
    shop.ask()
    text, told = shop.get("/pages/policy").text, shop.get("/policy").json
    assert told is not None
    assert told["willingness_to_pay_usd"] == 0.5
    assert "One more thumbs-up is worth $0.50." in text
    now = shop.get("/pages/policy/at?pay=0.5").json
    assert now is not None
    assert now["says"] == "As it is now."


def test_the_seven_days_of_use_are_those_of_the_api(service: Running) -> None:
    asked_at_s = time.time()
    service.ask(models=["gpt-4o"])
    shown = policy(service.parts, ANYBODY, "7d", asked_at_s + 7 * DAY_S)
    assert [row["arm"].name for row in shown["arms"] if row["sums"].decisions] == ["gpt-4o"]


def test_the_curve_is_of_arms_that_can_be_asked(tmp_path: Path, provider: Provider) -> None:
    """Not of one that has left the catalogue, nor of one that the key does not allow."""
    two = {name: {"model": "openai/gpt-4o"} for name in ("one", "two")}
    three = two | {"three": {"model": "zhipuai/GLM-4-Plus"}}
    with running(tmp_path, catalogue(tmp_path, provider.url, three)) as service:
        for _ in range(ASKED):
            service.ask()
    with running(tmp_path, catalogue(tmp_path, provider.url, two)) as service:
        shop = Holder("shop", allowed_arms=frozenset({"two"}))
        for holder, arms in ((ANYBODY, {"one", "two"}), (shop, {"two"})):
            shown = policy(service.parts, holder, "24h", time.time())
            assert {each["name"] for each in shown["frontier"]["arms"]} == arms
            assert {each["arm"] for each in shown["now"]["shares"]} <= arms
            assert shown["prompts"] == ASKED
        nobody = policy(service.parts, replace(shop, allowed_arms=frozenset()), "24h", time.time())
        assert (nobody["prompts"], nobody["frontier"]["curve"]) == (0, [])
