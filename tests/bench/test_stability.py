"""Other wordings of the same prompts are made as they are named, and their choices counted."""

import pytest

from bench.stability import PREFACE, WORDINGS, Rewording, page
from tests.bench.worlds import easy

TEXT = "Add the numbers. Then sort them.\nReturn what is left."


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("upper case", TEXT.upper()),
        ("double spaces", TEXT.replace(" ", "  ") + "\n"),
        ("a typo", TEXT.replace("them", "tehm")),
        ("a polite preface", PREFACE + TEXT),
    ],
)
def test_a_wording_is_what_it_is_called(name: str, reads: str) -> None:
    assert WORDINGS[name](TEXT) == reads


def test_sentences_are_all_there_in_another_order() -> None:
    found = WORDINGS["sentences reordered"](TEXT)
    assert found != TEXT
    assert sorted(found) == sorted(TEXT.replace("\n", " "))


@pytest.mark.slow
def test_what_is_easily_told_apart_is_so_in_any_wording() -> None:
    found = Rewording(easy(200), "text").of(0)
    assert set(found) == set(WORDINGS)
    del found["a polite preface"]  # half of these prompts begin with one
    assert min(found.values()) > 0.9


def test_the_page_begins_with_what_is_below_nine_in_ten() -> None:
    shares = dict.fromkeys(WORDINGS, 0.95) | {"a typo": 0.5}
    text = "\n".join(page([(Rewording(easy(20), "text"), [shares, shares])]))
    assert "Below 90%: easy, a typo (50%)." in text
    assert "| easy | 2 | 95.0% |" in text
