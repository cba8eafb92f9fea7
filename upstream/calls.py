"""Whether what a provider calls a tool call is one that a client can act on."""

from collections.abc import Mapping
from typing import Any

WORDS = {"function": "arguments", "custom": "input"}
"""How each kind of call names the words that it calls with; of other kinds nothing is known."""


def require_calls(message: Mapping[str, Any]) -> None:
    """Refuse a whole message in which a call names nothing that could be called.

    raises : ValueError

    >>> require_calls({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]})
    >>> require_calls({"tool_calls": [{"id": "c", "type": "function", "function": None}]})
    Traceback (most recent call last):
    ValueError: a call of a function that is no object but NoneType
    """
    if message.get("function_call"):
        _require_called(message["function_call"], "function")
    for call in message.get("tool_calls") or ():
        for name in ("id", "type"):
            _require_text(call.get(name), f"a call whose {name}")
        kind = call.get("type") or next((each for each in WORDS if call.get(each)), "function")
        if kind in WORDS:
            _require_called(call.get(kind), kind)


def _require_called(called: object, kind: str) -> None:
    if not isinstance(called, Mapping):
        what = f"a call of a {kind} that is no object but {type(called).__name__}"
        raise ValueError(what)  # noqa: TRY004
    if not called.get("name"):
        raise ValueError(f"a call of a {kind} without a name")
    for name in ("name", WORDS[kind]):
        _require_text(called.get(name), f"a call of a {kind} whose {name}")


def _require_text(value: object, what: str) -> None:
    if not isinstance(value, str | None):
        raise ValueError(f"{what} is no text but {type(value).__name__}")  # noqa: TRY004
