"""What a call took in tokens: as its provider says where that can be true, else by its letters."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from policy.letters import IMAGE_TOKENS, about_tokens
from policy.types import Arm, Usage
from upstream.answers import BESIDE, choices_of, part_of, thinks

MOST_BILLED_USD = 1e4
"""What is said to be billed for one call beyond this is no bill of one call."""
# Parameters that no model reads.
UNREAD = frozenset({
    "audio", "function_call", "logit_bias", "metadata", "modalities", "model", "prompt_cache_key",
    "prompt_cache_retention", "provider", "reasoning", "reasoning_effort", "safety_identifier",
    "service_tier", "stop", "stream_options", "tool_choice", "user", "verbosity",
    "web_search_options",
})  # fmt: skip
# What no model says of an answer: marks, and what it rests on.
_MARKS = frozenset({"format", "id", "role", "signature", "type"})
_UNSAID = frozenset({*_MARKS, *BESIDE})
# Thoughts among marks, which most providers tell as a text too.
_MARKED = ("reasoning_details", "thinking_blocks")


def usage_of(
    reported: object, arm: Arm, body: Mapping[str, Any], about_output: float, uncounted: float = 0.0
) -> Usage:
    """Return the tokens reported of a request where they can be true, else an estimate.

    `uncounted` of the output came after the report, and are estimated in any case.
    """
    usage = reported if isinstance(reported, Mapping) else {}
    about_input, most = prompt_tokens(body), 2 * arm.context_window
    asked = _believed(usage.get("prompt_tokens"), about_input, most)
    most_written = most * choices_asked(body)
    written = _believed(_written(usage, asked), about_output - uncounted, most_written)
    since, cached = _guessed(uncounted), min(_cached(usage), asked or 0)
    return Usage(
        _guessed(about_input) if asked is None else asked,
        _guessed(about_output) if written is None else written + since,
        cached,
        estimated=asked is None or written is None or since > 0,
        billed_usd=None if since > 0 else _billed_usd(usage, arm.billed_in),
        cache_write_tokens=min(_cache_write(usage), (asked or 0) - cached),
    )


def _billed_usd(usage: Mapping[str, Any], billed_in: str | None) -> float | None:
    """Return what stands there, if it can be the dollars of one call.

    >>> _billed_usd({"cost": {"total": 0.25}}, "cost.total"), _billed_usd({"cost": "0.25"}, "cost")
    (0.25, None)
    """
    found: Any = usage
    for name in billed_in.split(".") if billed_in else ():
        found = found.get(name) if isinstance(found, Mapping) else None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number and 0 <= found <= MOST_BILLED_USD else None


def _written(usage: Mapping[str, Any], asked: int | None) -> object:
    """Return the tokens of the answer with its thoughts, which some count in the total alone."""
    total, written = usage.get("total_tokens"), usage.get("completion_tokens")
    if asked is not None and type(total) is int and type(written) is int:
        return max(written, total - asked)
    return written


def _believed(tokens: object, about: float, most: int) -> int | None:
    """Return the tokens if they can be true of about so many in a window of half of `most`."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 <= tokens <= most:
        return None
    return tokens if tokens > 0 or about == 0 else None


def _guessed(about: float) -> int:
    return math.ceil(round(about, 6))  # what many pieces add up to is not exact


def tokens_in(value: object, but: Collection[str] = ()) -> float:
    """Return about how many tokens a JSON value has, `but` what stands under these names.

    That is all text and each picture in it; sound and other data are no text.

    >>> tokens_in([{"role": "user", "content": "hello"}, {"url": "data:image/png;base64,AAAA"}])
    2.25
    >>> tokens_in({"audio": {"transcript": "hello", "data": "UklGRg=="}})
    1.25
    >>> tokens_in({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}})
    800.0
    """
    if isinstance(value, str):
        return 0.0 if value.startswith("data:") else about_tokens(value)
    if isinstance(value, dict):
        if value.get("type") == "image_url":
            return float(IMAGE_TOKENS)
        texts = (
            each
            for name, each in value.items()
            if name not in but and (name, type(each)) != ("data", str)
        )
        return sum(tokens_in(each, but) for each in texts)
    return sum(tokens_in(each, but) for each in value) if isinstance(value, list | tuple) else 0.0


def prompt_tokens(body: Mapping[str, Any]) -> float:
    """Return about how many tokens a provider counts of a request as input.

    Of tools, a schema and what else is beside the messages the names are read too.

    >>> prompt_tokens({"messages": [{"content": "hi"}], "functions": [{"name": "f"}], "user": "me"})
    4.25
    """
    beside = (
        json.dumps(each, ensure_ascii=False)
        for name, each in body.items()
        if name not in UNREAD and name != "messages" and isinstance(each, str | list | dict)
    )
    return tokens_in([body.get("messages"), *beside])


def choices_asked(body: Mapping[str, Any]) -> int:
    """Return how many answers a request asks for at once."""
    n = body.get("n")
    return n if isinstance(n, int) and n > 1 else 1


def answer_tokens(data: Mapping[str, Any]) -> float:
    """Return about how many tokens a provider counts of an answer as output."""
    return sum(spoken_tokens(part_of(choice, "message")) for choice in choices_of(data))


def spoken_tokens(message: Mapping[str, Any]) -> float:
    """Return about how many tokens a message or a delta says or thinks, tool calls included.

    >>> spoken_tokens({"content": "hello", "reasoning_details": [{"id": "r1", "text": "well"}]})
    2.25
    """
    marked = () if thinks(message) else [message.get(name) for name in _MARKED]
    return tokens_in(message, _UNSAID) + tokens_in(marked, _MARKS)


def _cached(usage: Mapping[str, Any]) -> int:
    """Return the tokens read from a cache, as OpenAI, DeepSeek or Moonshot tells them."""
    return _part(usage, "cached_tokens", "prompt_cache_hit_tokens", "cached_tokens")


def _cache_write(usage: Mapping[str, Any]) -> int:
    """Return the tokens written to a cache, as OpenAI or LiteLLM tells them."""
    return _part(usage, "cache_write_tokens", "cache_creation_input_tokens")


def _part(usage: Mapping[str, Any], inner: str, *beside: str) -> int:
    """Return the part of the input that its details tell, or else what is told beside them."""
    details = usage.get("prompt_tokens_details")
    within = details if isinstance(details, Mapping) else {}
    told = (within.get(inner), *map(usage.get, beside))
    tokens = next((each for each in told if each is not None), 0)
    return tokens if type(tokens) is int and tokens >= 0 else 0
