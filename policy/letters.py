"""The texts in a piece of JSON, and about how many tokens one is: by its letters alone."""

import re
from collections.abc import Collection, Iterator, Mapping

WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
IMAGE_TOKENS = 800
"""About how many a picture is counted as."""
_NARROW_PER_TOKEN = 4.0
_WIDE_PER_TOKEN = 1.5


def about_tokens(text: str) -> float:
    """Return about how many tokens a provider counts of a text.

    >>> about_tokens("x" * 400), about_tokens("你好世界你好")
    (100.0, 4.0)
    """
    wide = 0 if text.isascii() else len(WIDE.findall(text))
    return (len(text) - wide) / _NARROW_PER_TOKEN + wide / _WIDE_PER_TOKEN


def texts_in(value: object, but: Collection[str]) -> Iterator[str]:
    """Yield every text in a piece of JSON, `but` what stands under these names.

    >>> list(texts_in({"role": "user", "content": [{"text": "hi"}]}, {"role"}))
    ['hi']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in but:
                yield from texts_in(each, but)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each, but)
