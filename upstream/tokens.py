"""How the sandbox counts tokens: pieces of words, digits and signs, about four characters each."""

import itertools
import re
from typing import Any

MESSAGE_TOKENS = 4
_PIECE = re.compile(r"[^\W\d_]{1,7}|\d{1,3}|[^\w\s]|_|\n")


def count(text: str) -> int:
    """Return the tokens of a text: up to 7 letters, up to 3 digits, or one sign or line end each.

    >>> count("The invoice 20417 is overdue.")
    7
    """
    return len(_PIECE.findall(text))


def beginning(text: str, tokens: int) -> str:
    """Return a text up to the end of so many tokens.

    >>> beginning("The invoice 20417 is overdue.", 3)
    'The invoice 204'
    """
    pieces = itertools.islice(_PIECE.finditer(text), tokens)
    return text[: max((piece.end() for piece in pieces), default=0)]


def count_messages(messages: list[Any]) -> int:
    """Return the tokens of a conversation, with the few that mark each message."""
    texts = (each.get("content") for each in messages if isinstance(each, dict))
    return sum(MESSAGE_TOKENS + (count(text) if isinstance(text, str) else 0) for text in texts)
