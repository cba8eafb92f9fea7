"""Wishes as headers: heard wherever an answer is asked for, and never overruled in silence."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.app.running import SUM, Provider, Running

PINNED = "gpt-4o"
V1 = "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    V1: {"model": "auto", "messages": [{"role": "user", "content": SUM}]},
    "/complete": {"prompt": SUM},
    "/route": {"prompt": SUM},
}
everywhere = pytest.mark.parametrize("path", BODIES)


def asked(service: Running, path: str, headers: dict[str, str], **more: Any) -> TestResponse:
    return service.client.post(path, json={**BODIES[path], **more}, headers=headers)


@pytest.mark.parametrize("path", [V1, "/complete"])
def test_wishes_come_in_headers_too(service: Running, path: str) -> None:
    headers = {
        "X-Turnpike-Models": f"{PINNED}, glm-4-plus",
        "x-turnpike-task": "maths",
        "x-turnpike-willingness-to-pay": "1e-6",
        "x-turnpike-explore": "false",
        "x-turnpike-session": "s-1",
    }
    made = asked(service, path, headers, stream=None).json
    found = service.get(f"/decisions/{made['id']}")
    assert {arm["arm"] for arm in found["arms"]} == {PINNED, "glm-4-plus"}
    row = service.parts.log.decision(made["id"]).decision
    assert (row.task, row.session, row.willingness_to_pay_usd) == ("maths", "s-1", 1e-6)
    assert found["propensity"] == 1.0


def test_a_route_hears_the_wishes_of_the_headers(service: Running) -> None:
    told = asked(service, "/route", {"x-turnpike-models": PINNED}).json
    assert (told["arm"], [each["arm"] for each in told["arms"]]) == (PINNED, [PINNED])


@everywhere
def test_a_cap_in_a_header_holds(service: Running, path: str) -> None:
    for more in ({}, {"max_cost_usd": None}):
        response = asked(service, path, {"x-turnpike-max-cost-usd": "1e-12"}, **more)
        assert (response.status_code, response.json["error"]["code"]) == (400, "no_eligible_arm")


@everywhere
@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("task", "support", "maths"),
        ("max_cost_usd", 0.5, "0.25"),
        ("explore", True, "false"),
        ("models", [PINNED], f"{PINNED}, glm-4-plus"),
    ],
)
def test_a_wish_that_is_two_is_refused_and_both_places_are_named(
    service: Running, path: str, name: str, field: Any, value: str
) -> None:
    header = f"x-turnpike-{name.replace('_', '-')}"
    response = asked(service, path, {header: value}, **{name: field})
    error = response.json["error"]
    assert (response.status_code, error["param"]) == (400, name)
    assert f"{name} is " in error["message"]
    assert f"{header} says " in error["message"]


@everywhere
def test_a_wish_that_is_said_twice_is_one(service: Running, path: str) -> None:
    headers = {"x-turnpike-max-cost-usd": "1.0", "x-turnpike-models": f"{PINNED},glm-4-plus"}
    more = {"max_cost_usd": 1, "models": [PINNED, "glm-4-plus"]}
    assert asked(service, path, headers, **more).status_code == 200


def test_the_session_of_a_client_gives_way_to_ours(service: Running) -> None:
    headers, theirs = {"x-session-id": "theirs"}, {"session_id": "said"}
    said = [
        ({"session": "ours"}, "ours"),
        ({}, "theirs"),
        ({"session": "ours"} | theirs, "ours"),
        (theirs, "said"),
        ({"session_id": "no name here"}, "theirs"),
        ({"session_id": None}, "theirs"),
    ]
    for more, session in said:
        made = asked(service, "/complete", headers, **more).json["id"]
        assert service.parts.log.decision(made).decision.session == session


@everywhere
def test_the_session_id_of_openrouters_clients_goes_to_no_provider(
    service: Running, provider: Provider, path: str
) -> None:
    assert asked(service, path, {}, session_id="s-1").status_code == 200
    assert all("session_id" not in sent for sent in provider.bodies)


@everywhere
@pytest.mark.parametrize(
    ("header", "value", "says"),
    [
        ("x-turnpike-taks", "maths", "x-turnpike-task"),
        ("x-turnpike-explore", "perhaps", "true or false"),
        ("x-turnpike-max-cost-usd", "-1", "greater than 0"),
        ("x-turnpike-max-cost-usd", "nan", "must be a finite number"),
        ("x-turnpike-willingness-to-pay", "inf", "must be a finite number"),
        ("x-turnpike-models", f"{PINNED},", "must be names with commas between"),
        ("x-turnpike-fallbacks", " ", "must be names with commas between"),
        ("x-turnpike-cache", "never", "'use', 'refresh' or 'off'"),
    ],
)
def test_a_header_that_is_wrong_is_named(
    service: Running, path: str, header: str, value: str, says: str
) -> None:
    response = asked(service, path, {header: value})
    assert response.status_code == 400
    assert response.json["error"]["param"] == header
    assert says in response.json["error"]["message"]
