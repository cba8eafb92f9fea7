"""A sketch keeps what a space needs, survives storage, and cannot be made to work without end."""

import re
from collections import Counter
from dataclasses import replace
from time import process_time

import numpy as np
import pytest

from features.facts import TYPICAL_MEAN
from features.prompt import Prompt
from features.sketch import BUCKETS, READ_CHARS, READ_WORDS, SIGNS, Sketch
from tests.features.texts import STRANGE, asked, sketches

SENTENCE = "Why is my invoice 20417 overdue, and who can refund it?"


def same(one: Sketch, other: Sketch) -> bool:
    return (
        np.array_equal(one.facts, other.facts)
        and np.array_equal(one.buckets, other.buckets)
        and np.array_equal(one.counts, other.counts)
        and one.tags == other.tags
    )


def reflected_crc(data: bytes) -> int:
    """Return CRC-32 as its definition divides: bit by bit, polynomial 0xEDB88320."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 * (remainder & 1))
    return remainder ^ 0xFFFFFFFF


@pytest.mark.parametrize("text", [*STRANGE.values(), SENTENCE], ids=[*STRANGE, "sentence"])
def test_what_is_stored_is_what_is_read_back(text: str) -> None:
    sketch = Sketch.of(asked(text, "support/été"))
    stored = sketch.to_bytes()
    assert same(Sketch.from_bytes(stored), sketch)
    assert Sketch.from_bytes(stored).to_bytes() == stored


def test_a_sketch_of_before_signs_were_counted_has_as_many_as_is_typical() -> None:
    sketch = Sketch.of(asked("Where is it?\nOrder 4711, please.", "support"))
    before = bytes([1]) + sketch.to_bytes()[1:]  # its lines stood where signs stand now
    read = Sketch.from_bytes(before)
    assert read.facts[SIGNS] == TYPICAL_MEAN[SIGNS] != sketch.facts[SIGNS]
    assert same(replace(read, facts=sketch.facts), sketch)
    np.testing.assert_array_equal(np.delete(read.facts, SIGNS), np.delete(sketch.facts, SIGNS))


def test_a_hundred_words_take_about_two_kilobytes() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), rng.integers(2, 9))) for _ in range(100)]
    assert 1_000 < len(Sketch.of(asked(" ".join(words))).to_bytes()) < 2_500


def test_the_grams_of_a_small_text_are_those_counted_by_hand() -> None:
    words, pairs = ["tax", "tax", "rates", "?"], ["tax tax", "tax rates", "rates ?"]
    pieces = ["#<rat", "#rate", "#ates", "#tes>"]  # tax is too short to have any
    by_hand = Counter([*words, *pairs, *pieces])
    hashed = {reflected_crc(gram.encode()) % BUCKETS: n for gram, n in by_hand.items()}
    sketch = Sketch.of(asked("Tax tax rates?"))
    assert dict(zip(sketch.buckets.tolist(), sketch.counts.tolist(), strict=True)) == hashed
    assert sketch.buckets.tolist() == sorted(hashed)


@pytest.mark.parametrize(
    "word", ["नदी", "வரி", "ภาษี", "שָׁלֹם"], ids=["hindi", "tamil", "thai", "hebrew"]
)
def test_a_word_is_one_although_its_vowels_are_marks(word: str) -> None:
    pieces = ["#" + f"<{word}>"[i : i + 4] for i in range(len(word) - 1)] if len(word) > 4 else []
    by_hand = {reflected_crc(gram.encode()) % BUCKETS for gram in [word, f"{word} {word}", *pieces]}
    assert set(Sketch.of(asked(f"{word} {word}")).buckets.tolist()) == by_hand


@pytest.mark.parametrize(
    "other",
    [
        SENTENCE.upper(),
        SENTENCE.lower(),
        SENTENCE.replace(" ", "  "),
        f"\n\t {SENTENCE.replace(' ', chr(10))} ",
        SENTENCE.replace("ff", "\ufb00").replace("fu", "\uff46\uff55"),
        SENTENCE.replace(" ", " " * READ_CHARS),
    ],
    ids=["upper", "lower", "double spaces", "line ends", "other forms", "very wide spaces"],
)
def test_case_spacing_and_the_form_of_letters_change_no_word(other: str) -> None:
    one, two = Sketch.of(asked(SENTENCE)), Sketch.of(asked(other))
    np.testing.assert_array_equal(one.buckets, two.buckets)
    np.testing.assert_array_equal(one.counts, two.counts)


def test_a_misspelt_word_still_shares_most_of_its_pieces() -> None:
    right, wrong, foreign = (
        set(Sketch.of(asked(word)).buckets.tolist())
        for word in ("reimbursement", "reimbursment", "philharmonic")
    )
    assert len(right & wrong) >= len(right) / 2
    assert not right & foreign


def test_chinese_has_words_although_it_has_no_spaces() -> None:
    one = set(Sketch.of(asked("请问这份发票什么时候可以退款")).buckets.tolist())
    same_subject = set(Sketch.of(asked("这份发票可以退款吗")).buckets.tolist())
    other_subject = set(Sketch.of(asked("今天天气怎么样")).buckets.tolist())
    assert len(one & same_subject) >= 4
    assert len(one & other_subject) <= 1


def test_a_count_that_does_not_fit_a_byte_stops_at_its_end() -> None:
    sketch = Sketch.of(asked("so " * 400))
    assert sketch.counts.max() == 255


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    half = READ_WORDS // 2
    first, middle, last = ([f"{name}{i}" for i in range(half)] for name in "fml")
    long = asked(" ".join(first + middle * 100 + last))
    short = asked(" ".join(first + last))
    np.testing.assert_array_equal(Sketch.of(long).buckets, Sketch.of(short).buckets)


@pytest.mark.parametrize(
    "long",
    ["{}" * READ_CHARS, "文" * READ_CHARS, "文……" * READ_CHARS],
    ids=["json", "chinese", "three dots in one letter"],
)
def test_what_is_asked_at_the_end_of_a_long_text_without_spaces_is_read(long: str) -> None:
    asked_last = set(Sketch.of(asked(f"{long} {SENTENCE}")).buckets.tolist())
    assert set(Sketch.of(asked(SENTENCE)).buckets.tolist()) <= asked_last


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_no_text_makes_a_sketch_large_or_slow(text: str) -> None:
    prompt = asked(text)
    began = process_time()
    sketch = Sketch.of(prompt)
    assert process_time() - began < 3
    assert len(sketch.to_bytes()) < 100_000
    assert np.isfinite(sketch.facts).all()


@pytest.mark.parametrize("marks", ["\u0344\u0323", "\u0344\uff9e"])
def test_marks_of_one_letter_are_read_in_proportion_to_the_text(marks: str) -> None:
    def seconds(text: str) -> float:
        began = process_time()
        Sketch.of(asked(text))
        return process_time() - began

    out_of_order = "e" + "".join(mark * 10_000 for mark in marks)
    assert seconds(out_of_order) < 10 * min(seconds("é" * 20_000) for _ in range(3)) + 0.05


def test_letters_are_written_alike_between_any_number_of_signs() -> None:
    signs = "═" * 500
    one, other = (Sketch.of(asked(f"{signs} {word} {signs}")) for word in ("ﬁne\u0301", "finé"))
    np.testing.assert_array_equal(one.buckets, other.buckets)


def test_tags_name_every_level_of_a_task() -> None:
    assert Sketch.of(asked("x", "a/b/c")).tags == ("a", "a/b", "a/b/c")
    assert Sketch.of(asked("x", None)).tags == ()
    assert Sketch.of(asked("x", "")).tags == ()


def test_no_word_of_the_prompt_can_be_read_in_what_is_stored() -> None:
    prompt = Prompt.of([{"role": "user", "content": "my password is Xylophone4711"}])
    stored = Sketch.of(prompt).to_bytes()
    assert not re.search(rb"password|xylophone|4711", stored, re.I)


def test_prompts_about_one_subject_share_more_than_prompts_about_two() -> None:
    found = [set(sketch.buckets.tolist()) for sketch in sketches(80)]
    shared = [[len(a & b) / len(a | b) for b in found] for a in found]
    alike = np.equal.outer(np.arange(80) % 4, np.arange(80) % 4) & ~np.eye(80, dtype=bool)
    assert (
        np.array(shared)[alike].mean()
        > 1.5 * np.array(shared)[~alike & ~np.eye(80, dtype=bool)].mean()
    )
