"""What a provider's answer says, once it is known to be one.

Success means that a finish_reason was seen and that something was said. Everything here raises
ValueError in plain words for what falls short; the caller knows whose fault it is. The words never
quote the provider: they stay in the chain of errors, where nothing is redacted.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from policy.types import Arm, Usage
from upstream.calls import require_calls

# Answers that may be empty without being broken: cut by a limit, or held back by a filter.
_MAY_BE_BLANK = ("length", "content_filter")
# Ends that say the answer calls something.
_CALLS = ("tool_calls", "function_call")
# Other words for that of OpenAI's which means the same: GLM's.
_IN_OTHER_WORDS = {"sensitive": "content_filter"}
# How providers call what a model thinks before it answers.
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
# What a model makes besides a text, and how providers call it.
MEDIA = ("audio", "images")
# What else providers say at the top of an answer or in its message: what it rests on, and thoughts
# that may be sealed.
BESIDE = (
    "annotations", "citations", "context", "reasoning_details", "related_questions",
    "search_results", "sources", "thinking_blocks",
)  # fmt: skip
# How a request calls the tools that an answer may call.
TOOLS = ("tools", "functions")
_MODEL_CHARS = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; `data` is the provider's own JSON."""

    text: str
    finish_reason: str
    usage: Usage
    model: str
    data: dict[str, Any]
    latency_s: float
    ttft_s: float


class Blank(ValueError):
    """An answer that says nothing; `reason` is the provider's word for its end."""

    def __init__(self, reason: str) -> None:
        super().__init__("a blank message")
        self.reason = reason


def parsed(raw: bytes) -> dict[str, Any]:
    r"""Return the JSON object in `raw`, before which a byte order mark may stand.

    raises : ValueError when it is not UTF-8, not JSON, no object, or a number in it is not finite

    >>> parsed(b'\xef\xbb\xbf{"choices": []}')
    {'choices': []}
    """
    try:
        data = _JSON.decode(raw.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("JSON nested too deep") from error
    if not isinstance(data, dict):
        raise ValueError(f"a JSON {type(data).__name__} instead of an object")  # noqa: TRY004
    return data


def choices_of(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of an answer or a frame; where it has no word for them, none.

    raises : ValueError when they are not a list of objects

    >>> choices_of({"type": "ping"}), choices_of({"choices": None})
    ([], [])
    """
    choices = data.get("choices")
    if choices is None:
        return []
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        raise ValueError(f"choices that are no list of objects but {type(choices).__name__}")
    return choices


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message or a delta, which may come in parts.

    raises : ValueError when the content is no text

    >>> text_of({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
    'ab'
    """
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") or "" for part in content if isinstance(part, dict)]
        content = "".join(texts) if all(isinstance(each, str) for each in texts) else content
    if not isinstance(content, str | None):
        raise ValueError(f"content that is no text but {type(content).__name__}")  # noqa: TRY004
    return content or ""


def speaks(message: Mapping[str, Any]) -> bool:
    """Return whether a message or a delta says anything: a text, or what `acts`."""
    return acts(message) or bool(text_of(message).strip())


def acts(message: Mapping[str, Any]) -> bool:
    """Return whether a message or a delta calls a tool, refuses, or brings sound or pictures."""
    return any(message.get(key) for key in ("tool_calls", "function_call", "refusal", *MEDIA))


def says_more(data: Mapping[str, Any]) -> bool:
    """Return whether an answer or a frame names sources, or thinks in anything but plain texts.

    >>> says_more({"id": "x", "citations": ["https://a.example"], "choices": []})
    True
    >>> says_more({"choices": [{"message": {"content": [{"thinking": "hm"}]}}]})
    True
    >>> says_more({"choices": [{"delta": {"reasoning": "hm", "annotations": []}, "message": 5}]})
    False
    """
    said = [each.get(name) for each in choices_of(data) for name in ("message", "delta")]
    parts = [data, *(part for part in said if isinstance(part, dict))]
    return any(
        any(part.get(name) for name in BESIDE)
        or thinks({**part, **dict.fromkeys(thoughts_of(part))})
        for part in parts
    )


def thinks(message: Mapping[str, Any]) -> bool:
    """Return whether a message or a delta brings thoughts: beside its text, or as a part of it.

    >>> [thinks({"reasoning": "hm"}), thinks({"content": [{"thinking": "hm"}]})]
    [True, True]
    """
    content = message.get("content")
    places = (message, *(content if isinstance(content, list) else ()))
    return any(each.get(key) for each in places if isinstance(each, dict) for key in THOUGHTS)


def thoughts_of(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the thoughts beside the text of a message or a delta that are texts, by their names.

    >>> thoughts_of({"content": "hi", "reasoning_content": "hm", "reasoning": None})
    {'reasoning_content': 'hm'}
    """
    found = {name: message.get(name) for name in THOUGHTS}
    return {name: said for name, said in found.items() if isinstance(said, str) and said}


def called_by(message: Mapping[str, Any]) -> list[str]:
    """Return the ids of the tool calls that a message makes, or that a delta begins.

    raises : ValueError when the calls are no list of objects

    >>> called_by({"tool_calls": [{"id": "call_1"}, {"index": 0}]})
    ['call_1']
    """
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise ValueError(f"tool calls that are no list of objects but {type(calls).__name__}")
    found = [call.get("id") for call in calls]
    return [each for each in found if isinstance(each, str) and each]


def finish_of(choice: Mapping[str, Any]) -> str | None:
    """Return the finish_reason of a choice in OpenAI's words, if it has one.

    >>> finish_of({"finish_reason": "sensitive"})
    'content_filter'
    """
    reason = choice.get("finish_reason")
    return _IN_OTHER_WORDS.get(reason, reason) if isinstance(reason, str) and reason else None


def part_of(choice: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the `message` or the `delta` of a choice; one that is absent is empty.

    raises : ValueError when it is no object
    """
    part = choice.get(key)
    if not isinstance(part, dict | None):
        raise ValueError(f"a {key} that is no object but {type(part).__name__}")  # noqa: TRY004
    return part or {}


def may_be_blank(reason: str, *, excused: bool) -> bool:
    """Return whether an answer that ends so may say nothing; `excused` if it has another reason."""
    return reason in _MAY_BE_BLANK or (excused and reason not in _CALLS)


def read_answer(data: Mapping[str, Any], *, excused: bool = False) -> tuple[str, str]:
    """Return the text and the finish_reason of the first choice.

    It says nothing if that is `excused`, or where it has brought thoughts.

    raises : Blank when it says nothing; ValueError when there is none, or it did not finish
    """
    choices = choices_of(data)
    if not choices:
        raise ValueError("no choice")
    message, reason = part_of(choices[0], "message"), finish_of(choices[0])
    if reason is None:
        raise ValueError("no finish_reason")
    called_by(message)
    require_calls(message)
    excused = excused or thinks(message)
    if not speaks(message) and not may_be_blank(reason, excused=excused):
        raise Blank(reason)
    return text_of(message), reason


def model_of(data: Mapping[str, Any], arm: Arm) -> str:
    """Return the model that says it answered, or the arm's when that is no name.

    A name is fit for a header, and has no space: what has one may be the prompt.
    """
    model = data.get("model")
    if isinstance(model, str) and 0 < len(model) <= _MODEL_CHARS and " " not in model:
        return model if model.isascii() and model.isprintable() else arm.model
    return arm.model


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number} is no finite number")


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _refuse(number[:20])


_JSON = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
