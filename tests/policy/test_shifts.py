"""A shift is told when it is certain and large, and is over when it is neither."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from policy.shifts import FEWEST_BEFORE, FEWEST_NOW, Sample, grown, risen, shrunk

USUAL = Sample.of_share(2_000, 20)


def sample(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Sample:
    return Sample(len(values), float(values.sum()), float((values**2).sum()))


def test_a_share_that_rises_far_is_told_and_one_that_rises_a_little_is_not() -> None:
    assert risen(Sample.of_share(100, 30), USUAL, 0.1)
    assert not risen(Sample.of_share(100_000, 3_000), USUAL, 0.1)  # certain, but 2 points
    assert not risen(Sample.of_share(100, 0), USUAL, 0.1)


@pytest.mark.parametrize(
    ("n", "is_open", "least"), [(40, False, 4.0), (40, True, 2.0), (400, False, 4.0)]
)
def test_a_share_is_told_from_four_standard_errors_on(n: int, is_open: bool, least: float) -> None:
    for hits in range(1, n):
        counts = [[hits, n - hits], [600, 1_400]]
        errors = np.sqrt(chi2_contingency(counts, correction=False).statistic)
        now, before = Sample.of_share(n, hits), Sample.of_share(2_000, 600)
        told = risen(now, before, 0.0, is_open=is_open)
        assert told == (hits / n > 0.3 and errors >= least)


@pytest.mark.parametrize("is_open", [False, True])
def test_a_mean_is_told_from_four_standard_errors_on(is_open: bool) -> None:
    rng, least = np.random.default_rng(0), 2.0 if is_open else 4.0
    usual, lately = rng.lognormal(5.0, 0.8, 120), rng.lognormal(5.0, 0.8, 60)
    error = np.sqrt(sum(np.var(x) / len(x) / np.mean(x) ** 2 for x in (usual, lately)))
    for factor in np.geomspace(0.4, 2.5, 201):
        size = np.log(np.mean(factor * lately) / np.mean(usual)) / error
        now, before = sample(factor * lately), sample(usual)
        assert grown(now, before, 1.0, is_open=is_open) == (size >= least)
        assert shrunk(now, before, 1.0, is_open=is_open) == (size <= -least)


def test_so_many_answers_are_enough_and_none_has_a_mean_to_compare() -> None:
    now, before = Sample.of_share(FEWEST_NOW, FEWEST_NOW), Sample.of_share(FEWEST_BEFORE, 1)
    assert risen(now, before, 0.1)
    assert grown(now, before, 2.0)
    assert not shrunk(Sample.of_share(FEWEST_NOW, 0), before, 2.0)


def test_too_few_answers_tell_nothing_new() -> None:
    few, short = Sample.of_share(FEWEST_NOW - 1, 29), Sample.of_share(FEWEST_BEFORE - 1, 0)
    assert not risen(few, USUAL, 0.1)
    assert not risen(Sample.of_share(50, 50), short, 0.1)
    assert risen(few, USUAL, 0.1, is_open=True)
    assert shrunk(Sample(3, 3.0, 3.0), Sample(500, 900.0, 2_000.0), 1.5, is_open=True)


def test_few_answers_as_usual_end_what_was_told() -> None:
    assert not risen(Sample.of_share(FEWEST_NOW - 1, 0), USUAL, 0.1, is_open=True)
    assert not grown(Sample(3, 5.4, 10.0), Sample(500, 900.0, 2_000.0), 1.5, is_open=True)


def test_what_was_told_is_over_only_when_half_of_it_is_gone() -> None:
    between = Sample.of_share(400, 30)  # 7.5 % after 1 %
    assert not risen(between, USUAL, 0.1)
    assert risen(between, USUAL, 0.1, is_open=True)
    assert not risen(Sample.of_share(400, 8), USUAL, 0.1, is_open=True)


def test_answers_twice_as_long_or_half_as_long_are_told() -> None:
    rng = np.random.default_rng(0)
    usual = sample(rng.lognormal(5.0, 0.8, 3_000))
    longer = sample(rng.lognormal(5.0, 0.8, 200) * 2)
    shorter = sample(rng.lognormal(5.0, 0.8, 200) / 2)
    assert grown(longer, usual, 1.5)
    assert not shrunk(longer, usual, 1.5)
    assert shrunk(shorter, usual, 1.5)
    assert not grown(shorter, usual, 1.5)


def test_nothing_at_all_is_no_shift() -> None:
    nothing = Sample(500, 0.0, 0.0)
    assert not grown(Sample(100, 0.0, 0.0), nothing, 2.0)
    assert not risen(Sample.of_share(100, 0), Sample.of_share(500, 0), 0.05)


@pytest.mark.slow
def test_heavy_tailed_seconds_that_have_not_changed_raise_an_alarm_in_hardly_any_year() -> None:
    rng = np.random.default_rng(1)
    looks, told = 3_000, 0
    for _ in range(looks):
        usual = sample(rng.lognormal(0.0, 1.0, 1_000))
        told += grown(sample(rng.lognormal(0.0, 1.0, 40)), usual, 2.0)
    assert told <= 3
