"""The end of a service: what is under way may finish, and what does not is cut off honestly."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.processes.drain import Drain
from policy.errors import Draining
from tests.app.api.test_v1_passing import passing
from tests.app.faulty import STREAMED, Faulty, broken, endless, faulty
from tests.app.running import Running, eventually
from tests.upstream.misbehaving import Conversation, chunk

SILENT = {"timeouts": {"connect_s": 5, "first_content_s": 30, "idle_s": 30, "total_s": 60}}
PLAIN = {"prompt": "hi", "explore": False}
CHAT = {"model": "a", "messages": [{"role": "user", "content": "hi"}]}


def silent(talk: Conversation) -> None:
    talk.until_client_leaves()


def pausing(talk: Conversation) -> None:
    talk.events(chunk("Once upon a time"))
    talk.until_client_leaves()


def begun(made: Faulty, path: str, body: dict[str, Any]) -> Callable[[], tuple[int, str]]:
    """Start a request on a thread of its own; what is returned waits for its answer."""
    told: list[tuple[int, str]] = []

    def ask() -> None:
        with made.service.client.application.test_client() as client:
            response = client.post(path, json=body)
            told.append((response.status_code, response.text))

    before = len(made.seen.bodies)
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert eventually(lambda: len(made.seen.bodies) > before)

    def answer() -> tuple[int, str]:
        thread.join(20)
        return told[0]

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [endless, pausing], ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    ("path", "asked"), [("/complete", STREAMED), ("/v1/chat/completions", {**CHAT, "stream": True})]
)
def test_a_stream_that_is_not_whole_in_time_ends_with_an_error_and_its_rows(
    tmp_path: Path, path: str, asked: dict[str, Any], scenario: Callable[[Conversation], None]
) -> None:
    with faulty(tmp_path, {"a": scenario}, {"a": SILENT}) as made:
        answer = begun(made, path, asked)
        made.service.parts.drain.begin(0.2)
        status, told = answer()
        assert status == 200
        assert "[DONE]" not in told
        last = json.loads(told.split("\n\n")[-2].removeprefix("data: "))
        assert last["error"]["code"] == "draining"
        assert made.seen.closed_early.wait(2)
        [row] = made.decisions
        assert row.outcome is not None
        assert row.outcome.status == "abandoned"
        assert row.outcome.output_tokens > 0
        [attempt] = made.attempts()
        assert (attempt.status, attempt.cost_usd) == ("error", row.outcome.cost_usd)
        assert "being stopped" in str(attempt.message)


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", [PLAIN, STREAMED, {**STREAMED, "stream_recovery": "hold"}], ids=["plain", "s", "held"]
)
def test_an_answer_that_has_not_begun_in_time_is_a_503_with_its_rows(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    scenario = pausing if "stream_recovery" in asked else silent
    with faulty(tmp_path, {"a": scenario, "b": scenario}, {"a": SILENT, "b": SILENT}) as made:
        answer = begun(made, "/complete", asked)
        made.service.parts.drain.begin(0.2)
        status, told = answer()
        assert (status, json.loads(told)["error"]["code"]) == (503, "draining")
        [row] = made.decisions  # nobody else is asked: there is no time for an answer
        assert row.outcome is not None
        assert row.outcome.status == "abandoned"
        health = made.service.get("/policy")["arms"][0]["health"]
        assert (health["under_way"], health["failures"]) == (0, 0)


@pytest.mark.slow
def test_what_is_passed_on_ends_with_an_error_event(tmp_path: Path) -> None:
    def forever(talk: Conversation) -> None:
        talk.head("200 OK", "text/event-stream")
        talk.until_client_leaves(data=b"data: {}\n\n")

    with passing(tmp_path, forever) as made:
        answer = begun(made, "/v1/responses", {"model": "theirs"})
        made.service.parts.drain.begin(0.2)
        status, told = answer()
        assert status == 200
        assert told.split("\n\n")[-2].startswith("event: error\n")
        assert '"code": "draining"' in told


def test_new_requests_are_refused_and_looking_is_allowed(service: Running) -> None:
    identity = service.ask()["id"]
    assert service.get("/readyz") == {"status": "ready", "log": "log"}
    service.parts.drain.begin(60)
    for path, body in (
        ("/complete", PLAIN),
        ("/v1/chat/completions", {**CHAT, "model": "auto"}),
        ("/feedback", {"id": identity, "thumbs": "up"}),
    ):
        response = service.post(path, body)
        assert (response.status_code, response.json["error"]["code"]) == (503, "draining")
        assert int(response.headers["retry-after"]) > 0
    assert service.get("/healthz")["status"] == "ok"
    assert service.get(f"/decisions/{identity}")["outcome"]["status"] == "ok"
    assert is_not_ready(service) == "not ready: the service is being stopped"


def is_not_ready(service: Running) -> str:
    response = service.client.get("/readyz")
    assert response.status_code == 503
    assert response.json["error"]["code"] == "not_ready"
    message: str = response.json["error"]["message"]
    return message


def test_a_service_whose_arms_are_all_left_alone_stays_ready(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": broken}) as made:
        for _ in range(10):
            made.service.post("/complete", PLAIN)
        arms = made.service.get("/policy")["arms"]
        assert [arm["health"]["state"] for arm in arms] == ["open", "open"]
        assert made.service.get("/readyz")["status"] == "ready"


def test_asking_twice_gives_no_more_time() -> None:
    now = [0.0]
    drain = Drain(lambda: now[0])
    drain.require_time()
    drain.begin(5)
    now[0] = 4.0
    drain.begin(5)
    drain.require_time()
    now[0] = 5.1
    with pytest.raises(Draining, match="ask again"):
        drain.require_time()
