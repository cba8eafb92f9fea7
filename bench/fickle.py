"""A provider whose models can be broken and mended while it runs, one by one."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mood = Literal["well", "broken", "busy", "gone", "silent", "flapping"]

SILENT_S = 30.0
_ANSWER = {
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2},
}


@dataclass
class Fickle:
    """Sets the mood of each model, and has counted what each was asked.

    units  : `answered_s` is when a model last began to answer well after a mood was set
    """

    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    answered_s: dict[str, float] = field(default_factory=dict)
    moods: Mapping[str, Mood] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    def become(self, moods: Mapping[str, Mood]) -> None:
        """Set the mood of these models; all others are well."""
        with self.lock:
            self.moods, self.calls, self.answered_s = dict(moods), Counter(), {}

    def mood(self, model: str) -> Mood:
        """Return how a call to a model goes, which counts it."""
        with self.lock:
            mood = self.moods.get(model, "well")
            if mood == "flapping":
                mood = self.rng.choice(("well", "broken"))
            self.calls[model] += 1
            if mood == "well":
                self.answered_s.setdefault(model, time.monotonic())
            return mood


@contextmanager
def fickle() -> Iterator[Fickle]:
    """Yield a running provider."""
    made = Fickle()
    over = threading.Event()

    class Handler(_Handler):
        provider, ending = made, over

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield made
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    provider: Fickle
    ending: threading.Event
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mood = self.provider.mood(body["model"])
        if mood == "gone":
            self.close_connection = True
        elif mood == "silent":
            self.ending.wait(SILENT_S)
            self.close_connection = True
        elif mood == "busy":
            self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": "3"})
        elif mood == "broken":
            self._send(500, {"error": {"message": "out of memory"}})
        else:
            self._send(200, {**_ANSWER, "model": body["model"]})

    def _send(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Record nothing: the provider counts."""
