"""An arm's bill is the price list's, in exact fractions."""

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import pytest

from policy.types import Arm

ARM = Arm("a", "p", "m", 0.25, 1.25, 128_000, cached_input_usd_per_mtok=0.0625)


@pytest.mark.parametrize(
    ("sent", "got", "cached"), [(0, 0, 0), (1, 1, 0), (1234, 567, 1000), (10**6, 10**6, 10**6)]
)
def test_the_bill_is_exact(sent: int, got: int, cached: int) -> None:
    exact = (sent - cached) * Fraction(1, 4) + cached * Fraction(1, 16) + got * Fraction(5, 4)
    assert ARM.cost_usd(sent, got, cached) == pytest.approx(float(exact / 10**6), rel=1e-14)


def test_without_a_price_for_cached_tokens_they_cost_as_fresh_ones() -> None:
    arm = replace(ARM, cached_input_usd_per_mtok=None)
    assert arm.cost_usd(1000, 10, 900) == arm.cost_usd(1000, 10)


def test_cached_tokens_that_cost_nothing_cost_nothing() -> None:
    arm = replace(ARM, cached_input_usd_per_mtok=0.0)
    assert arm.cost_usd(1000, 0, 1000) == 0.0


def test_what_is_written_into_a_cache_costs_what_that_costs_and_without_a_price_as_fresh() -> None:
    arm = replace(ARM, cache_write_usd_per_mtok=0.3125)
    exact = (100 * Fraction(1, 4) + 300 * Fraction(1, 16) + 600 * Fraction(5, 16)) / 10**6
    assert arm.cost_usd(1000, 0, 300, 600) == pytest.approx(float(exact), rel=1e-14)
    assert ARM.cost_usd(1000, 10, 300, 600) == ARM.cost_usd(1000, 10, 300)


def test_an_arm_cannot_be_altered_while_it_is_in_use() -> None:
    with pytest.raises(FrozenInstanceError):
        ARM.input_usd_per_mtok = 0.0  # type: ignore[misc]
