"""Decision ids: ordered by time, impossible to guess, safe in a header, a file name and a log."""

import secrets
import time

PREFIX = "tp-"


def decision_id() -> str:
    """Return a new id: a UUID of version 7 in hexadecimal, after a prefix that says whose it is.

    source : RFC 9562, 5.7

    >>> len(decision_id()), decision_id() != decision_id()
    (35, True)
    """
    milliseconds = time.time_ns() // 1_000_000
    chance = secrets.randbits(74)
    high, low = chance >> 62, chance & ((1 << 62) - 1)
    number = milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    return f"{PREFIX}{number:032x}"
