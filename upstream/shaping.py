"""How the sandbox does what a request asks beside its question: how many, in what form, how long.

The words of an answer are the model's; here they are put into JSON, or give way to the arguments of
a tool, and are cut.
"""

import json
from collections.abc import Mapping
from typing import Any

from policy.errors import InvalidInput
from upstream.minimal import minimal
from upstream.replies import Reply
from upstream.tokens import beginning, count

MOST_CHOICES = 128
MOST_TOKENS = 1_000_000


def choices(body: Mapping[str, Any]) -> int:
    """Return how many answers are asked for at once.

    raises : InvalidInput
    """
    return _whole(body, "n", MOST_CHOICES) or 1


def shaped(body: Mapping[str, Any], text: str) -> Reply:
    """Return a choice as the request wants it; what it has asked is not counted yet.

    raises : InvalidInput
    """
    tool = _tool(body)
    if tool is not None:
        text = _filled(tool.get("parameters"))
    elif isinstance(asked := body.get("response_format"), Mapping):
        text = _formed(asked, text)
    finish, most = "stop" if tool is None else "tool_calls", _most_tokens(body)
    if tool is None:
        text = _before(body.get("stop"), text)
    if most is not None and count(text) > most:
        text, finish = beginning(text, most), "length"
    return Reply(text, 0, count(text), finish, calls=None if tool is None else tool["name"])


def _tool(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the function that must be called, if one must."""
    choice, tools = body.get("tool_choice"), body.get("tools")
    listed = [
        function
        for tool in (tools if isinstance(tools, list) else [])
        if isinstance(tool, Mapping)
        and isinstance(function := tool.get("function"), Mapping)
        and isinstance(function.get("name"), str)
    ]
    named = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(named, Mapping):
        listed = [function for function in listed if function["name"] == named.get("name")]
    elif choice != "required":
        return None
    if not listed:
        raise InvalidInput(
            "tool_choice asks for a call, but tools has no such function", param="tool_choice"
        )
    return listed[0]


def _formed(asked: Mapping[str, Any], text: str) -> str:
    """Return the text, or the JSON, that `response_format` asks for."""
    if asked.get("type") == "json_object":
        return json.dumps({"answer": text}, ensure_ascii=False)
    if asked.get("type") != "json_schema":
        return text
    named = asked.get("json_schema")
    return _filled(named.get("schema") if isinstance(named, Mapping) else None)


def _filled(schema: object) -> str:
    known = schema if isinstance(schema, Mapping) else {}
    return json.dumps(minimal({"type": "object", **known}), ensure_ascii=False)


def _before(stop: object, text: str) -> str:
    """Return the text before the first of the stops."""
    stops = stop if isinstance(stop, list) else [stop]
    found = [text.find(each) for each in stops if isinstance(each, str) and each]
    return text[: min((place for place in found if place >= 0), default=len(text))]


def _most_tokens(body: Mapping[str, Any]) -> int | None:
    newer, older = (
        _whole(body, name, MOST_TOKENS) for name in ("max_completion_tokens", "max_tokens")
    )
    return older if newer is None else newer


def _whole(body: Mapping[str, Any], name: str, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        said = f"{name} is {str(value)[:20]}; it must be a whole number from 1 to {most}"
        raise InvalidInput(said, param=name)
    return value
