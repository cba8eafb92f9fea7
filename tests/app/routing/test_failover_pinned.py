"""Who asks for one arm by name is told why that one cannot serve, whatever its fallbacks say."""

import time
from pathlib import Path
from typing import Any

import pytest

from policy.types import DAY_S
from tests.app.running import Running, catalogue, running
from upstream.provider import serve
from upstream.replies import Reply

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
PRICED = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 10.0, "context_window": 8_000}
NOBODY = ("no_eligible_arm", "models")
TOO_DEAR = ("no_eligible_arm", "max_cost_usd")
TOO_LONG = ("context_length_exceeded", "messages")
TOO_MUCH = ("context_length_exceeded", "max_completion_tokens")
ARMS = ("pinned", "small", "other")
V1 = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
SEEING = [{"role": "user", "content": [PICTURE]}]
LONG = [{"role": "user", "content": "word " * 8_000}]
SMALL = {**PRICED, "context_window": 4_000}
CASES = [
    ({"messages": SEEING}, "it lacks vision", NOBODY),
    (
        {"prompt": "hi", "max_tokens": 9_000},
        "the prompt and answer have about 9004 tokens, its window is 8000",
        ("context_length_exceeded", "max_tokens"),
    ),
    ({"prompt": "hi", "max_cost_usd": 1e-9}, "it would cost about", TOO_DEAR),
]


def answered(_model: str, _body: dict[str, Any]) -> Reply:
    return Reply("331", input_tokens=10, output_tokens=10)


@pytest.fixture(params=[[], ["small"]], ids=["alone", "with a fallback"])
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    arms = {"pinned": {**PRICED, "fallbacks": request.param}, "small": SMALL, "other": PRICED}
    with (
        serve(answered, lambda: [*arms]) as provider,
        running(tmp_path, catalogue(tmp_path, provider.url, arms), budget_usd=0.005) as made,
    ):
        yield made


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/complete", {"messages": LONG}, TOO_LONG),
        ("/complete", {"messages": LONG, "max_tokens": 9_000}, TOO_LONG),
        (V1, {"model": "auto", "messages": HI, "max_completion_tokens": 9_000}, TOO_MUCH),
        (V1, {"model": "pinned", "messages": HI, "max_completion_tokens": 9_000}, TOO_MUCH),
        (V1, {"model": "auto", "messages": LONG}, TOO_LONG),
        (V1, {"model": "pinned", "messages": LONG}, TOO_LONG),
        ("/complete", {"prompt": "hi", "max_cost_usd": 1e-9}, TOO_DEAR),
        (V1, {"model": "auto", "messages": HI, "max_cost_usd": 1e-9}, TOO_DEAR),
        ("/complete", {"messages": SEEING}, ("no_eligible_arm", None)),
        (V1, {"model": "auto", "messages": SEEING}, ("no_eligible_arm", "model")),
    ],
)
def test_the_field_that_is_named_was_sent(
    service: Running, path: str, body: dict[str, Any], told: tuple[str, str | None]
) -> None:
    status, error = service.refused(path, body)
    assert (status, error["code"], error["param"]) == (400, *told)


@pytest.mark.parametrize(("body", "why", "told"), CASES, ids=["vision", "window", "cost"])
def test_the_reason_is_the_pinned_arms_own(
    service: Running, body: dict[str, Any], why: str, told: tuple[str, str]
) -> None:
    status, error = service.refused("/complete", {**body, "models": ["pinned"]})
    assert (status, error["code"], error["param"]) == (400, *told)
    assert f"pinned: {why}" in error["message"]
    assert error["reasons"]["pinned"].startswith(why)
    stands_in = bool(service.parts.catalogue().arms["pinned"].fallbacks)
    listed = {"pinned", "small"} if stands_in else {"pinned"}
    assert error["reasons"].keys() == listed
    assert all((f"{arm}: " in error["message"]) is (arm in listed) for arm in ARMS)


def test_a_budget_that_is_used_up_is_told_as_such(service: Running) -> None:
    asked = {"prompt": "hi", "models": ["pinned"], "max_tokens": 1_000}
    refused = service.post("/complete", asked)
    assert (refused.status_code, refused.json["error"]["code"]) == (429, "budget_exceeded")
    assert "pinned: it could cost $0.01" in refused.json["error"]["message"]
    until_midnight_s = DAY_S - time.time() % DAY_S
    assert int(refused.headers["retry-after"]) == pytest.approx(until_midnight_s, abs=5)
