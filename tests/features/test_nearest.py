"""The index of stored questions: who is found, in which order, and that nothing is left behind."""

import numpy as np

from features.likeness import Likeness
from features.nearest import MOST, Nearest

KIN, OTHER = b"kin", b"other"


def likeness(text: str, *vector: float) -> Likeness:
    found = Likeness.of(text)
    assert found is not None
    if not vector:
        return found
    direction = np.array(vector, np.float32)
    return found.with_vector(direction / np.linalg.norm(direction), "m")


ASKED = likeness("Why is the sky blue?", 1.0, 0.0)
FAR = likeness("Why do cats purr whenever people stroke them gently?", 0.0, 1.0)


def test_the_same_words_are_found_without_a_model_and_the_newest_first() -> None:
    nearest = Nearest()
    for key in (b"1", b"2"):
        nearest.add(key, KIN, likeness("Why is the sky blue?"))
    assert nearest.find(KIN, likeness("why is the sky blue please"), 0.95) == [b"2", b"1"]
    assert nearest.find(OTHER, likeness("Why is the sky blue?"), 0.95) == []


def test_with_a_model_the_similar_are_found_best_first() -> None:
    nearest = Nearest()
    why = [likeness("Why is the sky so blue?", 1.0, x) for x in (0.3, 0.1)]
    asked = likeness("Why is the sky blue?", 1.0, 0.0)
    for key, each in zip((b"1", b"2"), why, strict=True):
        nearest.add(key, KIN, each)
    nearest.add(b"far", KIN, FAR)
    assert nearest.find(KIN, asked, 0.95) == [b"2", b"1"]
    assert nearest.find(KIN, asked, 0.99) == [b"2"]


def test_what_is_similar_and_forbidden_is_not_found() -> None:
    nearest = Nearest()
    nearest.add(b"1", KIN, likeness("Why do dogs chase cats?", 1.0, 0.0))
    assert nearest.find(KIN, likeness("Why do cats chase dogs?", 1.0, 0.0), 0.95) == []


def test_what_is_forgotten_is_not_found_and_leaves_nothing() -> None:
    nearest = Nearest()
    nearest.add(b"1", KIN, ASKED)
    nearest.add(b"2", KIN, likeness("Why is the sky blue?"))
    nearest.forget([b"1", b"unknown"])
    assert (nearest.find(KIN, ASKED, 0.95), len(nearest)) == ([b"2"], 1)
    nearest.forget([b"2"])
    assert (nearest.find(KIN, ASKED, 0.95), len(nearest)) == ([], 0)
    assert (nearest._same, nearest._alike) == ({}, {})


def test_a_key_that_is_added_again_is_there_once() -> None:
    nearest = Nearest()
    nearest.add(b"1", KIN, ASKED)
    nearest.add(b"1", KIN, FAR)
    assert (nearest.find(KIN, ASKED, 0.95), nearest.find(KIN, FAR, 0.95)) == ([], [b"1"])


def test_no_more_are_found_than_anybody_looks_at() -> None:
    nearest = Nearest()
    for i in range(3 * MOST):
        nearest.add(b"%d" % i, KIN, ASKED)
    assert len(nearest.find(KIN, ASKED, 0.95)) == MOST
