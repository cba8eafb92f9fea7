"""How many tokens a text is about, before anybody has counted: by its letters alone."""

import re

WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_NARROW_PER_TOKEN = 4.0
_WIDE_PER_TOKEN = 1.5


def about_tokens(text: str) -> float:
    """Return about how many tokens a provider counts of a text.

    >>> about_tokens("x" * 400), about_tokens("你好世界你好")
    (100.0, 4.0)
    """
    wide = 0 if text.isascii() else len(WIDE.findall(text))
    return (len(text) - wide) / _NARROW_PER_TOKEN + wide / _WIDE_PER_TOKEN
