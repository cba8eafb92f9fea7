"""What goes into a row comes out again, and what no store can keep is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import InvalidInput
from storage.records import Decision
from storage.rows import columns, defaults, plain, restore, text
from tests.storage.rounds import DECISION, RETRAIN, but

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers=st.lists(finite, min_size=1), words=st.integers(-(2**63), 2**63 - 1))
def test_numbers_round_trip_to_the_last_bit(numbers: list[float], words: int) -> None:
    decision = but(DECISION, propensities=tuple(numbers), context=np.array(numbers), words=words)
    again = restore(Decision, plain(decision))
    assert again.propensities == tuple(numbers)
    assert again.context.tobytes() == np.array(numbers).tobytes()
    assert again.words == words


@given(st.text(alphabet=st.characters()))
def test_any_text_becomes_text_every_store_keeps(value: str) -> None:
    kept = text(value)
    assert kept.encode().decode() == kept
    assert "\x00" not in kept
    by_another_way = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert kept == by_another_way.replace("\x00", "\ufffd")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": 2**63}, "words must fit 64 bits"),
        ({"words": -(2**70)}, "words must fit 64 bits, not 72"),
        ({"words": 10**5000}, "words must fit 64 bits"),
        ({"propensity": float("nan")}, "propensity must be a finite number, not nan"),
        ({"willingness_to_pay_usd": np.float64("inf")}, "must be a finite number, not inf"),
        ({"context": np.array([1.0, np.nan])}, "context must be one row of finite numbers"),
        ({"context": np.ones((2, 2))}, r"not \(2, 2\)"),
        ({"propensities": (0.5, float("nan"))}, "propensities must be JSON of finite numbers"),
        ({"ineligible": {"a": object()}}, "object is no JSON type"),
    ],
)
def test_what_no_store_keeps_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        plain(but(DECISION, **changes))


def test_nested_json_comes_back_as_it_was() -> None:
    report = {"arms": {"a": [1, 2.5, None, True]}, "text": "é\ud800"}
    assert restore(type(RETRAIN), plain(but(RETRAIN, report=report))).report == report


def test_what_need_not_be_given_has_the_form_of_a_row() -> None:
    found = defaults(Decision)
    assert found.keys() < set(columns(Decision))
    assert (found["sandbox"], type(found["sandbox"]), found["answer_of"]) == (0, int, None)
