"""What a call took in tokens: as its provider says where that can be true, else by its letters."""

import math
from collections.abc import Mapping
from typing import Any

from policy.types import Arm, Usage
from upstream.answers import TOOLS, choices_of, part_of

CHARS_PER_TOKEN = 4


def usage_of(
    reported: object, arm: Arm, input_chars: int, output_chars: int, uncounted: int = 0
) -> Usage:
    """Return the reported tokens if they can be true, or an estimate from the characters.

    `uncounted` of the output came after the report, and are estimated in any case.
    """
    usage = reported if isinstance(reported, Mapping) else {}
    most = 2 * arm.context_window
    input_tokens = _believed(usage.get("prompt_tokens"), input_chars, most)
    output_tokens = _believed(_written(usage), output_chars - uncounted, most)
    if input_tokens is None or output_tokens is None:
        return Usage(_guessed(input_chars), _guessed(output_chars), estimated=True)
    cached_tokens, since = min(_cached(usage), input_tokens), _guessed(uncounted)
    return Usage(input_tokens, output_tokens + since, cached_tokens, estimated=since > 0)


def _written(usage: Mapping[str, Any]) -> object:
    """Return the tokens of the answer with its thoughts, which some count in the total alone."""
    said, total, written = map(usage.get, ("prompt_tokens", "total_tokens", "completion_tokens"))
    if type(said) is int and type(total) is int and type(written) is int:
        return max(written, total - said)
    return written


def _believed(tokens: object, chars: int, most: int) -> int | None:
    """Return the tokens if they can be true of so many characters in a window of half of `most`."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 <= tokens <= most:
        return None
    return tokens if tokens > 0 or chars == 0 else None


def _guessed(chars: int) -> int:
    return math.ceil(chars / CHARS_PER_TOKEN)


def chars_of(value: object) -> int:
    """Return the characters of all text in a JSON value; embedded pictures and sound are not text.

    >>> chars_of([{"role": "user", "content": "hello"}, {"url": "data:image/png;base64,AAAA"}])
    9
    >>> chars_of({"audio": {"transcript": "hello", "data": "UklGRg=="}})
    5
    """
    if isinstance(value, str):
        return 0 if value.startswith("data:") else len(value)
    if isinstance(value, dict):
        texts = (each for name, each in value.items() if (name, type(each)) != ("data", str))
        return sum(map(chars_of, texts))
    return sum(chars_of(each) for each in value) if isinstance(value, list | tuple) else 0


def prompt_chars(body: Mapping[str, Any]) -> int:
    """Return the characters of a request that a provider counts as input.

    >>> prompt_chars({"messages": [{"content": "hi"}], "functions": [{"name": "f"}]})
    3
    """
    return chars_of([body.get(name) for name in ("messages", *TOOLS)])


def answer_chars(data: Mapping[str, Any]) -> int:
    """Return the characters of an answer that a provider counts as output."""
    return sum(spoken_chars(part_of(choice, "message")) for choice in choices_of(data))


def spoken_chars(message: Mapping[str, Any]) -> int:
    """Return the characters a message or a delta says or thinks, tool calls included."""
    return sum(chars_of(each) for name, each in message.items() if name != "role")


def _cached(usage: Mapping[str, Any]) -> int:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens")
    return cached if type(cached) is int and cached >= 0 else 0
