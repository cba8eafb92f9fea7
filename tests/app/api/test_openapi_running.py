"""What the OpenAPI document says holds for the real service, whatever is sent to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.processes.test_serve import KEY, Served, served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
SEED = 1
EXAMPLES = os.environ.get("TEST_API_EXAMPLES", "8")
"""Generated for each operation; more of them find more, and take longer."""
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with served(folder, TURNPIKE_API_KEY=KEY, TURNPIKE_LOG_LEVEL="error") as made:
        yield made


@pytest.mark.parametrize(
    "line",
    [
        "GET http://127.0.0.1/policy HTTP/1.1",
        "GET http://elsewhere/healthz/../policy HTTP/1.1",
        "GET //policy HTTP/1.1",
        "GET /policy/ HTTP/1.1",
        "GET /%70olicy HTTP/1.1",
        "GET /healthz%2f..%2fpolicy HTTP/1.1",
        "GET /policy;x=/healthz HTTP/1.1",
        "GET policy HTTP/1.1",
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "x/healthz?", "healthz"])
def test_b5_no_way_of_writing_a_path_or_a_host_leads_past_the_key(
    service: Served, line: str, host: str
) -> None:
    asked = f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    told = service.raw(asked.encode())
    assert told.split(b" ")[1] in {b"400", b"401", b"404", b"308"}, told
    assert b"willingness_to_pay_usd" not in told


def test_nothing_that_is_sent_brings_a_5xx_or_an_answer_that_is_not_described(
    tmp_path: Path, service: Served
) -> None:
    command = [
        SCHEMATHESIS, "run", f"http://127.0.0.1:{service.port}/openapi.json",
        "--header", f"Authorization: Bearer {KEY}",
        "--checks", ",".join(CHECKS), "--phases", "fuzzing,stateful",
        "--max-examples", EXAMPLES, "--seed", str(SEED), "--workers", "2",
        "--suppress-health-check", "all", "--generation-database", "none",
        "--request-timeout", "60", "--continue-on-failure", "--no-color",
    ]  # fmt: skip
    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900
    )
    status, health = service.request("GET", "/healthz")
    assert ended.returncode == 0, ended.stdout[-8_000:] + ended.stderr
    assert "Stateful" in ended.stdout
    assert (status, health["status"]) == (200, "ok")
