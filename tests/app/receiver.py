"""A real receiver of POSTs for tests, and a webhook that answers what a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came, and the statuses to answer with, one after the other; then 200. 0 hangs up."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    tries: int = 0
    taken: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def listening(take: Callable[[str, bytes], int]) -> Iterator[str]:
    """Yield the address of a server that answers a path and a body with a status; 0 hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = take(self.path, self.rfile.read(int(self.headers["content-length"])))
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    """Yield a webhook on a free port."""
    receiver = Receiver(statuses=list(statuses))

    def take(_path: str, body: bytes) -> int:
        receiver.tries += 1
        status = receiver.statuses.pop(0) if receiver.statuses else 200
        if 0 < status < 300:
            receiver.taken.append(json.loads(body))
        return status

    with listening(take) as address:
        receiver.url = f"{address}/hook?token=s3cret"
        yield receiver
