"""A provider that costs next to nothing, so that what is measured is the gateway before it.

It speaks the OpenAI API on one asyncio loop and answers every plain request with the same bytes.
A streamed request gets its first chunk at once and then one chunk at every beat of its own; the
prompt says how many, as in "stream 200 tokens".
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator

TOKENS_PER_S = 20
BEATS = 20  # streams are spread over so many moments of each period
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_TOKENS = re.compile(rb"stream (\d+) tokens")
_STREAMED = re.compile(rb'"stream": ?true')
_WITH_USAGE = re.compile(rb'"include_usage": ?true')
_USAGE = {"prompt_tokens": 60, "completion_tokens": 64, "total_tokens": 124}
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "static", "system_fingerprint": "fp"}
TEXT = "Ninety words or so of an answer, as a support desk would give it. " * 5


def _plain() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    whole = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    body = json.dumps(whole).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _frame([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


def _frame(choices: list[dict[str, object]], **more: object) -> bytes:
    body = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, **more}
    return _piece(b"data: " + json.dumps(body).encode() + b"\n\n")


def _piece(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


PLAIN = _plain()
OPENING = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _chunk({"role": "assistant", "content": ""})
)
TOKEN = _chunk({"content": " token"})
FINISH, USAGE = _chunk({}, "stop"), _frame([], usage=_USAGE)
CLOSING = _piece(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Beats:
    """When each stream sends its next chunk: one loop for all of them."""

    def __init__(self) -> None:
        self._phases: list[list[Iterator[None]]] = [[] for _ in range(BEATS)]
        self._phase = 0

    def join(self, stream: Iterator[None]) -> None:
        """Add a stream, whose next chunk comes one period from now."""
        self._phases[self._phase].append(stream)

    async def run(self) -> None:
        """Advance every stream once in each period, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / (TOKENS_PER_S * BEATS)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._phase = (self._phase + 1) % BEATS
            streams = self._phases[self._phase]
            self._phases[self._phase] = []
            self._phases[self._phase] += [each for each in streams if next(each, self) is None]


class Answerer(asyncio.Protocol):
    """One connection, which may be kept and used again."""

    def __init__(self, beats: Beats) -> None:
        self._beats = beats
        self._received = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write to."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._received = rest[length:]
            self._answer(rest[:length])

    def _answer(self, body: bytes) -> None:
        if not _STREAMED.search(body):
            self._transport.write(PLAIN)
            return
        asked = _TOKENS.search(body)
        tokens = int(asked[1]) if asked else 1
        stream = self._stream(tokens, USAGE if _WITH_USAGE.search(body) else b"")
        next(stream)
        self._beats.join(stream)

    def _stream(self, tokens: int, usage: bytes) -> Iterator[None]:
        self._transport.write(OPENING + TOKEN)
        for _ in range(tokens - 1):
            yield
            if self._transport.is_closing():
                return
            self._transport.write(TOKEN)
        yield
        self._transport.write(FINISH + usage + CLOSING)


async def answer(port: int) -> None:
    """Answer on a port of loopback until killed."""
    beats = Beats()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Answerer(beats), "127.0.0.1", port, backlog=2048)
    await beats.run()


if __name__ == "__main__":
    asyncio.run(answer(int(sys.argv[1])))
