"""What a provider says it bills is what is booked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.faulty import Faulty
from tests.app.running import catalogue, running
from tests.upstream.misbehaving import Conversation, chunk, completion, misbehaving

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.125}
END = json.dumps({"model": "a", "choices": [], "usage": USAGE}).encode()


def billing(talk: Conversation) -> None:
    if talk.body.get("stream"):
        talk.events(chunk("hello", model="a"), chunk(finish="stop", model="a"), END, b"[DONE]")
    else:
        talk.reply(completion(usage=USAGE, model="a"))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Faulty]:
    with misbehaving({"a": billing}) as (url, seen):
        arms = catalogue(tmp_path, url, {"a": {}}, {"billed_in": "cost"})
        with running(tmp_path, arms=arms, sandbox="off", budget_usd=5.0) as service:
            yield Faulty(service, seen)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_billed_is_in_the_log_and_in_the_budget(made: Faulty, stream: bool) -> None:
    response = made.service.post("/complete", {"prompt": "hi", "stream": stream})
    assert '"cost_usd":0.125' in response.text.replace(" ", "")
    outcome, [call] = made.decisions[0].outcome, made.attempts()
    assert outcome is not None
    assert (outcome.cost_usd, call.cost_usd) == (0.125, 0.125)
    assert (outcome.input_tokens, outcome.output_tokens) == (3, 2)
    assert made.service.get("/policy")["goal"]["spent_usd"] == 0.125


def test_an_answer_that_is_given_again_is_billed_once(made: Faulty) -> None:
    asked = {"prompt": "hi", "cache": "use"}
    costs = [made.service.post("/complete", asked).json["cost_usd"] for _ in range(2)]
    assert costs == [0.125, 0.0]
