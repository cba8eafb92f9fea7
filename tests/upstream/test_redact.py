"""Secrets and control characters do not pass."""

import random
import re

import pytest

from upstream.redact import PLAIN, QUOTED, READ_CHARS, numbered, redacted, unquoted


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


def test_where_small_letters_are_more_than_large_ones_all_is_hidden() -> None:
    assert unquoted("\u0130 cannot say my name is Ann", ["my name is Ann"]) == QUOTED


def by_hand(text: str, prompts: list[str]) -> str:
    """Return what `unquoted` must, found by looking for every eight characters in every prompt."""
    hidden = set()
    for at in range(len(text) - 7):
        if any(text[at : at + 8].lower() in prompt.lower() for prompt in prompts):
            hidden |= set(range(at, at + 8))
    return re.sub("\0+", QUOTED, "".join("\0" if i in hidden else c for i, c in enumerate(text)))


@pytest.mark.parametrize("letters", ["xy", "xY é", "我們說話", "x\U0001f600"])
def test_no_eight_characters_in_a_row_of_a_prompt_stay_and_all_else_does(letters: str) -> None:
    rng, some = random.Random(letters), False
    for _ in range(200):
        said = ["".join(rng.choices(letters, k=rng.randrange(60))) for _ in range(3)]
        text = "".join(rng.choices(letters, k=rng.randrange(40)))
        assert unquoted(text, said) == by_hand(text, said)
        some = some or QUOTED in unquoted(text, said) != QUOTED
    assert some


LONG = f"""Is it that this model's maximum context length is 8192 tokens? My name is Ann Doe, I live
at 15013 Elm Street. I will not reduce the length of the messages. {" ".join(sorted(PLAIN))}"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("Please reduce the length of the messages.", "Please reduce the length of the messages."),
        ("This model's maximum context length", "This model's maximum context length"),
        ("You cannot say My name is Ann here", f"You cannot say{QUOTED}here"),
        ("resulted in 15013 tokens at 15013 Elm", f"resulted in 15013 tokens at {QUOTED}"),
        ("one of ann doe, or none", f"one of{QUOTED}or none"),
        ("length is 8192 tokens at most", f"length is {QUOTED} tokens at most"),
    ],
)
def test_what_errors_are_made_of_stays_whatever_the_prompt(error: str, told: str) -> None:
    assert unquoted(error, [LONG]) == told


def test_a_large_prompt_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(
        "upstream.redact.numbered", lambda text: read.append(len(text)) or numbered(text)
    )
    prompt = "".join(random.Random(0).choices("abcdefgh ", k=50 * READ_CHARS))
    across = prompt[READ_CHARS - 4 : READ_CHARS + 4]
    error = f"{'0123456789' * 50}{across}{prompt[-8:]}"
    assert unquoted(error, [prompt]) == error[:500] + QUOTED
    assert sum(read) <= len(prompt) + len(error) + 50 * 8
