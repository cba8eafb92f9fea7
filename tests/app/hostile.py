"""What providers do to plain answers, row by row of the matrix of faults, on raw sockets."""

import itertools
import json
from collections.abc import Mapping

from tests.app.faulty import broken, busy, empty, hanging_up, late, page, silent, unauthorised
from tests.upstream.misbehaving import Conversation, Scenario, completion

KEY = "sk-abcdef123456"
METADATA = "http://169.254.169.254/latest/meta-data/"
TOO_MUCH = 20 * 1024 * 1024


def status(code: int, *lines: str, body: bytes = b'{"error": {"message": "not now"}}') -> Scenario:
    """Return a scenario that answers with an HTTP status."""

    def answer(talk: Conversation) -> None:
        talk.head(f"{code} Whatever", "application/json", *lines, f"Content-Length: {len(body)}")
        talk.send(body)

    return answer


def saying(body: bytes, kind: str = "application/json") -> Scenario:
    """Return a scenario that answers 200 with a body."""
    return lambda talk: talk.reply(body, kind=kind)


def waiting(retry_after: str) -> Scenario:
    return status(429, f"Retry-After: {retry_after}")


def choosing(*choices: object) -> bytes:
    return json.dumps({"model": "m", "choices": list(choices)}).encode()


def message(content: object, finish: str | None = "stop") -> dict[str, object]:
    return {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": finish,
    }


def dripping(talk: Conversation) -> None:
    talk.head()
    talk.drip(completion())


late(dripping, connect_s=1.0, first_content_s=1.0, total_s=1.0)


def dripping_head(talk: Conversation) -> None:
    talk.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 500)


late(dripping_head, first_content_s=0.3)


def endless_body(talk: Conversation) -> None:
    talk.head("200 OK", "application/json", f"Content-Length: {2 * 1024**3}")
    talk.flood(itertools.repeat(b" " * 1024 * 1024))


def endless_line(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream")
    talk.flood(itertools.chain([b"data: "], itertools.repeat(b"x" * 1024 * 1024)))


def cut_short(talk: Conversation) -> None:
    body = completion()
    talk.head("200 OK", "application/json", f"Content-Length: {len(body)}")
    talk.send(body[:-10])


def cut_chunked(talk: Conversation) -> None:
    talk.head("200 OK", "application/json", "Transfer-Encoding: chunked")
    talk.send(b"10\r\n" + completion()[:16] + b"\r\n")


def moved(talk: Conversation) -> None:
    talk.head("307 Temporary Redirect", "text/plain", f"Location: {METADATA}", "Content-Length: 0")


def compressed(talk: Conversation) -> None:
    talk.head("200 OK", "application/json", "Content-Encoding: gzip", "Content-Length: 4")
    talk.send(b"\x1f\x8b\x08\x00")


def no_http(talk: Conversation) -> None:
    talk.send(b"SSH-2.0-OpenSSH_9.2\r\n")


ERROR = b'{"error": {"message": "out of memory", "code": 500}}'
# How providers end an answer that broke off: OpenRouter, GLM, DeepSeek.
BROKEN_OFF = ("error", "network_error", "insufficient_system_resource")
NESTED = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

# Each with the status its attempt gets in the log; a second arm answers all of them.
FAILOVER: Mapping[str, tuple[Scenario, str]] = {
    "C1 reset": (hanging_up, "error"),
    "C1 no HTTP": (no_http, "error"),
    "C2 no headers": (silent, "timeout"),
    "C3 dripping head": (dripping_head, "timeout"),
    "C3 dripping body": (dripping, "timeout"),
    **{f"C4 {code}": (status(code), "error") for code in (500, 502, 503, 504, 529)},
    "C4 408": (status(408), "timeout"),
    "C4 page": (status(502, body=b"<html>Bad gateway</html>"), "error"),
    **{
        f"C5 {value}": (waiting(value), "busy")
        for value in ("3", "120", "Wed, 21 Oct", "-1", "nan", "1e9", "soon", "")
    },
    "C5 none": (status(429), "busy"),
    "C5 in a 200": (saying(b'{"error": {"message": "slow down", "code": 429}}'), "busy"),
    "C9 401": (unauthorised, "unauthorised"),
    "C9 403": (status(403), "unauthorised"),
    "C9 402": (status(402), "error"),
    "C9 404": (status(404), "error"),
    "C10 page": (page, "invalid"),
    "C10 error": (saying(ERROR), "invalid"),
    "C10 error object": (saying(b'{"object": "error", "message": "no"}'), "invalid"),
    "C10 nothing": (empty, "invalid"),
    "C10 no JSON": (saying(b'{"choices": ['), "invalid"),
    "C10 NaN": (saying(completion(score=float("nan"))), "invalid"),
    "C10 nested": (saying(NESTED), "invalid"),
    "C10 no UTF-8": (saying(b"\xff\xfe{}"), "invalid"),
    "C10 a list": (saying(b"[]"), "invalid"),
    "C10 204": (lambda talk: talk.head("204 No Content"), "invalid"),
    "C11 no choices": (saying(choosing()), "invalid"),
    "C11 null choices": (saying(b'{"choices": null}'), "invalid"),
    "C11 null content": (saying(choosing(message(None))), "invalid"),
    "C11 blank": (saying(choosing(message(" \n\t "))), "invalid"),
    "C11 no finish": (saying(choosing(message("hello", None))), "invalid"),
    **{f"C11 {end}": (saying(choosing(message("hel", end))), "invalid") for end in BROKEN_OFF},
    "C11 error of a choice": (
        saying(choosing({**message("hel"), "error": {"message": "died", "code": 502}})), "invalid"
    ),
    "C15 endless body": (endless_body, "invalid"),
    "C16 moved": (moved, "error"),
    "D9 cut short": (cut_short, "error"),
    "D9 cut chunked": (cut_chunked, "error"),
    "compressed": (compressed, "error"),
    "busy": (busy, "busy"),
    "broken": (broken, "error"),
}  # fmt: skip
