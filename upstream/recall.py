"""An answer given again: in the form in which a provider would have sent it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.types import Arm, Usage
from upstream.answers import Answer
from upstream.deadlines import Deadline
from upstream.faults import Faults
from upstream.stream import Stream


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered once, by whom, and what it took then; `thoughts` by their names."""

    text: str
    model: str
    usage: Usage
    at_s: float
    thoughts: Mapping[str, str] = field(default_factory=dict)


def answer_again(said: Said, latency_s: float) -> Answer:
    """Return the answer in one piece; `latency_s` is what finding it took."""
    message = {"role": "assistant", "content": said.text, "refusal": None, **said.thoughts}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    data = {
        "object": "chat.completion",
        **_head(said),
        "choices": [choice],
        "usage": counted(said.usage),
    }
    return Answer(said.text, "stop", said.usage, said.model, data, latency_s, latency_s)


def stream_again(arm: Arm, body: Mapping[str, Any], said: Said) -> Stream:
    """Return the answer as a stream; tokens that were estimated are estimated again."""
    deadline, faults = Deadline(arm.timeouts), Faults(arm.name, ())
    return Stream(arm, body, _frames(said), lambda: None, deadline, faults)


def _frames(said: Said) -> Iterator[bytes]:
    head = {"object": "chat.completion.chunk", **_head(said)}
    for delta in ({"role": "assistant", **said.thoughts}, {"content": said.text}):
        yield _frame({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _frame({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if not said.usage.estimated:
        yield _frame({**head, "choices": [], "usage": counted(said.usage)})
    yield b"data: [DONE]\n\n"


def _head(said: Said) -> dict[str, Any]:
    return {"created": int(said.at_s), "model": said.model}


def _frame(data: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def counted(usage: Usage) -> dict[str, Any]:
    """Return the tokens of an answer in OpenAI's words, where no provider has told them."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
