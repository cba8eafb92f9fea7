"""A provider that answers with another model: booked at its price, told once an hour, shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.monitoring.drift import TOLD_EVERY_S, Drifts
from app.routing.turn import Ended, NoCall, Turn
from policy.types import Arm, Usage
from tests.app.faulty import Faulty
from tests.app.running import catalogue, running
from tests.upstream.misbehaving import (
    Conversation,
    Scenario,
    chunk,
    completion,
    misbehaving,
    usage_frame,
)

CHEAP = {"model": "vendor/small", "input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}
DEAR = {"model": "vendor/large", "input_usd_per_mtok": 100.0, "output_usd_per_mtok": 200.0}
TOKENS = (3, 2)


def answering_as(model: str) -> Scenario:
    def answer(talk: Conversation) -> None:
        if talk.body.get("stream"):
            pieces = (chunk("hello"), chunk(finish="stop"), usage_frame(*TOKENS))
            told = [piece.replace(b'"m"', f'"{model}"'.encode()) for piece in pieces]
            talk.events(*told, b"[DONE]")
        else:
            talk.reply(completion().replace(b'"m"', f'"{model}"'.encode()))

    return answer


def spent(made: Faulty, **more: Any) -> float:
    """Return what the outcome of an answer by the cheap arm has cost."""
    body = {"prompt": "hi", "models": ["cheap"], **more}
    assert made.service.post("/complete", body).text
    outcome = made.decisions[-1].outcome
    assert outcome is not None
    [attempt] = made.service.parts.log.attempts(outcome.decision_id)
    assert attempt.cost_usd == outcome.cost_usd
    assert outcome.arm == "cheap"
    return outcome.cost_usd


@contextmanager
def playing(folder: Path, model: str, **more: Any) -> Iterator[Faulty]:
    """Yield a service whose provider answers as this model, whatever is asked for."""
    with misbehaving({"vendor/small": answering_as(model)}) as (url, seen):
        path = catalogue(folder, url, {"cheap": {**CHEAP, **more}, "dear": DEAR})
        with running(folder, arms=path, sandbox="off") as service:
            yield Faulty(service, seen)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("vendor/small", 5e-6),
        ("small-2025-01-01", 5e-6),
        ("large-2025-01-01", 700e-6),
        ("vendor/unheard-of", 5e-6),
    ],
)
def test_the_price_of_the_model_that_answered_is_booked(
    tmp_path: Path, model: str, dollars: float, stream: bool
) -> None:
    with playing(tmp_path, model) as made:
        assert spent(made, stream=stream) == pytest.approx(dollars)


def test_the_policy_shows_who_answers_as_another(tmp_path: Path) -> None:
    with playing(tmp_path, "vendor/large") as made:
        for _ in range(3):
            spent(made, cache="off")
        told = {arm["arm"]: arm["answers_as"] for arm in made.service.get("/policy")["arms"]}
        assert told["dear"] is None
        shown = {name: told["cheap"][name] for name in ("model", "billed_as", "answers")}
        assert shown == {"model": "vendor/large", "billed_as": "dear", "answers": 3}


def test_where_the_provider_says_what_it_bills_no_arms_price_is_told(tmp_path: Path) -> None:
    def answer(talk: Conversation) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.125}
        talk.reply(completion(usage=usage, model="vendor/large"))

    with misbehaving({"vendor/small": answer}) as (url, seen):
        arms = {"cheap": CHEAP, "dear": DEAR}
        path = catalogue(tmp_path, url, arms, {"billed_in": "cost"})
        with running(tmp_path, arms=path, sandbox="off") as service, capture_logs() as logs:
            assert spent(Faulty(service, seen)) == 0.125
            assert service.get("/policy")["arms"][0]["answers_as"]["billed_as"] is None
            assert "came from vendor/large, booked as it is billed" in service.client.get("/").text
    assert [each["price"] for each in logs if "price" in each] == ["as it is billed"]


def test_a_name_in_the_catalogue_is_no_drift(tmp_path: Path) -> None:
    with playing(tmp_path, "vendor/large", answers_as=["vendor/large"]) as made:
        assert spent(made) == pytest.approx(5e-6)
        assert {arm["answers_as"] for arm in made.service.get("/policy")["arms"]} == {None}


def test_the_services_lines_tell_of_an_arm_once_an_hour() -> None:
    now_s = [0.0]
    drifts = Drifts(lambda: now_s[0])
    arms = {
        name: Arm(name, "p", f"v/{name}", 1.0, 1.0, 8_000) for name in ("small", "large", "other")
    }
    ended = Ended("ok", Usage(*TOKENS), model="v/large")
    with capture_logs() as logs:
        for now_s[0] in (0.0, 1.0, TOLD_EVERY_S - 1, TOLD_EVERY_S, TOLD_EVERY_S + 1):
            for name in ("small", "other", "large"):
                turn: Any = Turn(None, arms[name], None, NoCall(), 0.0, known=arms)  # type: ignore[arg-type]
                drifts.follow(turn, ended)
    assert [line["arm"] for line in logs] == ["small", "other"] * 2
    assert {(line["log_level"], line["answered"]) for line in logs} == {("warning", "v/large")}
    assert logs[0]["price"] == "that of large"
