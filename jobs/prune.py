"""Find the texts and hashes whose keeping time is over; contexts, rewards and figures stay.

Nothing is written here: the writer of the log takes out what it is handed, piece by piece, so that
requests wait for no long deletion and a job that is killed is gone on with.
"""

from dataclasses import dataclass

from storage.erasing import overdue
from storage.sql import Ask
from storage.words import Expiry, Form

PIECE = 1_000
FOREVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how long words are kept, and in which forms; without hashes every one is overdue.

    units  : texts_s, hashes_s in seconds
    """

    forms: tuple[Form, ...]
    hashes: bool
    texts_s: float
    hashes_s: float

    def overdue(self, ask: Ask, now_s: float) -> list[Expiry]:
        """Return a piece of what must go now; nothing when all that is there may stay."""
        hashes_before_s = now_s - self.hashes_s if self.hashes else FOREVER_S
        return overdue(ask, self.forms, now_s - self.texts_s, hashes_before_s, PIECE)
