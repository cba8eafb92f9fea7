"""How money, numbers and moments are written: short, and the same everywhere."""

from datetime import UTC, datetime
from math import floor, log10

from policy.types import DAY_S, HOUR_S, MINUTE_S

NONE = "–"  # noqa: RUF001 (a dash, where there is no number)
CENTS = 2
"""Decimals of a cent."""
MANY = 100_000


def dollars(usd: float | None) -> str:
    """Return an amount: in cents, or with two digits that count where that takes more places.

    >>> dollars(1234.5), dollars(0.5), dollars(0.0149), dollars(0.000123), dollars(0.01)
    ('$1,234.50', '$0.50', '$0.015', '$0.00012', '$0.01')
    >>> dollars(-3.0), dollars(0.0)
    ('-$3.00', '$0')
    """
    if usd is None:
        return NONE
    sign, size = "-" if usd < 0 else "", abs(usd)
    if size == 0:
        return "$0"
    places = min(max(CENTS, 1 - floor(log10(size))), 12)
    whole, _, part = f"{size:,.{places}f}".partition(".")
    return f"{sign}${whole}.{part.rstrip('0').ljust(CENTS, '0')}"


def percent(share: float | None, places: int = 0) -> str:
    """Return a share in percent; one that is not quite nothing or all does not look so.

    >>> percent(0.4567), percent(0.4567, 1), percent(0.001), percent(0.9999), percent(0.0)
    ('46 %', '45.7 %', '<1 %', '>99 %', '0 %')
    """
    if share is None:
        return NONE
    least = 10.0**-places
    shown = 100 * share
    if 0 < shown < least:
        return f"<{least:.{places}f} %"
    if 100 - least < shown < 100:  # noqa: PLR2004
        return f">{100 - least:.{places}f} %"
    return f"{shown:.{places}f} %"


def count(number: float | None) -> str:
    """Return a number of things; what taking some back leaves of rounding is none.

    >>> count(1234), count(1234567), count(12.34), count(199.9999), count(-1e-13)
    ('1,234', '1.23 M', '12.3', '200', '0')
    """
    if number is None:
        return NONE
    number = round(number, 1) + 0.0  # a zero has no sign then
    if number >= 10 * MANY:
        return f"{number / 1e6:.2f} M"
    if number == int(number) or number >= MANY:
        return f"{number:,.0f}"
    return f"{number:,.1f}"


def counted(number: int, thing: str) -> str:
    """Return so many of a thing, one of it without its last letter.

    >>> counted(1, "prompts"), counted(0, "prompts"), counted(1234, "prompts")
    ('1 prompt', '0 prompts', '1,234 prompts')
    """
    return f"{count(number)} {thing[:-1] if number == 1 else thing}"


def seconds(s: float | None) -> str:
    """Return a duration.

    >>> seconds(0.0123), seconds(2.345), seconds(90), seconds(7200), seconds(200_000)
    ('12 ms', '2.3 s', '1.5 min', '2.0 h', '2.3 days')
    """
    if s is None:
        return NONE
    if s < 1:
        return f"{1000 * s:.0f} ms"
    for unit_s, name in ((DAY_S, "days"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if s >= unit_s:
            return f"{s / unit_s:.1f} {name}"
    return f"{s:.1f} s"


def moment(at_s: float | None) -> str:
    """Return a moment in UTC, to the second.

    >>> moment(1_800_000_000)
    '15 Jan 2027, 08:00:00'
    """
    if at_s is None:
        return NONE
    return f"{datetime.fromtimestamp(at_s, UTC):%-d %b %Y, %H:%M:%S}"


def iso(at_s: float) -> str:
    """Return a moment as machines read it.

    >>> iso(1_800_000_000)
    '2027-01-15T08:00:00+00:00'
    """
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def ago(s: float) -> str:
    """Return how long something is past.

    >>> ago(3), ago(600), ago(7200), ago(200_000)
    ('just now', '10 min ago', '2 h ago', '2 days ago')
    """
    for unit_s, name in ((DAY_S, "days"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if s >= unit_s:
            told = f"{s / unit_s:.0f} {name} ago"
            return told.replace("1 days", "1 day") if told.startswith("1 days") else told
    return "just now"


def decimals(number: float | None, places: int = 2) -> str:
    """Return a number with so many decimals.

    >>> decimals(0.5), decimals(2.0, 0)
    ('0.50', '2')
    """
    return NONE if number is None else f"{number:.{places}f}"


def clipped(number: float) -> float:
    """Return a number that is no less than 0 and no more than 1, as what it predicts cannot be.

    >>> clipped(1.02), clipped(0.5), clipped(-0.1)
    (1.0, 0.5, 0.0)
    """
    return min(max(number, 0.0), 1.0)


def signed(number: float | None, places: int = 3) -> str:
    """Return a difference with its sign.

    >>> signed(0.0123), signed(-0.5, 1), signed(-0.0004)
    ('+0.012', '-0.5', '+0.000')
    """
    if number is None:
        return NONE
    return f"{round(number, places) + 0.0:+.{places}f}"  # nothing is not less than nothing
