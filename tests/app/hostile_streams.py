"""What providers do to streams, row by row of the matrix of faults, on raw sockets."""

import itertools
import json
import time
from collections.abc import Mapping

from tests.app.faulty import broken, busy, hanging_up, late, page, silent, unauthorised
from tests.app.hostile import BROKEN_OFF, ERROR, endless_line
from tests.upstream.misbehaving import Conversation, Scenario, chunk, usage_frame

ROLE = chunk(delta={"role": "assistant", "content": ""})
PIECES = ("Once ", "upon ", "a time")
ENDING = (chunk(finish="stop"), usage_frame(4, 3), b"[DONE]")


def telling(*frames: bytes) -> Scenario:
    """Return a scenario that streams frames and closes."""
    return lambda talk: talk.events(*frames)


def told(*ending: bytes) -> Scenario:
    """Return a scenario that streams the pieces of a text and then the ending."""
    return telling(ROLE, *map(chunk, PIECES), *ending)


def stalling(*frames: bytes, noise: bytes = b"") -> Scenario:
    """Return a scenario that streams frames and then nothing that counts."""

    def stall(talk: Conversation) -> None:
        talk.events(*frames)
        talk.until_client_leaves(data=noise)

    # Before content it is the first that is waited for, and after it the next.
    return late(stall, idle_s=0.4) if frames else late(stall, first_content_s=0.3)


def for_ever(talk: Conversation) -> None:
    talk.events(ONCE)
    talk.until_client_leaves(data=b"data: " + ONCE + b"\n\n")


late(for_ever, connect_s=2.0, first_content_s=2.0, total_s=2.0)


def resetting(*frames: bytes) -> Scenario:
    def reset(talk: Conversation) -> None:
        talk.events(*frames)
        time.sleep(0.1)  # a reset throws away what has not been read yet
        talk.reset()

    return reset


def raw(data: bytes) -> Scenario:
    def send(talk: Conversation) -> None:
        talk.head("200 OK", "text/event-stream")
        talk.send(data)

    return send


def cut_in_chunked(*frames: bytes) -> Scenario:
    """Return a scenario whose last chunk never comes."""

    def cut(talk: Conversation) -> None:
        talk.head("200 OK", "text/event-stream", "Transfer-Encoding: chunked")
        for frame in frames:
            event = b"data: " + frame + b"\n\n"
            talk.send(b"%x\r\n%s\r\n" % (len(event), event))

    return cut


def one_line_too_long(talk: Conversation) -> None:
    talk.events(*map(chunk, PIECES))
    talk.flood(itertools.chain([b"data: "], itertools.repeat(b"x" * 1024 * 1024)))


def split_everywhere(talk: Conversation) -> None:
    talk.head("200 OK", "text/event-stream")
    for byte in b"".join(
        b"data: " + each + b"\r\n\r\n" for each in (chunk("naïve 日本 🙂"), *ENDING)
    ):
        talk.send(bytes([byte]))


ONCE = chunk(PIECES[0])
NOTHING = b'{"choices": null}'
CHOICE_ERROR = json.dumps(
    {"choices": [{"delta": {}, "finish_reason": "stop", "error": {"message": "died"}}]}
).encode()
OBJECT_ERROR = json.dumps({"object": "error", "message": "no"}).encode()

# Before any content: a second arm answers, and the client sees one ordinary stream.
BEFORE: Mapping[str, tuple[Scenario, str]] = {
    "D1 role, end": (telling(ROLE), "invalid"),
    "D1 role, reset": (resetting(ROLE), "error"),
    "D1 role, error": (telling(ROLE, ERROR), "invalid"),
    "D1 no frame": (telling(), "invalid"),
    "D1 only done": (telling(b"[DONE]"), "invalid"),
    "D1 blank, finish": (telling(ROLE, chunk(finish="stop"), b"[DONE]"), "invalid"),
    "D3 error": (telling(ERROR), "invalid"),
    "D3 error object": (telling(OBJECT_ERROR), "invalid"),
    "D3 no JSON": (telling(b'{"choices": ['), "invalid"),
    "D3 cut in JSON": (raw(b'data: {"choices": [{"delta": {"con'), "invalid"),
    "D3 error as the end": (telling(ROLE, chunk(finish="error")), "invalid"),
    "D5 only comments": (stalling(noise=b": thinking\n\n"), "timeout"),
    "D5 only roles": (stalling(noise=b"data: " + ROLE + b"\n\n"), "timeout"),
    "D9 endless line": (endless_line, "invalid"),
    "2.3 page": (page, "invalid"),
    "2.3 JSON error": (lambda talk: talk.reply(ERROR), "invalid"),
    "2.3 one JSON body": (lambda talk: talk.reply(b"{}"), "invalid"),
    "2.3 204": (lambda talk: talk.head("204 No Content"), "invalid"),
    "C1 reset": (hanging_up, "error"),
    "C2 silent": (silent, "timeout"),
    "C4 500": (broken, "error"),
    "C5 429": (busy, "busy"),
    "C9 401": (unauthorised, "unauthorised"),
}

# After content: what came is shown, then an error; nothing of it can be taken for a whole answer.
AFTER: Mapping[str, tuple[Scenario, str, str]] = {
    "D2 end": (told(), "truncated_upstream", "upstream_bad_response"),
    "D2 done without finish": (told(b"[DONE]"), "truncated_upstream", "upstream_bad_response"),
    "D2 reset": (resetting(*map(chunk, PIECES)), "truncated_upstream", "upstream_bad_response"),
    "D2 chunked cut": (
        cut_in_chunked(*map(chunk, PIECES)), "truncated_upstream", "upstream_bad_response",
    ),
    "D3 no JSON": (told(b'{"choices": ['), "truncated_upstream", "upstream_bad_response"),
    "D3 cut in JSON": (
        raw(b"data: " + ONCE + b'\n\ndata: {"choices": [{"del'),
        "truncated_upstream", "upstream_bad_response",
    ),
    "D3 error": (told(ERROR), "truncated_upstream", "upstream_bad_response"),
    "D3 error object": (told(OBJECT_ERROR), "truncated_upstream", "upstream_bad_response"),
    **{
        f"D3 {end}": (
            told(chunk(finish=end), usage_frame(4, 3), b"[DONE]"),
            "truncated_upstream", "upstream_bad_response",
        )
        for end in BROKEN_OFF
    },
    "D3 error of a choice": (
        told(CHOICE_ERROR, b"[DONE]"), "truncated_upstream", "upstream_bad_response"
    ),
    "D3 no choices": (told(b'{"choices": null}'), "truncated_upstream", "upstream_bad_response"),
    "D6 stall": (stalling(ONCE), "timeout", "upstream_timeout"),
    "D6 comments": (stalling(ONCE, noise=b": hm\n\n"), "timeout", "upstream_timeout"),
    "D7 for ever": (for_ever, "timeout", "upstream_timeout"),
    "D9 endless line": (one_line_too_long, "truncated_upstream", "upstream_bad_response"),
}  # fmt: skip

# Strange, and whole all the same.
WHOLE: Mapping[str, Scenario] = {
    "D4 no done": told(chunk(finish="stop")),
    "D4 reset after finish": resetting(*map(chunk, PIECES), chunk(finish="stop")),
    "D8 usage without choices": told(*ENDING),
    "D8 no usage": told(chunk(finish="stop"), b"[DONE]"),
    "D8 usage twice": told(chunk(finish="stop"), usage_frame(4, 3), usage_frame(4, 3), b"[DONE]"),
    "D8 usage beside text": told(
        chunk(finish="stop", usage={"prompt_tokens": 4, "completion_tokens": 3}), b"[DONE]"
    ),
    "D9 several lines": raw(
        b"".join(b": hm\r\nevent: x\nid: 1\ndata: " + each + b"\r\n\r\n"
                 for each in (*map(chunk, PIECES), *ENDING))
    ),
    "frames that say nothing": telling(
        NOTHING, b"", ROLE, NOTHING, ONCE, b"", b'{"type": "ping"}', *map(chunk, PIECES[1:]),
        NOTHING, *ENDING,
    ),
    "more after done": told(*ENDING, chunk("!")),
}  # fmt: skip
