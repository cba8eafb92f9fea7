"""The lines of the server itself: JSON as all others."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.app.processes.test_serve import served
from tests.app.running import eventually

KEPT = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Request-Id: mine-1\r\n\r\n"
FOLDED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n c\r\n\r\n"


def test_what_the_server_itself_has_to_say_is_json_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path) as service:
        [identity] = re.findall(
            rb"\r\nx-request-id: (req-[0-9a-f]{32})\r\n", service.raw(KEPT + FOLDED)
        )

        def newest() -> int:
            return max(pid for pid, name in service.pids().items() if "gunicorn" in name)

        worker = newest()
        os.kill(worker, signal.SIGKILL)
        assert eventually(lambda: newest() > worker, within_s=15)  # it has been told of by then
        service.process.terminate()
        service.ended()
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert any("was sent SIGKILL" in line["event"] for line in told)
    [refused] = [line for line in told if "refused" in line["event"]]
    assert refused["event"] == "a request was refused with 400: ObsoleteFolding"
    assert (refused["request_id"], "path" in refused) == (identity.decode(), False)
