"""When two questions may be the same one: what must agree, whatever a similarity says.

A model of language finds "enable" and "disable", or Paris to London and London to Paris, more alike
than many paraphrases. So numbers, negations, names, opposites, quotations and the order of what
both say must be equal first. Only hashes of words are kept.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.wording import Wording

HASH_BYTES = 16
HEADER = struct.Struct("<BHHH")
FORMAT = 1
# Counts up when questions are read in another way: what was stored before is then no equal.
READING = "2"
# Beyond so many shared words one that is added or left out hardly moves a similarity.
LONG = 8
FEW = 2
NO_VECTOR = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What is kept and compared of a question.

    `whole` hashes all its words, `marks` those that a paraphrase cannot change. `vector` is what a
    model of language makes of it, of length one; empty without a model.

    shapes : words (number of words,), names (number of names,), vector (dimensions of the model,)
    """

    whole: bytes
    marks: bytes
    words: NDArray[np.uint32]
    names: NDArray[np.uint32]
    vector: NDArray[np.float32]

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Return the likeness of a question; None where only the very same text will do.

        >>> asked = Likeness.of("Could you tell me the capital of France, please?")
        >>> asked.whole == Likeness.of("What's the capital of France").whole
        True
        >>> asked.whole == Likeness.of("What's the capital of Spain").whole
        False
        """
        wording = Wording.of(text)
        if wording is None:
            return None
        words, names = _hashes(wording.words), _hashes(wording.names)
        whole, marks = _hash([READING, *wording.words]), _hash([READING, *wording.marks])
        return cls(whole, marks, words, names, NO_VECTOR)

    def with_vector(self, vector: NDArray[np.float32], model: str) -> Self:
        """Return the likeness by a model, which is comparable with those of this model only."""
        return replace(self, marks=_hash([self.marks.hex(), model]), vector=vector)

    def may_be(self, other: Self) -> bool:
        """Return whether nothing forbids that both ask the same; a similarity must still say so."""
        if self.marks != other.marks:
            return False
        if not (np.isin(self.names, other.words).all() and np.isin(other.names, self.words).all()):
            return False
        ours, theirs = np.isin(self.words, other.words), np.isin(other.words, self.words)
        if not np.array_equal(self.words[ours], other.words[theirs]):
            return False
        return not _is_edit(int((~ours).sum()), int((~theirs).sum()), int(ours.sum()))

    def to_bytes(self) -> bytes:
        """Return the likeness as stored: hashes, and the vector of the model."""
        sizes = (len(self.words), len(self.names), len(self.vector))
        parts = (self.words.astype("<u4"), self.names.astype("<u4"), self.vector.astype("<f4"))
        header = HEADER.pack(FORMAT, *sizes) + self.whole + self.marks
        return header + b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Return the likeness that `to_bytes` gave.

        >>> likeness = Likeness.of("Why is the sky blue?")
        >>> Likeness.from_bytes(likeness.to_bytes()).may_be(likeness)
        True
        """
        _, words, names, dimensions = HEADER.unpack_from(stored)
        at = HEADER.size + 2 * HASH_BYTES
        return cls(
            stored[HEADER.size : HEADER.size + HASH_BYTES],
            stored[HEADER.size + HASH_BYTES : at],
            np.frombuffer(stored, "<u4", words, at),
            np.frombuffer(stored, "<u4", names, at + 4 * words),
            np.frombuffer(stored, "<f4", dimensions, at + 4 * (words + names)),
        )


def _is_edit(ours: int, theirs: int, shared: int) -> bool:
    """Return whether few words differ where all else is equal: then it is they that matter.

    A similarity of the whole misses one word of many, and in a short text a row for a column.
    """
    if ours and theirs:
        return max(ours, theirs) <= max(FEW, shared // 2)
    return shared > LONG


def _hash(words: Sequence[str]) -> bytes:
    text = "\x1f".join(words).encode("utf-8", "replace")
    return blake2b(text, digest_size=HASH_BYTES).digest()


def _hashes(words: Sequence[str]) -> NDArray[np.uint32]:
    return np.frombuffer(b"".join(_hash([word])[:4] for word in words), "<u4")
