"""Python clients that know no more than a URL, over a real socket, against the real service."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ARMS, KEY, Gateway
from tests.clients.installing import HERE, tools
from tests.clients.provider import CITIES, GREETING, TRIP, USAGE

pytestmark = pytest.mark.slow

MODELS = ["auto", "auto:cheap", "auto:best", *ARMS]


@pytest.fixture(scope="session")
def python() -> Path:
    return tools() / "python"


@pytest.fixture(scope="module")
def found(gateway: Gateway, python: Path) -> dict[str, Any]:
    return gateway.tried(python, HERE / "trying_openai.py")


@pytest.fixture(scope="module")
def langchain(gateway: Gateway, python: Path) -> dict[str, Any]:
    return gateway.tried(python, HERE / "trying_langchain.py")


def test_openai_gets_an_answer_and_the_decision_behind_it(
    gateway: Gateway, found: dict[str, Any]
) -> None:
    plain = found["plain"]
    with gateway.log() as log:
        row = log.decision(plain["id"])
    assert plain["text"] == GREETING
    assert plain["usage"] == USAGE
    assert (plain["model"], plain["fingerprint"]) == (f"vendor/{row.decision.arm}", "fp_1")
    assert plain["headers"]["x-turnpike-decision-id"] == plain["id"]
    assert plain["headers"]["x-turnpike-arm"] == row.decision.arm
    assert row.decision.task == "greeting"
    assert row.outcome is not None
    assert row.outcome.cached_tokens == 4
    sent = next(body for body in gateway.seen.bodies if "vendor_field" in body)
    assert sent.keys() == {"model", "messages", "vendor_field"}


def test_openai_pins_by_a_providers_name(found: dict[str, Any]) -> None:
    assert found["pinned"] == "vendor/second"


def test_openai_streams(found: dict[str, Any]) -> None:
    streamed = found["streamed"]
    assert (streamed["text"], streamed["finish"], streamed["tokens"]) == (GREETING, "stop", [])
    assert len(streamed["ids"]) == 1
    assert found["streamed_with_usage"]["tokens"] == [USAGE["total_tokens"]]


def test_openai_calls_tools_in_parallel_and_goes_on(found: dict[str, Any]) -> None:
    expected = {"cities": list(CITIES), "finish": "tool_calls", "then": GREETING}
    assert found["tools"] == expected
    assert found["tools_streamed"] == list(CITIES)


def test_openai_parses_json_by_a_schema(found: dict[str, Any]) -> None:
    assert found["parsed"] == TRIP


def test_openai_gets_choices_with_probabilities_and_shows_pictures(found: dict[str, Any]) -> None:
    assert found["choices"] == {"texts": [GREETING, GREETING], "logprob": -0.5}
    assert found["picture"] == GREETING


def test_openai_works_asynchronously(found: dict[str, Any]) -> None:
    assert found["async"] == {"whole": [GREETING], "streamed": GREETING}


def test_openai_lists_models(found: dict[str, Any]) -> None:
    assert found["listed"] == [MODELS, "p"]


def test_openai_gets_embeddings_and_responses(found: dict[str, Any]) -> None:
    assert found["passed"] == {"vector": [1.0, 2.0], "text": GREETING}


@pytest.mark.parametrize(
    ("case", "kind", "code"),
    [
        ("unknown_model", "NotFoundError", "model_not_found"),
        ("refused", "BadRequestError", "invalid_value"),
        ("busy", "RateLimitError", "rate_limited"),
        ("mistaken", "BadRequestError", "invalid_value"),
        ("cut", "APIError", "upstream_bad_response"),
        ("bad_key", "AuthenticationError", "invalid_api_key"),
    ],
)
def test_openai_raises_what_it_raises_for_openai(
    found: dict[str, Any], case: str, kind: str, code: str
) -> None:
    assert (found[case]["kind"], found[case]["code"]) == (kind, code)


def test_openai_does_not_try_again_what_was_tried_on_every_arm(
    gateway: Gateway, found: dict[str, Any]
) -> None:
    assert found["busy"]["kind"] == "RateLimitError"
    sent = [body["model"] for body in gateway.seen.bodies if "be busy" in str(body)]
    assert sorted(sent) == ["vendor/fourth", "vendor/third"]


def test_langchain_answers_streams_calls_and_parses(langchain: dict[str, Any]) -> None:
    assert langchain.pop("id").startswith("tp-")
    assert langchain.pop("model").removeprefix("vendor/") in ARMS
    total = USAGE["total_tokens"]
    assert langchain == {
        "text": GREETING,
        "tokens": total,
        "streamed": GREETING,
        "streamed_tokens": [total],
        "cities": list(CITIES),
        "then": GREETING,
        "trip": TRIP,
        "async": GREETING,
    }


def test_llm_answers_and_streams_and_fills_a_schema(
    gateway: Gateway, python: Path, tmp_path: Path
) -> None:
    url = gateway.environ["OPENAI_BASE_URL"]
    model = {
        "model_id": "turnpike",
        "model_name": "auto",
        "api_base": url,
        "api_key_name": "turnpike",
    }
    able = {"can_stream": True, "supports_schema": True, "supports_tools": True}
    # JSON is YAML too.
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model | able]))
    environ = os.environ | {"LLM_USER_PATH": str(tmp_path)}

    def llm(*arguments: str) -> str:
        command = [python.with_name("llm"), "-m", "turnpike", "--key", KEY, "--no-log", *arguments]
        ended = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    assert llm("hello") == GREETING
    assert llm("--no-stream", "hello") == GREETING
    assert json.loads(llm("--schema", "city, days int", "hello")) == TRIP
