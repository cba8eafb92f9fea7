"""What was acknowledged had been flushed before: read off the system calls of the real service."""

import http.client
import json
from pathlib import Path

import pytest

from tests.app.processes.test_serve import served
from tests.app.traced import Call, calls, can_trace, traced

pytestmark = pytest.mark.slow

ROUNDS = 5
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
WAYS = {
    "plain": ("/complete", {"prompt": "What is 2 + 2?"}),
    "streamed": ("/complete", {"prompt": "What is 2 + 2?", "stream": True}),
    "OpenAI": ("/v1/chat/completions", CHAT),
    "OpenAI stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
}
THUMB = "thumb"


def asked(port: int, path: str, body: dict) -> tuple[int, bytes]:
    """Return the port a request came from, and what was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.connect()
        own = connection.sock.getsockname()[1]
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        return own, response.read()
    finally:
        connection.close()


def flushed_before(found: list[Call], after: int, before: int) -> bool:
    """Return whether what the log was given between two moments had all been flushed in between."""
    written = [
        call
        for call in found
        if call.name == "pwrite64" and call.is_of_the_log and after < call.entered < before
    ]
    flushed = [
        call
        for call in found
        if call.name == "fdatasync" and call.is_of_the_log and call.returned < before
    ]
    return bool(written) and any(
        flush.entered > max(write.returned for write in written) for flush in flushed
    )


def test_the_log_is_flushed_before_the_first_byte_of_a_stream_and_the_last_of_any_answer(
    tmp_path: Path,
) -> None:
    if not can_trace():
        return
    trace, told = tmp_path / "trace.txt", dict[int, str]()
    with served(tmp_path) as service:
        worker = max(pid for pid, command in service.pids().items() if "gunicorn" in command)
        with traced(worker, trace):
            for _ in range(ROUNDS):
                for way, (path, body) in WAYS.items():
                    own, answer = asked(service.port, path, body)
                    told[own] = way
                identity = json.loads(answer.split(b"\n\n")[0].removeprefix(b"data: "))["id"]
                own, _ = asked(service.port, "/feedback", {"id": identity, "thumbs": "up"})
                told[own] = THUMB
    found = calls(trace)
    assert len(told) == ROUNDS * (len(WAYS) + 1)
    for port, way in told.items():
        heard = [call for call in found if call.name == "recvfrom" and call.port == port]
        said = [call for call in found if call.name == "sendto" and call.port == port]
        assert heard, way
        assert said, way
        assert flushed_before(found, heard[0].entered, said[-1].entered), way
        if "stream" in way:
            # The last words come after the outcome is flushed, the first after the decision is.
            assert len(said) > 1
            assert flushed_before(found, heard[0].entered, said[0].entered), way
            assert flushed_before(found, said[0].entered, said[-1].entered), way


def test_an_order_that_acknowledges_too_early_is_seen(tmp_path: Path) -> None:
    log, client = "9</x/turnpike.db-wal>", "7<TCP:[127.0.0.1:80->127.0.0.1:4711]>"
    good = [
        f'1 recvfrom({client}, "POST", 8192, 0, NULL, NULL) = 4',
        f'2 pwrite64({log}, "row"..., 4096, 0) = 4096',
        f"2 fdatasync({log} <unfinished ...>",
        "2 <... fdatasync resumed>)        = 0",
        f'1 sendto({client}, "HTTP/1.1 200 OK"..., 300, 0, NULL, 0) = 300',
    ]
    for order, holds in (
        ([0, 1, 2, 3, 4], True),
        ([0, 1, 2, 4, 3], False),
        ([0, 2, 3, 1, 4], False),
        ([0, 1, 4, 2, 3], False),
        ([0, 4], False),
    ):
        trace = tmp_path / "trace.txt"
        trace.write_text("\n".join(good[n] for n in order))
        found = calls(trace)
        heard, said = (
            next(call for call in found if call.name == name) for name in ("recvfrom", "sendto")
        )
        assert (heard.port, said.port) == (4711, 4711)
        assert flushed_before(found, heard.entered, said.entered) == holds, order
