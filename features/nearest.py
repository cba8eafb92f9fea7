"""The stored questions of a process by what they ask: found by hash, or nearest by a model.

What must be equal is one key of a dictionary; only what is left is compared, so that a look costs
a product of a few hundred rows and not of all. Safe for many threads.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from features.likeness import Likeness

Group = tuple[bytes, bytes]
MOST = 8


class Nearest:
    """Which stored question is like a new one; `kin` is what must be equal besides the wording."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[bytes, Likeness]] = {}
        self._same: dict[Group, dict[bytes, None]] = defaultdict(dict)
        self._alike: dict[Group, dict[bytes, Likeness]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: bytes, kin: bytes, likeness: Likeness) -> None:
        """Remember a question under a key; the same key again replaces it."""
        with self._lock:
            self._forget(key)
            self._known[key] = (kin, likeness)
            self._same[kin, likeness.whole][key] = None
            if len(likeness.vector):
                self._alike[kin, likeness.marks][key] = likeness

    def forget(self, keys: Iterable[bytes]) -> None:
        """Forget questions; one that is not known is no matter."""
        with self._lock:
            for key in keys:
                self._forget(key)

    def find(self, kin: bytes, likeness: Likeness, least: float) -> list[bytes]:
        """Return the keys of questions that ask the same, best first and at most `MOST`.

        Those with the same words come first, the newest before the others; then those at least so
        similar by the model that nothing else forbids.
        """
        with self._lock:
            same = list(self._same.get((kin, likeness.whole), ()))[::-1]
            alike = dict(self._alike.get((kin, likeness.marks), {}))
        found = [*same, *_nearest(alike, likeness, least)]
        return list(dict.fromkeys(found))[:MOST]

    def _forget(self, key: bytes) -> None:
        if key not in self._known:
            return
        kin, likeness = self._known.pop(key)
        same, alike = (kin, likeness.whole), (kin, likeness.marks)
        self._same[same].pop(key)
        if not self._same[same]:
            del self._same[same]
        if len(likeness.vector):
            self._alike[alike].pop(key)
            if not self._alike[alike]:
                del self._alike[alike]


def _nearest(alike: dict[bytes, Likeness], likeness: Likeness, least: float) -> Iterator[bytes]:
    """Yield the keys of what is similar enough, the most similar first."""
    fits = {
        key: each for key, each in alike.items() if len(each.vector) == len(likeness.vector) > 0
    }
    if not fits:
        return
    keys = list(fits)
    similarity = np.stack([each.vector for each in fits.values()]) @ likeness.vector
    for i in np.argsort(-similarity):
        if similarity[i] < least:
            return
        if fits[keys[i]].may_be(likeness):
            yield keys[i]
