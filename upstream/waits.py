"""How long a provider asks to be left alone, in whichever of the ways it says so."""

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC

MAX_WAIT_S = 300.0
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)


def wait_s(headers: Mapping[str, str], error: object = None) -> float | None:
    """Return the seconds a refusal asks for, capped; None where nothing in it makes sense.

    That is `retry-after-ms` (OpenAI, Azure), which is finer, else `Retry-After`, else what stands
    in the error itself as a `google.rpc.RetryInfo` (Gemini, which sends no header).

    >>> wait_s({"retry-after-ms": "1500", "retry-after": "2"}), wait_s({"retry-after": "1e9"})
    (1.5, 300.0)
    >>> wait_s({"retry-after": "-1"}), wait_s({"retry-after": "soon"}), wait_s({})
    (None, None, None)
    >>> wait_s({}, {"details": [{"@type": "a/google.rpc.RetryInfo", "retryDelay": "34.5s"}]})
    34.5
    """
    told = headers.get("retry-after")
    finer = _number(headers.get("retry-after-ms")) / 1000
    asked = (finer, _number(told), _seconds_until(told), *_delays(error))
    sensible = (each for each in asked if math.isfinite(each) and each >= 0)
    first = next(sensible, None)
    return None if first is None else min(first, MAX_WAIT_S)


def _number(told: str | None) -> float:
    try:
        return math.nan if told is None else float(told)
    except ValueError:
        return math.nan


def _seconds_until(http_date: str | None) -> float:
    try:
        moment = email.utils.parsedate_to_datetime(http_date or "")
    except (ValueError, TypeError, IndexError, OverflowError):  # what it raises by what it is given
        return math.nan
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() - time.time()


def _delays(error: object) -> Iterator[float]:
    details = error.get("details") if isinstance(error, Mapping) else None
    for each in details if isinstance(details, list) else []:
        delay = each.get("retryDelay") if isinstance(each, Mapping) else None
        found = _DURATION.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            yield float(found[1])
