"""Callers in a closed loop on one asyncio loop: each asks again when its answer is whole.

They read as little of an answer as tells whether it is whole, so that many fit beside a gateway.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CONTENT = re.compile(rb'"(?:content|text)": ?" token"')
_OK = b" 200 "
STREAM_WITHIN_S = 60.0


@dataclass(slots=True)
class Load:
    """What callers saw; a stream counts only if it was whole to the last token."""

    latencies_s: list[float] = field(default_factory=list)
    ttfts_s: list[float] = field(default_factory=list)
    chunks: int = 0
    failed: int = 0
    elapsed_s: float = 0.0
    most_at_once: int = 0
    why: str = ""

    def fail(self, why: str) -> None:
        """Record that an answer did not come, or was not whole."""
        self.failed += 1
        self.why = why


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and what with."""

    port: int
    path: str
    head: str = ""

    def request(self, body: bytes) -> bytes:
        """Return a POST of the body as bytes."""
        lines = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{self.head}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return lines.encode() + body


def plain(target: Target, body: bytes, callers: int, seconds: float) -> Load:
    """Return what callers saw who asked for so many seconds."""
    load = Load()
    until = time.perf_counter() + seconds

    async def call() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        request = target.request(body)
        while time.perf_counter() < until:
            begun = time.perf_counter()
            writer.write(request)
            head, answer = await _answer(reader)
            if _OK in head.partition(b"\r\n")[0]:
                load.latencies_s.append(time.perf_counter() - begun)
            else:
                load.fail(answer[:200].decode(errors="replace"))
        writer.close()

    return _timed(load, lambda: [call() for _ in range(callers)])


def streams(target: Target, body: bytes, callers: int, tokens: int, times: int = 1) -> Load:
    """Return what callers saw who each asked for a stream of so many tokens, so many times."""
    load = Load()
    under_way = 0

    async def call(n: int) -> None:
        nonlocal under_way
        await asyncio.sleep(n / callers)  # not all in one instant, which no product does
        for _ in range(times):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            under_way += 1
            load.most_at_once = max(load.most_at_once, under_way)
            writer.write(target.request(body))
            try:
                await asyncio.wait_for(_follow(reader, load, tokens), STREAM_WITHIN_S)
            except TimeoutError:
                load.fail(f"not whole within {STREAM_WITHIN_S:.0f} s")
            under_way -= 1
            writer.close()

    return _timed(load, lambda: [call(n) for n in range(callers)])


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length:
        return head, await reader.readexactly(int(length[1]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return head, body


async def _follow(reader: asyncio.StreamReader, load: Load, tokens: int) -> None:
    begun = time.perf_counter()
    first_s, seen, tail = 0.0, 0, b""
    head = await reader.readuntil(b"\r\n\r\n")
    if _OK not in head.partition(b"\r\n")[0]:
        load.fail(head.partition(b"\r\n")[0].decode(errors="replace"))
        return
    while b"data: [DONE]" not in tail:
        piece = await reader.read(65_536)
        if not piece:
            load.fail(tail.decode(errors="replace") or "closed without a word")
            return
        # An event may come in two pieces: what is counted is cut off, the rest is kept.
        tail = tail[-400:] + piece
        found = list(_CONTENT.finditer(tail))
        seen += len(found)
        first_s = first_s or (time.perf_counter() - begun if found else 0.0)
        tail = tail[found[-1].end() :] if found else tail
    if seen < tokens:
        load.fail(f"{seen} of {tokens} tokens")
        return
    load.chunks += seen
    load.ttfts_s.append(first_s)
    load.latencies_s.append(time.perf_counter() - begun)


def _timed(load: Load, calls: Callable[[], list[Coroutine[Any, Any, None]]]) -> Load:
    async def run() -> None:
        for ended in await asyncio.gather(*calls(), return_exceptions=True):
            if isinstance(ended, BaseException):
                load.fail(repr(ended))

    begun = time.perf_counter()
    asyncio.run(run())
    load.elapsed_s = time.perf_counter() - begun
    return load
