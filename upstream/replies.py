"""A reply of the small provider as OpenAI writes it: whole, or in the frames of a stream."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PIECE_CHARS = 24


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answers and what it counts; `latency_s` is waited before the first content.

    `calls` is the function that is called, whose arguments are the text then. `others` are the
    further choices, of which the tokens, finish and text count.
    """

    text: str
    input_tokens: int
    output_tokens: int
    finish_reason: str = "stop"
    latency_s: float = 0.0
    calls: str | None = None
    others: tuple["Reply", ...] = ()

    @property
    def choices(self) -> tuple["Reply", ...]:
        """Return all choices, itself first."""
        return (self, *self.others)


def completion(head: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """Return the reply in one piece."""
    choices = [
        {"index": index, "message": _message(each), "finish_reason": each.finish_reason}
        for index, each in enumerate(reply.choices)
    ]
    return {**head, "object": "chat.completion", "choices": choices, "usage": _usage(reply)}


def frames(head: Mapping[str, Any], reply: Reply, *, with_usage: bool) -> Iterator[bytes]:
    """Yield the reply as the data of events, one choice after the other."""

    def frame(choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        return json.dumps(body).encode()

    for index, each in enumerate(reply.choices):
        for delta in _deltas(each):
            yield frame([{"index": index, "delta": delta, "finish_reason": None}])
        yield frame([{"index": index, "delta": {}, "finish_reason": each.finish_reason}])
    if with_usage:
        yield frame([], usage=_usage(reply))
    yield b"[DONE]"


def _usage(reply: Reply) -> dict[str, int]:
    output_tokens = sum(each.output_tokens for each in reply.choices)
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": reply.input_tokens + output_tokens,
    }


def _message(reply: Reply) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    return said if reply.calls is None else {**said, "content": None, **_call(reply, reply.text)}


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    pieces = [
        reply.text[start : start + _PIECE_CHARS]
        for start in range(0, len(reply.text), _PIECE_CHARS)
    ]
    if reply.calls is None:
        yield {"role": "assistant", "content": ""}
        yield from ({"content": piece} for piece in pieces)
        return
    yield {"role": "assistant", "content": None, **_call(reply, "", index=0)}
    for piece in pieces:
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _call(reply: Reply, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"name": reply.calls, "arguments": arguments}
    call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function}
    return {"tool_calls": [{**more, **call}]}
