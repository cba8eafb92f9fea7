"""A small load balancer on loopback, for trials of several replicas: one request to one that is up.

A replica that cannot be reached, or refuses because it is ending, is passed over for the next.
So is one that dies before the end of an answer whose length it has told, or before the first byte
of one that comes in pieces: the call it had made may then be paid twice, as if the client itself
had asked again. What has begun to be handed on is asked of nobody else.
"""

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import gevent
from gevent.pywsgi import WSGIServer

from app.processes.children import asked
from upstream.provider import listening

LOOK_EVERY_S = 0.2
CONNECT_WITHIN_S = 2.0
ANSWER_WITHIN_S = 120.0
AGAIN_WITHIN_S = 20.0
PIECE = 65_536
# What belongs to one connection is not handed on (RFC 9110, 7.6.1).
OF_ONE_CONNECTION = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "date", "server"}
)


class ReplicaAnswer(NamedTuple):
    """The head of an answer, and its body where its length was told; else it comes in pieces."""

    head: http.client.HTTPResponse
    body: bytes


class Balancer:
    """Which replicas are up, and whose turn it is."""

    def __init__(self, replicas: Sequence[str]) -> None:
        self._replicas = tuple(replicas)
        self._ready = dict.fromkeys(self._replicas, True)
        self._turn = 0

    def look(self) -> None:
        """Ask every replica again and again whether it takes requests."""
        while True:
            for replica in self._replicas:
                status, _ = asked(replica, "/readyz", CONNECT_WITHIN_S)
                self._ready[replica] = status == HTTPStatus.OK
            gevent.sleep(LOOK_EVERY_S)

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterator[bytes]:
        """Answer one request with what the first replica says that is not about to end."""
        body = environ["wsgi.input"].read()
        answer = self._asked(environ, body)
        if answer is None:
            start_response("502 Bad Gateway", [("content-type", "text/plain")])
            yield b"no replica answers\n"
            return
        head = answer.head
        given = [(k, v) for k, v in head.getheaders() if k.lower() not in OF_ONE_CONNECTION]
        start_response(f"{head.status} {head.reason}", given)
        yield answer.body
        while piece := head.read1(PIECE):
            yield piece

    def _asked(self, environ: Mapping[str, Any], body: bytes) -> ReplicaAnswer | None:
        give_up_at = time.monotonic() + AGAIN_WITHIN_S
        refused = None
        while True:
            for replica in self._in_turn():
                answer = _ask(replica, environ, body)
                if answer is not None and answer.head.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return answer
                refused = answer or refused
                self._ready[replica] = False
            if refused is not None or time.monotonic() > give_up_at:
                return refused
            gevent.sleep(LOOK_EVERY_S)

    def _in_turn(self) -> list[str]:
        """Return the replicas, those that are up first, each at the front in its turn."""
        self._turn += 1
        first = self._turn % len(self._replicas)
        order = self._replicas[first:] + self._replicas[:first]
        return sorted(order, key=lambda replica: not self._ready[replica])


def balance(port: int, replicas: Sequence[str]) -> None:
    """Serve until told to stop.

    raises : ConfigError if the port is taken
    """
    balancer = Balancer(replicas)
    server = WSGIServer(listening(port), balancer, log=None)
    gevent.get_hub().NOT_ERROR += (KeyboardInterrupt,)  # who interrupts us is told nothing
    gevent.spawn(balancer.look)
    server.serve_forever()


def _ask(replica: str, environ: Mapping[str, Any], body: bytes) -> ReplicaAnswer | None:
    """Return the answer of a replica, None if it gives none."""
    path = environ["PATH_INFO"]
    if environ.get("QUERY_STRING"):
        path += f"?{environ['QUERY_STRING']}"
    try:
        connection = http.client.HTTPConnection(replica, timeout=CONNECT_WITHIN_S)
        connection.connect()
        connection.sock.settimeout(ANSWER_WITHIN_S)
        connection.request(environ["REQUEST_METHOD"], path, body, _headers(environ))
        head = connection.getresponse()
        if head.length is None:
            # A head that is cut short says nothing of the body; a whole one always does.
            return ReplicaAnswer(head, b"") if head.chunked else None
        # `read1` would take a body that is cut short for a whole one, and the client wait for more.
        return ReplicaAnswer(head, head.read())
    except (OSError, http.client.HTTPException):
        return None


def _headers(environ: Mapping[str, Any]) -> dict[str, str]:
    given = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    given = {name: value for name, value in given.items() if name not in OF_ONE_CONNECTION}
    if environ.get("CONTENT_TYPE"):
        given["content-type"] = environ["CONTENT_TYPE"]
    return {**given, "connection": "close"}
