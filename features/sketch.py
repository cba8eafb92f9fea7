"""What is kept of a prompt when its text is not: facts, hashed word counts, task tags.

A sketch is what every later feature space is computed from, so the log can be learned again under
a new one although no prompt is stored. Words, pairs of words and pieces of words are hashed into
2^16 buckets; nobody reads the text back out of them, though a guessed text can be checked.
"""

import re
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from features.facts import NAMES, TYPICAL_MEAN, facts
from features.prompt import Prompt
from policy.letters import WIDE
from policy.types import Floats

BUCKETS = 1 << 16
READ_WORDS = 512
READ_CHARS = 40 * READ_WORDS
PIECE = 4
MOST = 255  # a count is one byte
MARK = "".join(c for c in map(chr, range(1 << 16)) if unicodedata.category(c).startswith("M"))
# The vowels of Hindi, Tamil or Thai are marks, which are no letters, and belong to their word.
TOKEN = re.compile(rf"[^\W\d_]+(?:(?=[^\x00-\x7f])[{MARK}]+[^\W\d_]*)*|\d+|[^\w\s]")
# The marks of letters are among these; those of Japanese, half as wide, pass for letters.
MARKS = re.compile(r"(?:[^\w\s\x00-\x7f]|[\uff9e\uff9f]){30}")
HEADER = struct.Struct("<BHI")
FORMAT = 2
SIGNS = NAMES.index("signs")
"""Where format 1 has the number of lines, which is no fact any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """One prompt without its text.

    shapes : facts (len(NAMES),), buckets and counts (number of distinct hashes,)
    """

    facts: Floats
    buckets: NDArray[np.uint16]
    counts: NDArray[np.uint8]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, prompt: Prompt) -> Self:
        """Return the sketch of a prompt; a task "a/b" is tagged "a" and "a/b".

        >>> Sketch.of(Prompt.of([{"role": "user", "content": "hi"}], task="a/b")).tags
        ('a', 'a/b')
        """
        hashed = np.array([crc32(gram.encode()) for gram in _grams(prompt.text)], dtype=np.uint32)
        buckets, seen = np.unique(hashed % BUCKETS, return_counts=True)
        counts = np.minimum(seen, MOST).astype(np.uint8)
        parts = prompt.task.split("/") if prompt.task else []
        tags = tuple("/".join(parts[: i + 1]) for i in range(len(parts)))
        known = facts(prompt).astype(np.float32).astype(np.float64)
        return cls(known, buckets.astype(np.uint16), counts, tags)

    @property
    def is_sound(self) -> bool:
        """Return whether its facts are numbers, and it counts no word that is not there."""
        return bool(np.isfinite(self.facts).all() and self.counts.all())

    def without_words(self) -> Self:
        """Return the sketch with nothing of the words: its facts and its task.

        >>> prompt = Prompt.of([{"role": "user", "content": "sort these words"}])
        >>> len(Sketch.of(prompt).without_words().buckets)
        0
        """
        return replace(self, buckets=self.buckets[:0], counts=self.counts[:0])

    def to_bytes(self) -> bytes:
        """Return the sketch as stored in the log, about two kilobytes for a hundred words."""
        tags = "\n".join(self.tags).encode()
        return b"".join(
            (
                HEADER.pack(FORMAT, len(tags), len(self.buckets)),
                tags,
                self.facts.astype("<f4").tobytes(),
                self.buckets.astype("<u2").tobytes(),
                self.counts.tobytes(),
            )
        )

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Return the sketch that `to_bytes` gave.

        >>> sketch = Sketch.of(Prompt.of([{"role": "user", "content": "sort these words"}]))
        >>> Sketch.from_bytes(sketch.to_bytes()).buckets.tolist() == sketch.buckets.tolist()
        True
        """
        format_, tag_bytes, n = HEADER.unpack_from(stored)
        start = HEADER.size + tag_bytes
        tags = stored[HEADER.size : start].decode()
        middle = start + 4 * len(NAMES)
        known = np.frombuffer(stored, "<f4", len(NAMES), start).astype(np.float64)
        if format_ == 1:
            known[SIGNS] = TYPICAL_MEAN[SIGNS]
        return cls(
            known,
            np.frombuffer(stored, "<u2", n, middle),
            np.frombuffer(stored, np.uint8, n, middle + 2 * n),
            tuple(tags.split("\n")) if tags else (),
        )


def _grams(text: str) -> Iterator[str]:
    unfolded = _ends(_unfolded(_excerpt(text)))  # one letter may become 18
    tokens = TOKEN.findall(unfolded.lower())
    yield from tokens
    yield from map(" ".join, pairwise(tokens))
    for word in dict.fromkeys(tokens):
        yield from _pieces(word)


def _unfolded(text: str) -> str:
    """Return the text with what means the same written alike.

    It is begun anew after thirty marks, because so many of one letter are sorted in a time that
    grows as the square of their number.

    source : Unicode Standard Annex 15, section 13, Stream-Safe Text Format
    """
    ends = [run.end() for run in MARKS.finditer(text)]
    pieces = pairwise([0, *ends, len(text)])
    return "".join(unicodedata.normalize("NFKC", text[start:end]) for start, end in pieces)


def _pieces(word: str) -> Iterator[str]:
    """Yield pieces that a word shares with its misspellings: four letters, or two wide ones."""
    size = 2 if WIDE.match(word) else PIECE
    if word[0].isalpha() and len(word) >= size + (size == PIECE):
        marked = f"<{word}>"
        yield from ("#" + marked[i : i + size] for i in range(len(marked) - size + 1))


def _excerpt(text: str) -> str:
    """Return the beginning and the end of a long text: what is asked stands in one of them."""
    words, half = text.split(), READ_WORDS // 2
    kept = words if len(words) <= READ_WORDS else [*words[:half], *words[-half:]]
    return _ends(" ".join(kept))


def _ends(text: str) -> str:
    half = READ_CHARS // 2
    return text if len(text) <= READ_CHARS else f"{text[:half]} {text[1 - half :]}"
