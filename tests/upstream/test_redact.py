"""Secrets and control characters do not pass."""

import pytest

from upstream.redact import redacted


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Incorrect API key provided: sk-proj-AbC123xyz987.", "AbC123xyz987"),
        ("header Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("https://host/v1?api_key=abcdef", "abcdef"),
        ("x-api-key: abcdef", "abcdef"),
        ("you sent my-own-secret-value", "my-own-secret-value"),
    ],
)
def test_what_looks_like_a_key_or_is_one_is_taken_out(text: str, secret: str) -> None:
    assert secret not in redacted(text, ["my-own-secret-value", ""])


@pytest.mark.parametrize("text", ["no key here", "the task-list and desk-lamp", "a bear in a tree"])
def test_ordinary_words_stay(text: str) -> None:
    assert redacted(text) == text


def test_the_text_is_one_line_of_at_most_300_characters() -> None:
    assert redacted("a\r\nb\x00\x1b[31m\u2028c\ud800") == "a b [31m c"
    assert len(redacted("x" * 1000)) == 300
