"""Text from providers and files with every secret taken out, short enough to show.

One choke point: whatever a provider or a configuration file says passes here before it becomes part
of an error, a log line or an answer to a caller.
"""

import re
from collections.abc import Iterable

MAX_CHARS = 300
HIDDEN = "[redacted]"
_SECRET_SHAPES = re.compile(
    r"(?i)\b(?:sk|rk|pk)[-_][a-z0-9_*.-]{6,}|\bbearer\s+\S+|(?:\bapi[-_]?|[?&])key\s*[=:]\s*[^\s,;}]+"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    r"""Return `text` on one line, without `secrets` or anything that looks like a key, capped.

    >>> redacted("no such key: hunter2\nsk-abc123def", ["hunter2"])
    'no such key: [redacted] [redacted]'
    """
    text = _UNPRINTABLE.sub(" ", without(text, secrets)).strip()
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without `secrets` or anything that looks like a key.

    >>> without("Authorization: Bearer abc", [])
    'Authorization: [redacted]'
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return _SECRET_SHAPES.sub(HIDDEN, text)
