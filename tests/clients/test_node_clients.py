"""Node clients that know no more than a URL, over a real socket, against the real service."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import ARMS, Gateway
from tests.clients.installing import HERE, node_folder, tools
from tests.clients.provider import CITIES, GREETING, TRIP, USAGE
from tests.clients.test_python_clients import MODELS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node() -> Path:
    return node_folder()


def tried(gateway: Gateway, node: Path, script: str) -> dict[str, Any]:
    # Node looks for libraries beside the script.
    shutil.copy(HERE / script, node)
    return gateway.tried(tools() / "node", script, cwd=node)


def test_openai_for_node_finds_what_it_expects(gateway: Gateway, node: Path) -> None:
    found = tried(gateway, node, "openai.mjs")
    plain = found.pop("plain")
    assert plain["id"] == plain["header"]
    assert plain["text"] == GREETING
    assert found == {
        "streamed": GREETING,
        "tools": {"then": GREETING, "cities": list(CITIES)},
        "parsed": TRIP,
        "listed": MODELS,
        "unknown_model": {"status": 404, "code": "model_not_found"},
        "cut": {"status": None, "code": "upstream_bad_response"},
    }


def test_the_ai_sdk_finds_what_it_expects_through_both_its_providers(
    gateway: Gateway, node: Path
) -> None:
    for found in tried(gateway, node, "ai_sdk.mjs").values():
        assert found.pop("id").startswith("tp-")
        assert found.pop("model").removeprefix("vendor/") in ARMS
        total = USAGE["total_tokens"]
        assert found == {
            "text": GREETING,
            "tokens": total,
            "streamed": GREETING,
            "streamed_tokens": total,
            "cities": list(CITIES),
            "then": GREETING,
            "trip": TRIP,
        }
