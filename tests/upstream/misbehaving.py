"""A provider on raw sockets that misbehaves in the way its model's name says.

Raw, because a framework would hide truncation. It records every request, and every connection that
the client closed before the provider was done with it.
"""

import itertools
import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Scenario = Callable[["Conversation"], None]


@dataclass
class Seen:
    """What the provider saw."""

    heads: list[str] = field(default_factory=list)
    bodies: list[dict] = field(default_factory=list)
    connections: int = 0
    closed_early: threading.Event = field(default_factory=threading.Event)


class Conversation:
    """One request with the socket it came on."""

    def __init__(self, connection: socket.socket, seen: Seen, body: dict) -> None:
        self.connection = connection
        self.seen = seen
        self.body = body

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def head(self, status: str = "200 OK", kind: str = "application/json", *lines: str) -> None:
        head = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", "Connection: close", *lines]
        self.send("\r\n".join([*head, "", ""]).encode())

    def reply(self, body: bytes, status: str = "200 OK", kind: str = "application/json") -> None:
        self.head(status, kind, f"Content-Length: {len(body)}")
        self.send(body)

    def events(self, *payloads: bytes) -> None:
        self.head("200 OK", "text/event-stream")
        self.send(b"".join(b"data: " + each + b"\n\n" for each in payloads))

    def until_client_leaves(self, every_s: float = 0.02, data: bytes = b"") -> None:
        """Send `data` again and again until the client closes, and record that it did."""
        self._send_while_listening(itertools.repeat(data), every_s)

    def drip(self, data: bytes) -> None:
        """Send one byte now and then, and record when the client has had enough."""
        self._send_while_listening((bytes([byte]) for byte in data), every_s=0.02)

    def flood(self, pieces: Iterable[bytes]) -> None:
        """Send as much as the client takes, and record when it has had enough."""
        self._send_while_listening(pieces, every_s=0.0)

    def _send_while_listening(self, pieces: Iterable[bytes], every_s: float) -> None:
        with suppress(ConnectionError):
            for piece in pieces:
                if select.select([self.connection], [], [], every_s)[0]:
                    break
                self.send(piece)
        self.seen.closed_early.set()

    def reset(self) -> None:
        """Break the connection with an RST."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


@contextmanager
def misbehaving(scenarios: dict[str, Scenario]) -> Iterator[tuple[str, Seen]]:
    """Yield the base URL of a provider that plays the scenario the model names, and what it saw."""
    seen = Seen()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):  # raised when the listener is shut down
            while True:
                connection, _ = listener.accept()
                seen.connections += 1
                thread = threading.Thread(
                    target=_talk, args=(connection, scenarios, seen), daemon=True
                )
                thread.start()
                threads.append(thread)

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        listener.close()
        for thread in threads:
            thread.join(timeout=5)


def _talk(connection: socket.socket, scenarios: dict[str, Scenario], seen: Seen) -> None:
    connection.settimeout(5)
    with connection, suppress(ConnectionError, TimeoutError):
        request = b""
        while b"\r\n\r\n" not in request:
            request += _more(connection)
        head, _, rest = request.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        while len(rest) < length:
            rest += _more(connection)
        body = json.loads(rest)
        seen.heads.append(head.decode())
        seen.bodies.append(body)
        scenarios[body["model"]](Conversation(connection, seen, body))


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the client hung up in the middle of its request")
    return data


def chunk(text: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """Return one frame of a stream."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta | more.pop("delta", {}), "finish_reason": finish}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


def usage_frame(prompt_tokens: object = 3, completion_tokens: object = 2) -> bytes:
    """Return the frame that counts the tokens."""
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return json.dumps({"model": "m", "choices": [], "usage": usage}).encode()


def completion(message: object = None, **more: object) -> bytes:
    """Return a whole answer."""
    message = {"role": "assistant", "content": "hello"} if message is None else message
    choice = {"index": 0, "message": message, "finish_reason": more.pop("finish", "stop")}
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage, **more}).encode()
