"""What makes two requests the same: everything that can change the answer, hashed.

Whoever is asked, what for, under which system prompt, with which parameters, among which arms: all
of it must be equal. Where the last word is the user's, its wording is kept apart, because a similar
wording may do while nothing else may.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from app.routing.ask import Ask

FORMAT = 1
# They ask for more than one text, or for one that is only right at the moment.
FRESH = frozenset({
    "audio", "function_call", "functions", "logprobs", "modalities", "tools", "tool_choice",
    "web_search_options",
})  # fmt: skip
# How the answer is sent, not what it says.
DELIVERY = frozenset({"stream_options"})


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The hash of a whole request, and of all of it but the wording of its question."""

    key: bytes
    kin: bytes
    question: str

    @classmethod
    def of(cls, ask: Ask, tenant: str) -> Self:
        """Return the key of a request.

        >>> hello = Ask(messages=[{"role": "user", "content": "hello"}])
        >>> RequestKey.of(hello, "a").key == RequestKey.of(hello, "b").key
        False
        """
        terms = [
            FORMAT,
            tenant,
            ask.task,
            None if ask.models is None else sorted(set(ask.models)),
            ask.fallbacks,
            ask.willingness_to_pay_usd,
            ask.pay_factor,
            ask.max_cost_usd,
            {name: value for name, value in ask.parameters.items() if name not in DELIVERY},
        ]
        *before, last = ask.messages
        question, frame = _question(last)
        return cls(_hash([terms, ask.messages]), _hash([terms, before, frame]), question)


def is_repeatable(ask: Ask) -> bool:
    """Return whether an answer to this can be given again: one text, and no call of a tool."""
    several = (ask.parameters.get("n") or 1) > 1
    used_tools = any(message.get("role") in {"tool", "function"} for message in ask.messages)
    return not (several or used_tools or FRESH & ask.parameters.keys())


def _question(message: Mapping[str, Any]) -> tuple[str, object]:
    """Return the wording of a user's message, and the message without it; nothing of another's."""
    content = message.get("content")
    if message.get("role") != "user":
        return "", message
    if isinstance(content, str):
        return content, {**message, "content": None}
    parts = [part for part in content or () if part.get("type") == "text"]
    others = [part for part in content or () if part.get("type") != "text"]
    return "\n".join(part["text"] for part in parts), {**message, "content": others}


def _hash(value: object) -> bytes:
    return sha256(json.dumps(value, sort_keys=True).encode()).digest()
