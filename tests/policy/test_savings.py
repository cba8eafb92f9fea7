"""The bill that was never sent: its estimate and interval against bills that are known here."""

from dataclasses import fields
from math import inf

import numpy as np
import pytest
from scipy.stats import t

from policy.savings import FEWEST_ESS, HEARD, BillSums, Saving, saving, student
from policy.types import Floats


class Month:
    """Requests with every arm's true bill, predictions of the baseline's, and propensities of it.

    The other arm's bills are a tenth of the baseline's.
    """

    def __init__(self, seed: int, n: int = 2_000, share: float = 0.02) -> None:
        self.rng = np.random.default_rng(seed)
        hard = self.rng.random(n) < 0.2
        self.predicted = np.where(hard, 0.02, 0.01) * self.rng.lognormal(0.0, 0.3, n)
        # The model is off by another factor where the baseline is taken often.
        self.billed = self.predicted * np.where(hard, 1.1, 0.6) * self.rng.lognormal(0.0, 0.5, n)
        self.propensity = np.where(hard, 0.4, share)

    def drawn(self) -> tuple[BillSums, float]:
        """Return the sums of one month as it could have been, and what was truly saved in it."""
        hit = self.rng.random(len(self.billed)) < self.propensity
        spent = np.where(hit, self.billed, self.billed / 10)
        return summed(self.predicted, self.propensity, hit, self.billed, spent), float(
            (self.billed - spent).sum()
        )


def summed(
    predicted: Floats, propensity: Floats, hit: Floats, billed: Floats, spent: Floats
) -> BillSums:
    sums = BillSums()
    rows = zip(predicted, propensity, hit, billed, spent, strict=True)
    for each, chance, was_hit, bill, paid in rows:
        sums.could_have(each, 1 - chance, chance)
        if was_hit:
            sums.is_known(bill, paid)
            sums.was_billed(each, bill, 1 - chance, chance)
        else:
            sums.went_elsewhere(each, paid, chance)
    return sums


def held(made: Saving, truth: float) -> bool:
    return made.low_usd <= truth <= made.high_usd


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_the_interval_holds_the_true_saving_19_times_of_20(share: float) -> None:
    found = [Month(seed, share=share).drawn() for seed in range(300)]
    covered = np.mean([held(saving(sums), truth) for sums, truth in found])
    assert 0.93 <= covered <= 0.985
    errors = np.array([saving(sums).saved_usd / truth - 1 for sums, truth in found])
    assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(len(errors)) + 0.01
    assert all(saving(sums).why_not is None for sums, _ in found if sums.ess >= FEWEST_ESS)


def test_bills_that_the_model_knows_exactly_leave_little_doubt() -> None:
    month = Month(0)
    hit = month.rng.random(2_000) < month.propensity
    spent = np.where(hit, month.predicted, month.predicted / 4)
    sums = summed(month.predicted, month.propensity, hit, month.predicted, spent)
    made = saving(sums)
    assert (sums.requests, sums.elsewhere, sums.hits) == (2_000, (~hit).sum(), hit.sum())
    assert made.ratio == pytest.approx(1.0)
    assert made.saved_usd == pytest.approx((month.predicted - spent).sum())
    assert made.bill_usd == pytest.approx(month.predicted.sum())


def test_a_model_that_is_off_by_a_factor_is_corrected_by_the_bills() -> None:
    month = Month(1, share=0.3)
    sums, truth = month.drawn()
    month.predicted = month.predicted * 7
    tenfold = summed(
        month.predicted, month.propensity, np.ones(2_000) == 0, month.billed, month.billed
    )
    assert saving(sums).saved_usd == pytest.approx(truth, rel=0.1)
    assert saving(tenfold).why_not is not None


def test_units_do_not_matter() -> None:
    sums, _ = Month(2).drawn()
    cents = BillSums()
    powers = {"square": 2, "billed_square": 2, "predicted_billed": 2}
    for field in fields(BillSums):
        value = getattr(sums, field.name)
        power = next((p for end, p in powers.items() if field.name.endswith(end)), 1)
        scale = 1 if field.name in ("requests", "elsewhere", "hits") else 100**power
        setattr(cents, field.name, value * scale)
    made, in_cents = saving(sums), saving(cents)
    for name in ("bill_usd", "saved_usd", "low_usd", "high_usd"):
        assert getattr(in_cents, name) == pytest.approx(100 * getattr(made, name))
    assert in_cents.ess == pytest.approx(made.ess)


def test_parts_of_a_month_add_up_to_the_month() -> None:
    month = Month(3)
    hit = month.rng.random(2_000) < month.propensity
    columns = (month.predicted, month.propensity, hit, month.billed, month.billed / 10)
    whole, added = summed(*columns), BillSums()
    for part in np.array_split(np.arange(2_000), 7):
        added.add(summed(*(column[part] for column in columns)))
    for field in fields(BillSums):
        assert getattr(added, field.name) == pytest.approx(getattr(whole, field.name))


def test_nothing_is_told_of_an_arm_that_could_not_be_drawn() -> None:
    sums = BillSums()
    for _ in range(1_000):
        sums.could_have(0.01, 1.0, 0.0)
        sums.went_elsewhere(0.01, 0.001, 0.0)
    made = saving(sums)
    assert made.why_not is not None
    assert "could hardly have gone" in made.why_not
    assert (made.low_usd, made.high_usd) == (-inf, inf)


def test_a_few_bills_are_not_enough() -> None:
    sums = BillSums()
    for n in range(500):
        sums.could_have(0.01, 0.99, 0.01)
        if n % 100:
            sums.went_elsewhere(0.01, 0.001, 0.01)
        else:
            sums.was_billed(0.01, 0.02, 0.99, 0.01)
    made = saving(sums)
    assert made.why_not is not None
    assert "they count as 5.0, and 10 are needed, which takes about 500 more" in made.why_not
    assert "and 20 are needed, which takes about 1,500 more" in (saving(sums, 20.0).why_not or "")
    sums.add(sums)
    assert saving(sums).why_not is None


def test_of_no_requests_and_of_an_arm_that_costs_nothing_nothing_is_told() -> None:
    free = BillSums()
    free.could_have(0.0, 0.5, 0.5)
    free.went_elsewhere(0.0, 0.001, 0.5)
    assert saving(BillSums()).why_not == "nothing was asked that could be compared"
    assert (saving(free).why_not or "").endswith("they count as 0.0, and 10 are needed")


def test_a_saving_that_may_be_none_is_not_shown() -> None:
    sums = BillSums()
    for n in range(4_000):
        sums.could_have(0.01, 0.9, 0.1)
        if n % 10:
            sums.went_elsewhere(0.01, 0.0101, 0.1)
        else:
            sums.was_billed(0.01, 0.012 if n % 20 else 0.008, 0.9, 0.1)
    made = saving(sums)
    assert made.why_not is not None
    assert "includes zero" in made.why_not


def test_what_the_log_says_nothing_of_widens_the_interval() -> None:
    month = Month(4, share=0.1)
    sums, _ = month.drawn()
    before = saving(sums)
    sums.predicted_unheard += 0.2 * sums.predicted
    after = saving(sums)
    assert sums.unheard == pytest.approx(0.2)
    widened = 0.25 * after.ratio * sums.predicted_unheard
    assert after.high_usd - before.high_usd == pytest.approx(widened)
    assert before.low_usd - after.low_usd == pytest.approx(widened)


def test_a_chance_too_small_to_be_heard_counts_as_none() -> None:
    sums = BillSums()
    sums.could_have(0.01, 1.0, HEARD / 2)
    sums.was_billed(0.01, 5.0, 1.0, HEARD / 2)
    assert (sums.hits, sums.reach, sums.weight_billed) == (0, 0.0, 0.0)


def test_a_rule_that_was_always_followed_has_saved_nothing_and_that_is_certain() -> None:
    sums = BillSums()
    for _ in range(50):
        sums.is_known(0.02, 0.02)
        sums.could_have(0.01, 0.0, 1.0)
        sums.was_billed(0.01, 0.02, 0.0, 1.0)
    made = saving(sums)
    assert (made.saved_usd, made.low_usd, made.high_usd) == (0.0, 0.0, 0.0)
    assert (made.bill_usd, made.ratio) == (pytest.approx(1.0), 1.0)
    assert made.why_not is not None


@pytest.mark.parametrize(
    ("freedom", "off"), [(3, 4e-3), (4, 1e-3), (5, 3e-4), (8, 3e-5), (30, 1e-6), (1e6, 1e-6)]
)
def test_students_quantile_is_that_of_scipy(freedom: float, off: float) -> None:
    assert student(freedom) == pytest.approx(t.ppf(0.975, freedom), abs=off)


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_the_interval_is_that_of_the_formula_also_of_few_bills(spread: float) -> None:
    """110 requests with a propensity of 0.1 count as 11 bills; five there are."""
    rng, n, p = np.random.default_rng(0), 110, 0.1
    predicted, hit = np.full(n, 0.01), np.arange(n) < 5
    billed = 0.02 * (1.0 + spread * rng.uniform(-1.0, 1.0, n))
    spent = np.where(hit, billed, 0.001)
    made = saving(summed(predicted, np.full(n, p), hit, billed, spent))
    ratio = billed[hit].sum() / predicted[hit].sum()
    off = (billed[hit] / predicted[hit] - ratio) ** 2
    variance = (off.sum() + ratio**2) / (5 + 1)
    elsewhere, reach = 0.01 * (n - 5), 0.01 * 0.9 * n
    drawn = (elsewhere / reach) ** 2 * n * (0.9 * 0.01) ** 2 / p * 11 / 10
    error = np.sqrt(variance * (drawn + 0.01**2 * (n - 5)))
    factor = np.exp(t.ppf(0.975, 10) * error / (ratio * elsewhere))
    bill, paid = ratio * elsewhere, 0.001 * (n - 5)
    assert made.ess == pytest.approx(11.0)
    assert made.low_usd == pytest.approx(bill / factor - paid, rel=1e-4)
    assert made.high_usd == pytest.approx(bill * factor - paid, rel=1e-4)
