"""Text from providers and files with every secret taken out, short enough to show.

One choke point: whatever a provider or a configuration file says passes here before it becomes part
of an error, a log line or an answer to a caller.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policy.letters import texts_in

MAX_CHARS = 300
HIDDEN = "[redacted]"
QUOTED = "[prompt]"
QUOTED_CHARS = 8
MULTIPLIER = 0x9E3779B97F4A7C15
TOP = np.uint64(48)
READ_CHARS = 1 << 16
Numbers = NDArray[np.uint64]
# Where prompts stand in a body, and what stands there besides that is none.
SAID = ("messages", "prompt", "input", "instructions")
NO_WORDS = frozenset({"role", "type", "name", "id", "tool_call_id"})
SECRET_SHAPES = re.compile(
    r"(?i)\b(?:sk|rk|pk)[-_][a-z0-9_*.-]{6,}|\bbearer\s+\S+"
    # Of a field `api_key` we say ourselves that it is unknown, which is no key.
    r"|(?:\bapi[-_]?|[?&])key\s*[=:]\s*(?!unknown field\b)[^\s,;}]+"
)
WORD = re.compile(r"\w+")
PLAIN = frozenset(
    WORD.findall("""
    a again all allowed an and another any api are array as at be because but by call calls can
    cannot check code completion content context could current details did do does due empty
    enough error exceed exceeded exceeding exceeds exist expected failed field fields filter
    filtered first for format found from function functions greater has have how however id if
    image images in input integer internal invalid is it its json key last later least length
    less like limit limits list longer many maximum message messages min minimum minute missing
    model modify more most must name need needed no not number object of on one only or
    organization other out output parameter parameters per plan please policy prompt prompts
    provided quota rate reached reduce request requested requests required resource response
    resulted retry role rpm s safety schema second seconds see server service should size soon
    string support supported system t temporarily text than that the their then there these they
    this time to token tokens too tool tools tpm triggered triggering try type unavailable
    unexpected unknown unsupported up url usage use used user uses using value values was we
    were what when where which will with within without you your
    """)
)
"""Whoever reads one of them in an error has read nothing of a prompt."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def redacted(
    text: str, secrets: Iterable[str] = (), prompts: Iterable[str] = (), most: int = MAX_CHARS
) -> str:
    r"""Return `text` on one line, without `secrets` or anything that looks like a key, capped.

    Nor does it quote any of the `prompts`.

    >>> redacted("no such key: hunter2\nsk-abc123def", ["hunter2"])
    'no such key: [redacted] [redacted]'
    """
    text = _UNPRINTABLE.sub(" ", without(text, secrets)).strip()
    # With some more of it than is shown, so that a quotation at its end is still seen as one.
    told = unquoted(text[: 2 * most], prompts)
    return told if len(told) <= most else told[: most - 1] + "…"


def unquoted(text: str, prompts: Iterable[str]) -> str:
    """Return `text` without any eight characters in a row that stand in one of the `prompts`.

    What is left of them are words that errors are made of, which a long prompt has most of.

    >>> unquoted("I cannot say 'my name is Ann' aloud", ["Please sing: My name is Ann!"])
    "I cannot say '[prompt]' aloud"
    >>> unquoted("the maximum length is 10", ["What is the maximum length of a pea?"])
    'the maximum length is 10'
    """
    lowered = text.lower()
    if len(lowered) != len(text):  # a letter that is two in lower case: places would not match
        return QUOTED
    quoted = bytearray(len(text))
    for at in np.flatnonzero(_stand_in("\0".join(prompts).lower(), numbered(lowered))):
        quoted[at : at + QUOTED_CHARS] = bytes([1]) * QUOTED_CHARS
    for start, end in reversed(list(_runs(quoted))):
        for first, last in _hidden(lowered, start, end):
            text = text[:first] + QUOTED + text[last:]
    return text


def _runs(quoted: bytearray) -> Iterator[tuple[int, int]]:
    """Yield where each quotation starts and ends."""
    start = 0
    for is_quote, run in groupby(quoted):
        end = start + len(list(run))
        if is_quote:
            yield start, end
        start = end


def _hidden(lowered: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield what of a quotation is hidden, if anything: all but the plain words at its ends."""
    words = [word for word in WORD.finditer(lowered) if word.start() < end and start < word.end()]
    telling = [n for n, word in enumerate(words) if word.group() not in PLAIN]
    if telling or not words:
        first, last = min(telling, default=0), max(telling, default=-1)
        yield (
            start if first == 0 else words[first].start(),
            end if last in (-1, len(words) - 1) else words[last].end(),
        )


def _stand_in(said: str, pieces: Numbers) -> NDArray[np.bool_]:
    """Return of each piece whether it stands in what was said, which is read once."""
    may_be = np.zeros(1 << 16, bool)
    may_be[pieces >> TOP] = True
    found = np.zeros(len(pieces), bool)
    for start in range(0, len(said), READ_CHARS):
        known = numbered(said[start : start + READ_CHARS + QUOTED_CHARS - 1])
        found |= np.isin(pieces, known[may_be[known >> TOP]])
    return found


def numbered(text: str) -> Numbers:
    """Return a number for every eight characters in a row, by which they are known.

    >>> bool(numbered("to be or")[0] == numbered("not to be or")[4])
    True
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    for width in (1, 2, 4):
        codes = codes[:-width] * np.uint64(pow(MULTIPLIER, width, 1 << 64)) + codes[width:]
    return codes


def said_in(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield every text that a request says: of its messages, or of what stands in their place."""
    for name in SAID:
        yield from texts_in(body.get(name), NO_WORDS)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without `secrets` or anything that looks like a key.

    >>> without("Authorization: Bearer abc", [])
    'Authorization: [redacted]'
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return SECRET_SHAPES.sub(HIDDEN, text)
