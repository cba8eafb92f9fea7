"""Each fact is what a reader would count, bounded, and does not take long on any text."""

from math import log1p
from time import process_time

import numpy as np
import pytest

from features.facts import NAMES, READ_CHARS, TYPICAL_MEAN, TYPICAL_SD, facts
from features.prompt import Prompt
from tests.features.texts import STRANGE, SUBJECTS, asked, prompt_of

LETTER = "Dear team,\nmy parcel is late. Where is it? Order 4711, paid 12.50 in May.\n"


def fact(name: str, text: str) -> float:
    return float(facts(asked(text))[NAMES.index(name)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("length", log1p(73)),
        ("word length", 59 / 15),
        ("sentence length", log1p(15 / 4)),  # three full stops, a question mark
        ("digits", 8 / 73),
        ("numbers", log1p(2)),
        ("repeated words", 1 / 15),
        ("other scripts", 0.0),
        ("code marks", 0.0),
        ("maths marks", 0.0),
        ("listed options", 0.0),
        ("question marks", log1p(1)),
        ("opens as a question", 0.0),
        ("opens as an order", 0.0),
        ("signs", 6 / 73),
        ("conversation", 0.0),
        ("tools and images", 0.0),
    ],
)
def test_the_facts_of_a_letter_are_those_counted_by_hand(name: str, expected: float) -> None:
    assert fact(name, LETTER) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["你好。你在哪里\uff1f", "أهلا. أين أنت؟", "नमस्ते। आप कहाँ हैं?"], ids=["zh", "ar", "hi"]
)
def test_questions_and_sentences_end_in_other_scripts_too(text: str) -> None:
    assert fact("question marks", text) == pytest.approx(log1p(1))
    assert fact("sentence length", text) == pytest.approx(log1p(len(text.split()) / 2))


@pytest.mark.parametrize(
    ("text", "question", "order"),
    [
        ("What is a monad?", 1, 0),
        ("  how do I leave?", 1, 0),
        ("Summarise this page", 0, 1),
        ("\nsummarize this page", 0, 1),
        ("Whatever you like", 0, 0),
        ("Listen to me", 0, 0),
        ("I ask what you can write", 0, 0),
    ],
)
def test_the_first_word_tells_a_question_from_an_order(
    text: str, question: int, order: int
) -> None:
    assert fact("opens as a question", text) == question
    assert fact("opens as an order", text) == order


def test_code_maths_and_other_scripts_are_each_seen_for_what_they_are() -> None:
    texts = {
        "code marks": "def f(): return {x: y[0] for x in z}; a->b; std::cout << `c`;",
        "maths marks": "3 + 4 * 5 = 23, so √9 * 2 = 5 ÷ 7",
        "other scripts": "请问这份发票什么时候",
        "word length": "Rechtsschutzversicherungsgesellschaften",
        "repeated words": "please please help, please please help",
    }
    for name in texts:
        seen = {other: fact(name, text) for other, text in texts.items()}
        assert max(seen, key=seen.__getitem__) == name


@pytest.mark.parametrize("mark", ["A) ", "A. ", "(A) ", "A: "])
@pytest.mark.parametrize("between", ["\n", "\n  ", "\n\n\n", "\r\n\t"])
def test_listed_options_are_counted_however_they_are_set(mark: str, between: str) -> None:
    options = [mark.replace("A", letter) + "an answer" for letter in "ABCD"]
    text = between.join(["Which is right?", *options])
    assert fact("listed options", text) == pytest.approx(log1p(4))
    assert fact("listed options", text.replace("\n", " ")) == pytest.approx(log1p(4))


@pytest.mark.parametrize(
    "text", ["Mr. Bean", "e.g. this", "f(a) and [b]", "IV. Results", "is 3.A: 4"]
)
def test_a_letter_within_a_word_or_a_formula_lists_nothing(text: str) -> None:
    assert fact("listed options", text) == 0.0


@pytest.mark.parametrize("between", ["\n", "  ", " \n\n\t"])
@pytest.mark.parametrize(
    "text",
    [
        LETTER,
        "Which?\nA. one\nB. two",
        "请问 这份 发票 什么 时候?",
        LETTER * 250,  # with wider spaces it is longer than what is read
        "a " * (READ_CHARS // 2 - 1) + "b",
    ],
    ids=["letter", "options", "Chinese", "long", "short words"],
)
def test_spaces_and_line_ends_change_no_fact(text: str, between: str) -> None:
    set_otherwise = between + text.replace("\n", " ").replace(" ", between)
    np.testing.assert_array_equal(facts(asked(set_otherwise)), facts(asked(text)))


def test_spaces_change_nothing_that_is_read_of_a_text_longer_than_that() -> None:
    text = LETTER * 1_000
    np.testing.assert_array_equal(
        facts(asked(text.replace(" ", "   ")))[1:], facts(asked(text))[1:]
    )


def test_turns_system_prompt_tools_and_images_count_together() -> None:
    alone = Prompt("x", 0.25, 1, 0, 0, 0)
    crowded = Prompt("x", 0.25, 5, 400, 3, 2)
    gained = facts(crowded) - facts(alone)
    expected = np.zeros(len(NAMES))
    expected[-2:] = log1p(4) + log1p(400) / 4, log1p(3) + log1p(2)
    np.testing.assert_allclose(gained, expected)


def test_of_a_long_text_only_the_beginning_is_read_but_its_length_is_known() -> None:
    beginning = LETTER * (READ_CHARS // len(LETTER) + 1)
    short, long = facts(asked(beginning[:READ_CHARS])), facts(asked(beginning + "?{}+9" * 99_999))
    np.testing.assert_array_equal(short[1:], long[1:])
    assert long[0] == pytest.approx(log1p(len(beginning) + 5 * 99_999))


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_no_text_has_an_unbounded_fact_or_takes_long(text: str) -> None:
    prompt = asked(text)
    began = process_time()
    row = facts(prompt)
    assert process_time() - began < 2
    assert row.shape == (len(NAMES),) == (len(TYPICAL_MEAN),) == (len(TYPICAL_SD),)
    assert np.isfinite(row).all()
    assert (row >= 0).all()
    assert row.max() <= log1p(len(text)) + 12


@pytest.mark.parametrize("unit", [" ", "\n", "\t", "A. ", "(A", "1.", "\n ", "how", "->", ":"])
def test_reading_takes_time_in_proportion_to_the_text(unit: str) -> None:
    def seconds(chars: int) -> float:
        prompt = Prompt(unit * (chars // len(unit)), chars / 4, 1, 0, 0, 0)
        return min(_timed(prompt) for _ in range(3))

    assert seconds(READ_CHARS) < 30 * seconds(READ_CHARS // 8) + 0.02  # quadratic would be 64


def _timed(prompt: Prompt) -> float:
    began = process_time()
    facts(prompt)
    return process_time() - began


def test_ordinary_prompts_lie_within_a_few_typical_deviations() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([facts(prompt_of(subject, rng)) for subject in SUBJECTS for _ in range(20)])
    z = (rows - TYPICAL_MEAN) / TYPICAL_SD
    assert np.abs(z).mean() < 1.5
    assert (np.abs(z) < 3).mean() > 0.9
