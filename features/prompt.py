"""What the router reads of a request: its text and a few counts; the rest passes by unread."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from policy.letters import IMAGE_TOKENS, about_tokens, texts_in

MESSAGE_TOKENS = 4
# Of a message these are read elsewhere, or by no model as text: pictures, sounds and files.
COUNTED = frozenset({"role", "content", "tool_calls", "function_call"})
NO_TEXT = frozenset({
    "type", "id", "tool_call_id", "audio", "image_url", "input_audio", "file", "url", "data",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as the features see it; `text` is the last user message.

    units  : text_tokens over all messages, turns in messages
    """

    text: str
    text_tokens: float
    turns: int
    system_chars: int
    tools: int
    images: int
    task: str | None = None

    @classmethod
    def of(
        cls,
        messages: Sequence[Mapping[str, Any]],
        task: str | None = None,
        tools: Sequence[Any] = (),
        beside: Sequence[Any] = (),
    ) -> Self:
        """Return what is read of messages in OpenAI's form.

        All that a provider is sent to read counts as length: calls of tools and thoughts, too, and
        what it is sent `beside` the messages, such as a schema.

        >>> Prompt.of([{"role": "user", "content": "Hello there"}]).words
        2
        """
        texts = [(str(m.get("role")), "\n".join(_texts(m))) for m in messages]
        asked = [text for role, text in texts if role == "user"]
        calls = [call for m in messages for call in m.get("tool_calls") or ()]
        calls += [m.get("function_call") for m in messages]
        sent = [*tools, *filter(None, calls), *beside]
        everything = [text for _, text in texts] + [
            json.dumps(each, ensure_ascii=False) for each in sent
        ]
        everything += [text for m in messages for text in _rest(m)]
        return cls(
            text=_printable(asked[-1] if asked else texts[-1][1] if texts else ""),
            text_tokens=sum(map(about_tokens, everything)),
            turns=len(texts),
            system_chars=sum(len(text) for role, text in texts if role in {"system", "developer"}),
            tools=len(tools),
            images=sum(_images(m) for m in messages),
            task=task,
        )

    @property
    def words(self) -> int:
        """Return how many words the last user message has."""
        return len(self.text.split())

    @property
    def input_tokens(self) -> int:
        """Return about how many tokens a provider will count; its own usage is the truth.

        >>> Prompt.of([{"role": "user", "content": "x" * 400}]).input_tokens
        104
        """
        marks = MESSAGE_TOKENS * self.turns + IMAGE_TOKENS * self.images
        return round(self.text_tokens) + marks

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the last user message, in hexadecimal."""
        return sha256(self.text.encode()).hexdigest()


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]


def _rest(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield what else a message says: thoughts, a refusal, a name, whatever a provider reads."""
    yield from texts_in(
        {name: each for name, each in message.items() if name not in COUNTED}, NO_TEXT
    )
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, Mapping):
            yield from texts_in(
                {name: each for name, each in part.items() if name != "text"}, NO_TEXT
            )


def _images(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    if not isinstance(content, list):
        return 0
    return sum(isinstance(part, Mapping) and part.get("type") == "image_url" for part in content)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
