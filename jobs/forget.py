"""Forget a tenant or a session: what stays of their decisions is figures, and nobody's.

Text, hash and hashed words go, and with them the part of the context that came from words: it is
computed anew from the facts alone, in the space of the time. What the policy had learned of the
words is unlearned by the fold that follows; what it had learned of the facts stays, unsigned.
"""

from collections.abc import Iterator
from functools import lru_cache

from features.sketch import Sketch
from features.space import Space
from storage.erasing import FORGOTTEN, Whose, space, theirs
from storage.rows import Row
from storage.sql import AskLog
from storage.words import Stripped

PIECE = 500


def stripped(ask: AskLog, whose: Whose) -> Iterator[list[Stripped]]:
    """Yield what is to stay of their decisions, a piece at a time, however many there are."""

    @lru_cache(maxsize=4)
    def of_version(version: int) -> Space:
        return Space.from_bytes(space(ask, version))

    for rows in theirs(ask, whose, PIECE):
        yield [_stripped(row, of_version(row["feature_version"]), whose) for row in rows]


def _stripped(row: Row, space_then: Space, whose: Whose) -> Stripped:
    sketch = Sketch.from_bytes(row["sketch"]).without_words()
    # Of a session only the conversation goes: the tenant keeps what it has paid for.
    is_all = whose.session is None
    return Stripped(
        decision_id=row["id"],
        tenant=FORGOTTEN if is_all else row["tenant"],
        key_id=None if is_all else row["key_id"],
        sketch=sketch.to_bytes(),
        context=space_then.context(sketch),
    )
