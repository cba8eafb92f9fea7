"""A browser rates one answer with its token, and can do nothing else with it."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from app.keys.feedback_tokens import FeedbackTokens
from app.keys.subkeys import Subkeys
from policy.errors import FeedbackClosed, Unauthenticated
from tests.app.keyed import Keyed
from tests.app.routing.test_answering import events
from tests.app.running import SUM, Provider, Running, running
from tests.storage.rounds import DECISION, but


def rated(service: Running, body: dict[str, Any], token: str | None = None) -> tuple[int, str]:
    """Return the status, and what was changed or the code of the error."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with service.client.application.test_client() as client:
        response = client.post("/feedback", json=body, headers=headers)
    assert response.json is not None
    told = response.json
    return response.status_code, told["status"] if "status" in told else told["error"]["code"]


def test_a_browser_rates_with_the_answers_token_in_the_header_or_in_the_body(
    service: Running,
) -> None:
    answer = Keyed(service).ask()
    up = {"id": answer["id"], "thumbs": "up"}
    assert rated(service, up) == (401, "invalid_api_key")
    assert rated(service, up, answer["feedback_token"]) == (200, "recorded")
    again = {**up, "feedback_token": answer["feedback_token"]}
    assert rated(service, again) == (200, "duplicate")
    assert rated(service, {**again, "thumbs": "down"}) == (200, "updated")
    [(_, raters)] = [
        (each.decision.id, service.parts.log.decision(each.decision.id).reward)
        for each in service.parts.log.decisions(tenant="shop")
    ]
    assert raters == 0.0


def test_without_a_key_no_more_is_read_than_the_longest_comment_needs(service: Running) -> None:
    answer = Keyed(service).ask()
    up = {"id": answer["id"], "thumbs": "up", "feedback_token": answer["feedback_token"]}
    assert rated(service, {**up, "comment": "\N{GRINNING FACE}" * 4_000}) == (200, "recorded")
    for large in ({**up, "comment": "x" * 2**16}, {"x": [{}] * 20_000}):
        assert rated(service, large) == (413, "request_too_large")


def test_every_kind_of_answer_carries_its_token(service: Running) -> None:
    shop = Keyed(service)
    streamed = events(shop.post("/complete", {"prompt": SUM, "stream": True}))
    assert streamed[0]["feedback_token"] == streamed[-2]["feedback_token"]
    body = {"id": streamed[0]["id"], "thumbs": "up"}
    assert rated(service, body, streamed[0]["feedback_token"]) == (200, "recorded")
    chat = {"model": "auto", "messages": [{"role": "user", "content": SUM}]}
    for more in ({}, {"stream": True}):
        response = shop.post("/v1/chat/completions", {**chat, **more})
        decision = response.headers["x-turnpike-decision-id"]
        token = response.headers["x-turnpike-feedback-token"]
        assert re.fullmatch(r"tpf_[0-9a-f]+_[A-Za-z0-9_-]{32}", token)
        assert rated(service, {"id": decision, "thumbs": "up"}, token) == (200, "recorded")


def test_a_token_is_for_one_decision_one_rater_and_nothing_else(service: Running) -> None:
    shop = Keyed(service)
    mine, other = shop.ask(), shop.ask("What is 2 * 3?")
    token = mine["feedback_token"]
    assert rated(service, {"id": other["id"], "thumbs": "up"}, token) == (401, "invalid_api_key")
    named = {"id": mine["id"], "thumbs": "up", "rater": "ann"}
    assert rated(service, named, token) == (400, "invalid_value")
    headers = {"Authorization": f"Bearer {token}"}
    for method, path in (("GET", "/policy"), ("POST", "/complete"), ("DELETE", "/cache")):
        response = service.client.open(path, method=method, json={}, headers=headers)
        assert response.status_code == 401


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.replace("tpf_", "tpf_f", 1),
        lambda token: "tpf_",
        lambda token: "tpf_ffffffffff_",
        lambda token: "tpf_zz_" + token.rpartition("_")[2],
        lambda token: "tpf_\u00e9_\u00e9",
    ],
)
def test_e6_a_forged_token_is_none(shared: Running, forge: Any) -> None:
    answer = shared.ask()
    body = {"id": answer["id"], "thumbs": "up", "feedback_token": forge(answer["feedback_token"])}
    assert rated(shared, body) == (401, "invalid_api_key")


def test_each_secret_signs_its_own_and_a_token_ends_with_its_window() -> None:
    keys, decision = Subkeys(b"a" * 32), but(DECISION, id="tp-1", decided_at_s=time.time())
    token = FeedbackTokens(keys, 60.0).of(decision)
    assert FeedbackTokens(keys, 60.0).of(decision) == token
    assert FeedbackTokens(keys, 60.0).holder(token, "tp-1").scopes == {"feedback"}
    with pytest.raises(Unauthenticated) as refused:
        FeedbackTokens(Subkeys(b"b" * 32), 60.0).holder(token, "tp-1")
    with pytest.raises(FeedbackClosed) as over:
        FeedbackTokens(keys, 60.0).holder(FeedbackTokens(keys, -1.0).of(decision), "tp-1")
    assert refused.value.param == over.value.param == "feedback_token"


def test_e11_a_token_changes_its_thumb_only_so_often(service: Running) -> None:
    answer = Keyed(service).ask()
    token, told = answer["feedback_token"], []
    for n in range(12):
        body = {"id": answer["id"], "thumbs": ("up", "down")[n % 2]}
        told.append(rated(service, body, token))
    assert [status for status, _ in told] == [200] * 10 + [429] * 2
    assert told[-1] == (429, "rate_limited")


def test_where_no_key_is_asked_for_a_wrong_token_is_still_told(shared: Running) -> None:
    answer = shared.ask()
    wrong = {"id": answer["id"], "thumbs": "up", "feedback_token": "tpf_1_x"}
    assert rated(shared, wrong) == (401, "invalid_api_key")
    assert rated(shared, {"id": answer["id"], "thumbs": "up"}) == (200, "recorded")


def test_a_token_is_known_after_a_restart(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        answer = service.ask()
    with running(tmp_path, sandbox_url=provider.url) as service:
        Keyed(service)
        body = {"id": answer["id"], "thumbs": "up"}
        assert rated(service, body, answer["feedback_token"]) == (200, "recorded")
