"""Everything but `/complete` over HTTP: thumbs, a route, a decision, the policy, strays."""

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from policy import VERSION
from policy.types import Arm
from tests.app.running import SUM, Provider, Running, running
from upstream.catalogue import load

FORGED = ["tp-1", "tp-" + "0" * 32, "x" * 128, "' OR 1=1--", "a/b", "\x00", "\u00e9", "\n"]


def arms(policy: Any) -> dict[str, Any]:
    return {arm["arm"]: arm for arm in policy["arms"]}


def test_a_thumb_is_recorded_changed_repeated_and_withdrawn(service: Running) -> None:
    answer = service.ask()["id"]
    told = [service.rate(answer, thumbs) for thumbs in ("up", "up", "down", "neutral", "neutral")]
    assert [each["status"] for each in told] == [
        "recorded", "duplicate", "updated", "revoked", "duplicate",
    ]  # fmt: skip
    assert [each["revision"] for each in told] == [1, 1, 2, 3, 3]
    assert {each["id"] for each in told} == {answer}


def test_a_withdrawn_thumb_leaves_nothing_but_rounding(service: Running) -> None:
    for _ in range(40):
        service.rate(service.ask()["id"], "up")
    answer = service.ask()["id"]
    before = service.learned.to_arrays()
    for thumbs in ("down", "neutral") * 20:
        service.rate(answer, thumbs)
    after = service.learned.to_arrays()
    told = {name for name in before if name.startswith(("rated/", "watch/"))}
    assert len(told) >= 10
    assert before.keys() == after.keys()
    for name in before:
        # The reference of a bet may have been due, and how many outcomes were seen goes on.
        if not name.endswith(("/reference", "/state")):
            assert after[name] == pytest.approx(before[name], abs=1e-12)


def test_each_rater_has_one_voice_and_the_decision_shows_their_mean(service: Running) -> None:
    answer = service.ask()["id"]
    for rater, thumbs in (("ann", "up"), ("ben", "down"), ("ann", "up"), ("eve", "down")):
        service.rate(answer, thumbs, rater=rater)
    assert service.get(f"/decisions/{answer}")["reward"] == pytest.approx(1 / 3)


def test_a_reward_between_the_thumbs_is_taken(service: Running) -> None:
    answer = service.ask()["id"]
    response = service.post("/feedback", {"id": answer, "reward": 0.25, "comment": "half right"})
    assert response.json == {
        "id": answer, "status": "recorded", "revision": 1, "teaches": True
    }  # fmt: skip
    assert service.get(f"/decisions/{answer}")["reward"] == 0.25


def test_a_comment_with_no_verdict_to_stand_beside_is_refused_and_not_lost(
    service: Running,
) -> None:
    sent = {"id": service.ask()["id"], "thumbs": "neutral", "comment": "neither"}
    status, error = service.refused("/feedback", sent)
    assert (status, error["param"]) == (400, "comment")
    assert "'anonymous' has given none" in error["message"]
    service.rate(sent["id"], "up")
    assert service.post("/feedback", sent).json["status"] == "revoked"


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_id_is_not_found_and_changes_nothing(shared: Running, forged: str) -> None:
    before = shared.digest, shared.parts.log.position()
    status, error = shared.refused("/feedback", {"id": forged, "thumbs": "up"})
    assert (status, error["type"], error["code"], error["param"]) == (
        404, "not_found_error", "completion_not_found", "id",
    )  # fmt: skip
    assert error["message"].isprintable()
    assert len(error["message"]) < 100
    assert (shared.digest, shared.parts.log.position()) == before


def test_feedback_closes_with_its_window(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url, feedback_window_s=0.05) as service:
        answer = service.ask()["id"]
        time.sleep(0.06)
        before = service.digest
        status, error = service.refused("/feedback", {"id": answer, "thumbs": "up"})
        assert (status, error["code"], error["param"]) == (410, "feedback_window_closed", "id")
        assert service.digest == before


def test_a_route_is_the_decision_without_the_call(service: Running, provider: Provider) -> None:
    before = service.digest, service.parts.log.counts(), len(provider.bodies)
    told = service.post("/route", {"prompt": SUM, "task": "maths"}).json
    assert sum(arm["propensity"] for arm in told["arms"]) == pytest.approx(1.0)
    chosen = next(arm for arm in told["arms"] if arm["arm"] == told["arm"])
    assert chosen["propensity"] == told["propensity"]
    assert (service.digest, service.parts.log.counts(), len(provider.bodies)) == before


def test_a_decision_tells_why(service: Running) -> None:
    answer = service.ask(task="maths/easy", willingness_to_pay=0.05)
    service.rate(answer["id"])
    found = service.get(f"/decisions/{answer['id']}")
    assert found["context"]["words"] == 5
    assert found["context"]["task"] == "maths/easy"
    assert (found["arm"], found["reward"], found["kind"]) == (answer["arm"], 1.0, "routed")
    for arm in found["arms"]:
        assert arm["utility"] == pytest.approx(arm["quality"] - arm["cost_usd"] / 0.05)
        assert (arm["would_look_better_if"] is None) == (arm["arm"] == answer["arm"])
    assert SUM not in str(found)


@pytest.mark.parametrize(
    "forged", ["tp-1", "'%20OR%201=1--", "%00", "%ED%A0%80", "%0A", "9" * 3_000]
)
def test_an_unknown_decision_is_not_found(shared: Running, forged: str) -> None:
    response = shared.client.get(f"/decisions/{forged}")
    assert response.status_code == 404
    error = response.json["error"]
    assert (error["code"], error["param"]) == ("completion_not_found", "id")
    assert error["message"].isprintable()
    assert len(error["message"]) < 100


def test_thumbs_change_what_the_policy_shows(service: Running) -> None:
    before = arms(service.get("/policy"))
    for n in range(6):
        service.rate(service.ask(f"What is {n} + 3?", models=["gpt-4o"])["id"], "up")
        service.rate(service.ask(f"What is {n} + 5?", models=["qwen3-32b"])["id"], "down")
    policy = service.get("/policy")
    after = arms(policy)
    for arm, sign in (("gpt-4o", 1), ("qwen3-32b", -1)):
        moved = after[arm]["belief"]["quality"] - before[arm]["belief"]["quality"]
        assert sign * moved > 0.03
        assert after[arm]["belief"]["quality_sd"] < before[arm]["belief"]["quality_sd"]
        assert after[arm]["belief"]["effective_n"] == pytest.approx(6)
        assert (after[arm]["requests"], after[arm]["rated"], after[arm]["share"]) == (6, 6, 0.5)
    assert after["gpt-4o"]["mean_reward"] == 1.0
    assert policy["counts"]["rated"] == 12
    cost = [point["cost_usd_per_request"] for point in policy["frontier"]]
    assert cost == sorted(cost)


def test_a_policy_without_any_traffic_can_be_shown(service: Running) -> None:
    policy = service.get("/policy")
    assert (policy["policy"], policy["policy_version"], policy["sandbox"]) == ("thompson", 1, True)
    assert policy["frontier"] == []
    assert policy["catalogue_error"] is None


@pytest.mark.parametrize("method_path", ["GET /policy", "GET /decisions/{id}", "DELETE /cache"])
@pytest.mark.parametrize(("query", "told"), [
    ("tenant=a", "tenant is no field here; it must be left out"),
    ("x=1&x=2", "'x' is given 2 times; it must be given once"),
])  # fmt: skip
def test_what_takes_no_parameters_refuses_one_as_the_report_does(
    service: Running, method_path: str, query: str, told: str
) -> None:
    method, path = method_path.format(id=service.ask(cache="use")["id"]).split()
    answer = service.client.open(f"{path}?{query}", method=method)
    assert (answer.status_code, answer.json["error"]["message"]) == (400, told)
    assert answer.json["error"]["param"] == query[: query.index("=")]
    assert service.client.get(f"/report?{query}").json == answer.json
    assert service.get("/policy")["cache"]["answers"] == 1


def test_health_says_what_serves(shared: Running) -> None:
    told = shared.get("/healthz")
    assert (told["status"], told["sandbox"], told["policy_version"]) == ("ok", True, 1)
    assert told["version"] == shared.get("/openapi.json")["info"]["version"] == VERSION


@pytest.mark.parametrize("path", ["/nowhere", "/complete/", "/policy//", "/decisions/", "/%2e"])
def test_a_stray_path_is_told_in_the_envelope(shared: Running, path: str) -> None:
    response = shared.client.get(path, follow_redirects=False)
    error = response.json["error"]
    assert (response.status_code, error["code"]) == (404, "not_found")
    assert error["type"] == "not_found_error"


def test_a_path_of_openais_that_is_not_here_is_told_which_are(shared: Running) -> None:
    error = shared.post("/v1/completions", {"model": "auto", "prompt": "hi"}).json["error"]
    rules = [rule.rule for rule in shared.client.application.url_map.iter_rules()]
    here = {rule for rule in rules if rule.startswith("/v1/") and "<" not in rule}
    assert {*re.findall("/v1/[a-z/]+", error["message"])} == here | {"/v1/completions"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/complete", "POST"), ("DELETE", "/policy", "GET"), ("PUT", "/feedback", "POST")],
)
def test_a_wrong_method_is_told_which_are_right(
    shared: Running, method: str, path: str, allowed: str
) -> None:
    response = shared.client.open(path, method=method)
    assert (response.status_code, response.json["error"]["code"]) == (405, "method_not_allowed")
    assert allowed in response.headers["allow"]


def test_every_answer_carries_a_request_id_and_keeps_a_good_one(shared: Running) -> None:
    for given, kept in (("abc-1", True), ("x" * 65, False), ("a b", False), ("", False)):
        for path in ("/healthz", "/nowhere"):
            response = shared.client.get(path, headers={"x-request-id": given})
            assert (response.headers["x-request-id"] == given) == kept
            assert response.headers["x-request-id"]


def test_twenty_callers_at_once_are_all_answered_and_all_learned(service: Running) -> None:
    answered: list[Arm] = []
    every = load(service.parts.settings.arms).arms

    def call(number: int) -> None:
        with service.client.application.test_client() as client:
            answer = client.post("/complete", json={"prompt": f"What is {number} + 1?"}).json
            client.post("/feedback", json={"id": answer["id"], "thumbs": "up"})
            answered.append(every[answer["arm"]])

    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answered) == 20
    assert service.parts.log.counts().rated == 20
    assert sum(arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]) == (
        pytest.approx(20)
    )
