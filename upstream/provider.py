"""A small OpenAI-compatible provider on the standard library; a callable decides what it answers.

The sandbox and the bench are this server with another responder, so whatever is measured or shown
went through real sockets and the real client.
"""

import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from policy.errors import ConfigError, InvalidInput, PayloadTooLarge
from upstream.replies import Reply, completion, frames

MAX_BODY_BYTES = 16 * 1024 * 1024
WAITING = 1024
"""Connections that may wait for one to be taken."""
_LENGTH_DIGITS = 12
_STATUS = {
    "not_found": HTTPStatus.NOT_FOUND,
    "model_not_found": HTTPStatus.NOT_FOUND,
    PayloadTooLarge.code: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


Responder = Callable[[str, dict[str, Any]], Reply]


class Serving:
    """A provider that is serving on its own threads until it is closed."""

    def __init__(self, server: "_Server") -> None:
        self._server = server
        host, port = server.server_address[:2]
        self.url = f"http://{host!s}:{port}/v1"
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when somebody closes it."""
        self._thread.join()

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def listening(port: int = 0) -> socket.socket:
    """Return a listener on a port of loopback; who calls waits until somebody serves on it.

    raises : ConfigError when the port is taken
    """
    try:
        return socket.create_server(("127.0.0.1", port), backlog=WAITING)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise ConfigError(
            f"port {port} of 127.0.0.1 cannot be used: {why}; free it, or choose another"
        ) from error


def serve(
    responder: Responder,
    models: Callable[[], Iterable[str]],
    label: str = "replay",
    listener: socket.socket | None = None,
) -> Serving:
    """Return a running provider of what `models` names when asked, on a listener or any free port.

    Every answer says that no model made it, in the header `x-<label>: true` and as its
    `system_fingerprint`.
    `responder(model, body)` raises InvalidInput for what it cannot answer.
    """
    listener = listener or listening()
    return Serving(_Server(listener, responder, models, label))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        responder: Responder,
        models: Callable[[], Iterable[str]],
        label: str,
    ) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.responder = responder
        self._models = models
        self.label = label
        self.numbers = itertools.count(1)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models there are now, each once."""
        return tuple(dict.fromkeys(self._models()))

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, so that their threads end too."""
        with self._open_lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that leaves in the middle of an answer is its own affair.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._send({"status": "ok"})
        elif self.path == "/v1/models":
            listed = [{"id": name, "object": "model", "created": 0} for name in self.server.models]
            self._send({"object": "list", "data": listed})
        else:
            self._refuse(_no_such_path(self.path))

    def do_POST(self) -> None:
        try:
            raw = self._read()
            if self.path != "/v1/chat/completions":
                raise _no_such_path(self.path)
            body = _parsed(raw, self.server.models)
            reply = self.server.responder(body["model"], body)
        except InvalidInput as error:
            self._refuse(error)
            return
        time.sleep(reply.latency_s)
        self._answer(body, reply)

    def _read(self) -> bytes:
        said = self.headers.get("Content-Length", "0")
        if said.isdecimal() and len(said) <= _LENGTH_DIGITS and int(said) <= MAX_BODY_BYTES:
            return self.rfile.read(int(said))
        self.close_connection = True  # where the next request would begin cannot be known
        message = f"Content-Length is {said[:20]!r}; it must be 0 to {MAX_BODY_BYTES}"
        raise PayloadTooLarge(message) if said.isdecimal() else InvalidInput(message)

    def _answer(self, body: Mapping[str, Any], reply: Reply) -> None:
        head = {
            "id": f"chatcmpl-{self.server.label}-{next(self.server.numbers)}",
            "created": int(time.time()),
            "model": body["model"],
            "system_fingerprint": self.server.label,
        }
        if not body.get("stream"):
            self._send(completion(head, reply))
            return
        options = body.get("stream_options")
        with_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self._head(HTTPStatus.OK, {"Content-Type": "text/event-stream"})
        for frame in frames(head, reply, with_usage=with_usage):
            event = b"data: " + frame + b"\n\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, refusal: InvalidInput) -> None:
        error = {
            "message": refusal.message,
            "type": "invalid_request_error",
            "param": refusal.param,
            "code": refusal.code,
        }
        self._send({"error": error}, _STATUS.get(refusal.code, HTTPStatus.BAD_REQUEST))

    def _send(self, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        raw = json.dumps(body).encode()
        self._head(status, {"Content-Type": "application/json", "Content-Length": str(len(raw))})
        self.wfile.write(raw)

    def _head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header(f"x-{self.server.label}", "true")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Record nothing: the router's log is the record."""


def _no_such_path(path: str) -> InvalidInput:
    return InvalidInput(f"no such path: {path[:100]}", code="not_found")


def _parsed(raw: bytes, models: tuple[str, ...]) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the body is not JSON", code="invalid_json") from error
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise InvalidInput("the body must be an object with a list of messages")
    if body.get("model") not in models:
        raise InvalidInput(
            f"no model {body.get('model')!r}; there are: {', '.join(models)}",
            code="model_not_found",
        )
    return body
