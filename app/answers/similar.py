"""Questions in other words: what is stored of each, and which stored one asks the same.

Without a model only small words may differ. With one, more may, within the same limits; a model
that fails or cannot tell two unrelated questions apart is left alone for a while.
"""

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from structlog import get_logger

from app.processes.journal import told
from features.likeness import Likeness
from features.nearest import Nearest
from policy.errors import NotServed, UpstreamError
from storage.cache_file import StoredAnswer
from upstream.embeddings import Embeddings

LOGGER = get_logger()
LEFT_ALONE_S = 30.0
# No two questions have less in common; a model that finds them alike finds everything alike.
UNRELATED = ("How long do I boil an egg?", "Which treaty ended the Thirty Years' War?")


class Similar:
    """The index of stored questions by what they ask; safe for many threads."""

    def __init__(self, least: float, embeddings: Embeddings | None) -> None:
        self._least = least
        self._embeddings = embeddings
        self._nearest = Nearest()
        self._not_before_s = 0.0
        self._is_trusted = False

    def likeness(self, question: str) -> Likeness | None:
        """Return what is compared of a question; None where only the very same text will do."""
        likeness = Likeness.of(question)
        vector = None if likeness is None else self._vector(question)
        if likeness is None or vector is None or self._embeddings is None:
            return likeness
        return likeness.with_vector(vector, self._embeddings.model)

    def add(self, answer: StoredAnswer) -> None:
        """Remember what an answer answers."""
        if answer.likeness:
            self._nearest.add(answer.key, answer.kin, Likeness.from_bytes(answer.likeness))

    def load(self, stored: Iterator[tuple[bytes, bytes, bytes]]) -> None:
        """Remember what was stored before the start: key, kin and likeness of each."""
        for key, kin, likeness in stored:
            self._nearest.add(key, kin, Likeness.from_bytes(likeness))

    def forget(self, keys: list[bytes]) -> None:
        """Forget answers that are gone."""
        self._nearest.forget(keys)

    def find(self, kin: bytes, likeness: Likeness) -> list[bytes]:
        """Return the keys of answers to the same question, best first."""
        return self._nearest.find(kin, likeness, self._least)

    def _vector(self, text: str) -> NDArray[np.float32] | None:
        if self._embeddings is None or time.monotonic() < self._not_before_s:
            return None
        try:
            self._require_trusted(self._embeddings)
            return self._embeddings.vector(text)
        except (UpstreamError, NotServed) as error:
            self._not_before_s = time.monotonic() + LEFT_ALONE_S
            LOGGER.warning("the cache goes on without embeddings", **told(error))
            return None

    def _require_trusted(self, embeddings: Embeddings) -> None:
        """Ask the model of two unrelated questions, once."""
        if self._is_trusted:
            return
        one, other = (embeddings.vector(text) for text in UNRELATED)
        similarity = float(one @ other) if len(one) == len(other) else np.nan
        if not similarity < self._least:
            raise UpstreamError(
                f"{embeddings.model} finds two unrelated questions {similarity:.3f} alike; "
                f"it must be below {self._least}",
                arm=embeddings.model,
            )
        self._is_trusted = True
