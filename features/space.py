"""The feature space: from a sketch to the context vector, frozen and versioned.

Version 0 is built in and knows facts and task tags; a retrain fits the next one to the team's own
prompts (`features/fit.py`), which adds the directions in which their words differ. Only numpy is
needed to use a space: rows of a matrix are gathered and added.
"""

import io
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from features.facts import NAMES, TYPICAL_MEAN, TYPICAL_SD
from features.sketch import BUCKETS, Sketch
from policy.types import Floats

WORDS = 31
TAGS = 16
GROUPS = ("facts",) * len(NAMES) + ("words",) * WORDS + ("task",) * TAGS + ("constant",)
D = len(GROUPS)
ENCODED = 4_096
"""Contexts that are remembered while a log is folded: each prompt of it comes more than once."""
CLIP = 3.0
TAG_NORM = 2.0


@dataclass(frozen=True, eq=False)
class Space:
    """A fitted map from sketches to contexts; `tags` are the tasks that were known when fitted.

    shapes : facts_mean, facts_sd (len(NAMES),); buckets, rarity (v,); directions (v, WORDS);
             words_mean, words_sd (WORDS,); tag_directions (len(tags), TAGS)
    """

    version: int
    facts_mean: Floats
    facts_sd: Floats
    buckets: NDArray[np.uint16]
    rarity: NDArray[np.float32]
    directions: NDArray[np.float32]
    words_mean: Floats
    words_sd: Floats
    tags: tuple[str, ...] = ()
    tag_directions: Floats = field(default_factory=lambda: np.zeros((0, TAGS)))

    @classmethod
    def built_in(cls) -> Self:
        """Return version 0, which serves from the first request and needs no prompts to fit on."""
        return cls(
            0,
            np.array(TYPICAL_MEAN),
            np.array(TYPICAL_SD),
            np.empty(0, np.uint16),
            np.empty(0, np.float32),
            np.empty((0, WORDS), np.float32),
            np.zeros(WORDS),
            np.ones(WORDS),
        )

    def context(self, sketch: Sketch) -> Floats:
        """Return the context vector of a prompt, last entry 1.

        shapes : (D,)

        >>> from features.prompt import Prompt
        >>> Space.built_in().context(Sketch.of(Prompt.of([]))).shape
        (64,)
        """
        facts = (sketch.facts - self.facts_mean) / self.facts_sd
        words = (self.words(sketch) - self.words_mean) / self.words_sd
        return np.concatenate(
            (np.clip(facts, -CLIP, CLIP), np.clip(words, -CLIP, CLIP), self._task(sketch), [1.0])
        )

    def encoded(self, stored: bytes) -> Floats:
        """Return the context of a sketch as it is stored in the log.

        shapes : (D,)
        """
        context = self._encoded.get(stored)
        if context is None:
            if len(self._encoded) >= ENCODED:
                self._encoded.clear()
            context = self._encoded[stored] = self.context(Sketch.from_bytes(stored))
        return context

    def words(self, sketch: Sketch) -> Floats:
        """Return where the prompt's words point, before standardising.

        shapes : (WORDS,)
        source : Salton and Buckley 1988 (log tf, idf, cosine); Deerwester et al. 1990
        """
        rows = self._rows[sketch.buckets]
        known = rows >= 0
        if not known.any():
            return self.words_mean
        weights = (1.0 + np.log(sketch.counts[known], dtype=float)) * self.rarity[rows[known]]
        pointing: Floats = weights @ self.directions[rows[known]] / np.sqrt(weights @ weights)
        return pointing

    def to_bytes(self) -> bytes:
        """Return the space as stored in the log, without pickle."""
        stored = io.BytesIO()
        np.savez_compressed(
            stored,
            version=np.array(self.version),
            facts=np.stack([self.facts_mean, self.facts_sd]),
            buckets=self.buckets,
            rarity=self.rarity,
            directions=self.directions,
            words=np.stack([self.words_mean, self.words_sd]),
            tags=np.array(self.tags, dtype=np.str_),
            tag_directions=self.tag_directions,
        )
        return stored.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Return the space that `to_bytes` gave; nothing stored means the built-in one.

        >>> Space.from_bytes(Space.built_in().to_bytes()).version
        0
        """
        if not stored:
            return cls.built_in()
        with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
            tags = tuple(map(str, arrays["tags"]))
            return cls(
                int(arrays["version"]),
                arrays["facts"][0],
                arrays["facts"][1],
                arrays["buckets"],
                arrays["rarity"],
                arrays["directions"],
                arrays["words"][0],
                arrays["words"][1],
                tags,
                # Once each known task had a slot of its own, which was not stored.
                arrays.get("tag_directions", np.eye(len(tags), TAGS)),
            )

    @cached_property
    def _encoded(self) -> dict[bytes, Floats]:
        return {}

    @cached_property
    def _rows(self) -> NDArray[np.int32]:
        rows = np.full(BUCKETS, -1, np.int32)
        rows[self.buckets] = np.arange(len(self.buckets))
        return rows

    def _task(self, sketch: Sketch) -> Floats:
        """Return the task part: where a task points that was known when fitted, else nothing.

        Before any fit a task points where its code does: random signs are nearly orthogonal, so
        that tasks are told apart from the first one.
        """
        task = np.zeros(TAGS)
        for tag in sketch.tags:
            if tag in self.tags:
                task += TAG_NORM * self.tag_directions[self.tags.index(tag)]
            elif not self.tags:
                task += TAG_NORM * code(tag)
        return task


def code(tag: str) -> Floats:
    """Return the direction of a tag that no fit has seen: random signs of length 1, by its name."""
    bits = np.unpackbits(np.frombuffer(blake2b(tag.encode(), digest_size=TAGS // 8).digest(), "B"))
    signs: Floats = (2.0 * bits - 1.0) / np.sqrt(TAGS)
    return signs
