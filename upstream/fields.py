"""What each field of the catalogue may be: a test and the words that say what would be right."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from policy.types import DAY_S

CAPABILITIES = ("tools", "vision", "audio", "file", "json_schema", "trailing_assistant")
TIERS = ("standard", "economy")
PASSED_ON = ("embeddings", "responses")
OURS = ("model", "messages", "stream", "stream_options")
COUNTED = ("n", "max_tokens", "max_completion_tokens")  # asked for, and reserved by a budget
_LABEL_CHARS = 63  # between the dots of a host name: RFC 1035


@dataclass(frozen=True, slots=True)
class Field:
    """One field: whether a value `holds`, what is `right`, and whether it must be there."""

    right: str
    holds: Callable[[Any], bool]
    required: bool = False


def _number(low: float, high: float, *, above: bool = False) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return low <= value <= high and math.isfinite(value) and not (above and value == low)

    return holds


def _text(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _listed(allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list)
        and all(allowed(each) for each in value)
        and len(set(value)) == len(value)
    )


def _is_base_url(value: Any) -> bool:
    # urlsplit drops a tab or a line end without a word, and who calls the provider does not.
    if not _text(r"[!-~]+")(value):
        return False
    try:
        url, called = urlsplit(value), httpx2.URL(value)
        port_is_right = url.port is None or url.port > 0
    except (ValueError, httpx2.InvalidURL):
        return False
    host = url.hostname or ""
    labels_are_right = all(0 < len(label) <= _LABEL_CHARS for label in host.split("."))
    host_is_right = labels_are_right and called.raw_host.lower() == host.encode()
    plain = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in ("http", "https") and host_is_right and port_is_right and plain


def _is_extra_body(value: Any) -> bool:
    if not isinstance(value, dict) or any(key in OURS + COUNTED for key in value):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


_price = _number(0.0, 1e6)
_dollars = "a number of dollars per million tokens from 0 to 1,000,000"
_seconds = Field("a number of seconds above 0, at most a day", _number(0.0, DAY_S, above=True))

TABLE = Field("a table", lambda value: isinstance(value, dict), required=True)
PROVIDER_NAME = Field("1 to 64 of A-Z a-z 0-9 . _ : / -", _text(r"[A-Za-z0-9._:/-]{1,64}"))
ARM_NAME = Field(
    "1 to 64 of A-Z a-z 0-9 . _ : / - and not start with auto, the word that asks for routing",
    _text(r"(?!auto)[A-Za-z0-9._:/-]{1,64}"),
)
PROVIDER = {
    "base_url": Field(
        "an http or https URL like https://host/v1, in ASCII without spaces, user, password, "
        "?query or #part; a port is one from 1 to 65535",
        _is_base_url,
        required=True,
    ),
    "api_key_env": Field(
        "the name of an environment variable, never the key", _text(r"[A-Za-z_][A-Za-z0-9_]*")
    ),
    "passes_on": Field(
        f"a list of {', '.join(PASSED_ON)}", _listed(lambda each: each in PASSED_ON)
    ),
    "billed_in": Field(
        "where in an answer's usage stand the dollars billed, such as cost (not usage.cost), with "
        "a dot into what is nested",
        _text(r"(?!usage\b)\w{1,64}(\.\w{1,64}){0,7}"),
    ),
}
ARM = {
    "provider": Field("the name of a [provider.<name>] table", _text(r".+"), required=True),
    "model": Field("the provider's id of the model", _text(r"[!-~]{1,200}"), required=True),
    "input_usd_per_mtok": Field(_dollars, _price, required=True),
    "output_usd_per_mtok": Field(_dollars, _price, required=True),
    "context_window": Field(
        "a whole number of tokens above 0, at most 1,000,000,000",
        lambda value: isinstance(value, int) and _number(1, 1e9)(value),
        required=True,
    ),
    "cached_input_usd_per_mtok": Field(_dollars, _price),
    "cache_write_usd_per_mtok": Field(_dollars, _price),
    "capabilities": Field(
        f"a list of {', '.join(CAPABILITIES)}", _listed(lambda each: each in CAPABILITIES)
    ),
    "tier": Field(f"one of: {', '.join(TIERS)}", lambda value: value in TIERS),
    "quality": Field("a number from 0 to 1", _number(0.0, 1.0)),
    "quota_group": Field("a name without spaces", _text(r"\S{1,64}")),
    "max_concurrent": Field(
        "a whole number of calls above 0, at most 1,000,000",
        lambda value: isinstance(value, int) and _number(1, 1e6)(value),
    ),
    "max_share": Field(
        "a number above 0 and below 1",
        lambda value: _number(0.0, 1.0, above=True)(value) and value != 1,
    ),
    "max_usd_per_day": Field(
        "a number of dollars above 0, at most 1,000,000,000", _number(0.0, 1e9, above=True)
    ),
    "fallbacks": Field("a list of arm names", _listed(_text(r".+"))),
    "answers_as": Field("a list of models", _listed(_text(r"[!-~]{1,200}"))),
    "extra_body": Field(
        f"a table of JSON values without {', '.join(OURS + COUNTED)}", _is_extra_body
    ),
    "timeouts": Field(
        "a table of connect_s, first_content_s, idle_s, total_s",
        lambda value: isinstance(value, dict),
    ),
}
TIMEOUTS = dict.fromkeys(("connect_s", "first_content_s", "idle_s", "total_s"), _seconds)
