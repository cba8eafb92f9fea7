"""Cheap facts of a prompt: length, code, digits, question form, script, turns, tools.

Each is a bounded number on a scale of its own; the feature space standardises them. None depends on
capitals, on spaces or on where lines end: the same prompt set otherwise is the same prompt. Of what
a text has beyond its first 20,000 characters only the length is read, and spaces count there.
"""

import re
from collections.abc import Sequence
from math import log1p

import numpy as np

from features.prompt import Prompt
from policy.types import Floats

READ_CHARS = 20_000
QUESTION = re.compile(r"(what|who|when|where|which|why|how|is|are|do|does|can|should)\b", re.I)
ORDER = re.compile(
    r"(write|explain|summari[sz]e|translate|list|give|find|fix|create|make|generate|rewrite"
    r"|extract|classify|implement|calculate|compute|describe|convert|sort|complete)\b",
    re.I,
)
CODE = re.compile(r"[{}\[\];=<>_`#\\]|\(\)|->|::")
MATHS = re.compile("[+*/^=%$\u221a\u2211\u222b\u03c0\u00d7\u00f7]")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
OPTION = re.compile(r"(?<!\S)\(?[A-J][.):](?!\S)", re.I)
ASKS = "?\uff1f\u061f"
"""Question marks: of Latin, Chinese and Arabic."""
ENDS = ".!\u3002\uff01\u0964" + ASKS
"""What ends a sentence, also in Chinese and Hindi."""
SIGN = np.array([not (chr(code).isalnum() or chr(code).isspace()) for code in range(128)])

NAMES = (
    "length",
    "word length",
    "sentence length",
    "digits",
    "numbers",
    "repeated words",
    "other scripts",
    "code marks",
    "maths marks",
    "listed options",
    "question marks",
    "opens as a question",
    "opens as an order",
    "signs",
    "conversation",
    "tools and images",
)
MOST = {"code marks": 0.3, "maths marks": 0.2}
"""Shares of a text of which more is not told apart."""
TYPICAL_MEAN = (5.5, 4.7, 2.5, 0.02, 1.0, 0.25, 0.02, 0.02, 0.01, 0.5, 0.5, 0.3, 0.3, 0.05, 1.2, 0)
TYPICAL_SD = (1.5, 1.2, 0.8, 0.05, 1.0, 0.2, 0.1, 0.04, 0.02, 1.0, 0.7, 0.5, 0.5, 0.04, 1.5, 0.5)


def facts(prompt: Prompt) -> Floats:
    """Return the facts in the order of `NAMES`.

    shapes : (len(NAMES),)

    >>> float(facts(Prompt("What is 2+2?", 3.0, 1, 0, 0, 0))[NAMES.index("question marks")])
    0.69
    """
    told = " ".join(prompt.text.split(None, READ_CHARS // 2))  # of so many words are those read
    words = told[:READ_CHARS].split() or [""]
    text = " ".join(words)
    n = max(len(text), 1)
    sentences = max(_count(text, ENDS), 1)
    digits, signs, foreign = _kinds(text)
    row: Sequence[float] = (
        log1p(len(text) + max(len(told) - READ_CHARS, 0)),
        min(sum(map(len, words)) / len(words), 12.0),
        log1p(len(words) / sentences),
        digits / n,
        log1p(len(NUMBER.findall(text))),
        1.0 - len(set(text.lower().split(" "))) / len(words),
        foreign / n,
        min(len(CODE.findall(text)) / n, MOST["code marks"]),
        min(len(MATHS.findall(text)) / n, MOST["maths marks"]),
        log1p(len(OPTION.findall(text))),
        log1p(_count(text, ASKS)),
        float(QUESTION.match(text) is not None),
        float(ORDER.match(text) is not None),
        signs / n,
        log1p(max(prompt.turns - 1, 0)) + log1p(prompt.system_chars) / 4,
        log1p(prompt.tools) + log1p(prompt.images),
    )
    return np.array(row)


def _count(text: str, marks: str) -> int:
    return sum(map(text.count, marks))


def _kinds(text: str) -> tuple[int, int, int]:
    """Return how many characters are digits, signs, and of other scripts than Latin."""
    if text.isascii():  # most prompts are, and bytes are counted ten times as fast
        codes = np.frombuffer(text.encode(), np.uint8)
        return int(((codes >= ord("0")) & (codes <= ord("9"))).sum()), int(SIGN[codes].sum()), 0
    signs = sum(not (character.isalnum() or character == " ") for character in text)
    return sum(map(str.isdigit, text)), signs, sum(character > "\u024f" for character in text)
