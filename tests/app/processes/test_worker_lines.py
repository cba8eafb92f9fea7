"""The lines of the server itself: JSON as all others."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.app.processes.test_serve import served
from tests.app.running import eventually

FOLDED = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n c\r\n\r\n"


def test_what_the_server_itself_has_to_say_is_json_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path) as service:
        service.raw(FOLDED)
        worker = max(pid for pid, name in service.pids().items() if "gunicorn" in name)
        os.kill(worker, signal.SIGKILL)
        assert eventually(lambda: service.raw(FOLDED) != b"", within_s=15)
        service.process.terminate()
        assert service.ended() == 0
    told = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert "a request was refused with 400: ObsoleteFolding" in told
    assert any("was sent SIGKILL" in event for event in told)
