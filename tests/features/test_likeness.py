"""What two questions must agree in before any similarity counts."""

import numpy as np
import pytest

from features.likeness import Likeness

FORBIDDEN = {
    "a number": ("Who won the World Cup in 2018?", "Who won the World Cup in 2022?"),
    "a written number": ("Give me three ideas", "Give me five ideas"),
    "a negation": ("Which foods can I eat?", "Which foods can I not eat?"),
    "a name": ("What is the capital of France?", "What is the capital of Spain?"),
    "a direction": ("How do I get from Paris to London?", "How do I get from London to Paris?"),
    "the order of two things": ("Why do dogs chase cats?", "Why do cats chase dogs?"),
    "an opposite": ("How do I enable the alarm?", "How do I disable the alarm?"),
    "a unit": ("Set it to 30 seconds", "Set it to 30 minutes"),
    "a word of a few": ("Delete the last row of the table", "Delete the last column of the table"),
    "a quotation": ('Spell "night" aloud', 'Spell "knight" aloud'),
    "the question": ("When did Mozart die?", "Where did Mozart die?"),
    "another language": ("Darf ich hier parken?", "Darf ich hier nicht parken?"),
}


def likeness(text: str) -> Likeness:
    found = Likeness.of(text)
    assert found is not None
    return found


@pytest.mark.parametrize(("one", "other"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_it_forbids_what_a_similarity_would_overlook(one: str, other: str) -> None:
    assert not likeness(one).may_be(likeness(other))
    assert not likeness(other).may_be(likeness(one))


def test_other_words_are_left_to_the_similarity() -> None:
    assert likeness("Is a tomato a fruit?").may_be(likeness("Is a tomato called a fruit?"))


def test_a_name_may_be_written_small() -> None:
    one, other = likeness("the capital of France"), likeness("the capital of france")
    assert one.may_be(other)
    assert one.whole == other.whole


def test_it_comes_back_from_its_bytes() -> None:
    vector = np.array([0.6, 0.8], np.float32)
    one = likeness("Who won the World Cup in 2018?").with_vector(vector, "m")
    stored = Likeness.from_bytes(one.to_bytes())
    assert (stored.whole, stored.marks) == (one.whole, one.marks)
    assert np.array_equal(stored.words, one.words)
    assert np.array_equal(stored.names, one.names)
    assert np.array_equal(stored.vector, vector)


def test_what_was_read_in_another_way_is_no_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    one = likeness("Why is the sky blue?")
    monkeypatch.setattr("features.likeness.READING", "1")
    assert likeness("Why is the sky blue?").whole != one.whole
    assert likeness("Why is the sky blue?").marks != one.marks


def test_vectors_of_two_models_are_never_compared() -> None:
    vector = np.array([1.0], np.float32)
    one = likeness("Why is the sky blue?")
    assert one.with_vector(vector, "m").marks == one.with_vector(vector, "m").marks
    assert one.with_vector(vector, "m").marks != one.with_vector(vector, "n").marks


def test_no_word_of_the_question_can_be_read_in_what_is_stored() -> None:
    assert b"sky" not in likeness("Why is the sky blue?").to_bytes()
