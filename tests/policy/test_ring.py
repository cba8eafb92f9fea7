"""What another price of a dollar would spend and bring is what counting by hand says."""

from dataclasses import replace

import numpy as np
import pytest

from policy.ring import CELLS, HIGHEST_USD, LOWEST_USD, RING, SURE, Forecast, Ring
from policy.types import Floats

ARMS = ("cheap", "dear")


def forecasts(
    n: int, doubt: tuple[float, float] = (0.0, 0.0), cost_doubt: float = 0.0
) -> list[Forecast]:
    """Return prompts on which the dear arm is better by differing amounts."""
    rng = np.random.default_rng(0)
    quality = rng.uniform([0.5, 0.6], [0.7, 0.95], (n, 2))
    cost = rng.uniform([1e-5, 1e-3], [3e-5, 5e-3], (n, 2))
    drawn = quality[:, None] + 0.05 * rng.standard_normal((n, 4, 2))
    drawn_usd = cost[:, None] * np.exp(cost_doubt * rng.standard_normal((n, 4, 2)))
    each_prompt = zip(quality, cost, drawn, drawn_usd, strict=True)
    return [Forecast(ARMS, *each, np.array(doubt)) for each in each_prompt]


def ring(found: list[Forecast], explored_share: float = 1.0) -> Ring:
    filled = Ring(explored_share)
    for each in found:
        filled = filled.add(each)
    return filled


def by_hand(found: list[Forecast], payment: float) -> tuple[float, float]:
    """Return mean cost and quality of what every draw would choose."""
    chosen = [
        (each.cost_usd[arm], each.quality[arm])
        for each in found
        for draw, usd in zip(each.drawn, each.drawn_usd, strict=True)
        for arm in [int(np.argmax(draw - usd / payment))]
    ]
    cost, quality = np.mean(chosen, axis=0)
    return float(cost), float(quality)


@pytest.mark.parametrize("payment", [1e-6, 1e-3, 0.01, 0.03, 1e6])
@pytest.mark.parametrize("cost_doubt", [0.0, 3.0])
def test_spend_and_quality_are_the_means_over_what_the_draws_choose(
    payment: float, cost_doubt: float
) -> None:
    found = forecasts(100, cost_doubt=cost_doubt)
    cost, quality = by_hand(found, payment)
    assert ring(found).spend_usd(payment) == pytest.approx(cost)
    assert ring(found).quality(payment) == pytest.approx(quality)


def test_where_one_prompt_was_not_explored_the_draws_of_the_others_count_all_the_same() -> None:
    found = forecasts(20, cost_doubt=3.0)
    sober = [
        replace(each, drawn=each.quality[None], drawn_usd=each.cost_usd[None]) for each in found
    ]
    filled = ring(found[:10] + sober[10:])
    (usd, good), (sure_usd, surely) = by_hand(found[:10], 0.01), by_hand(sober[10:], 0.01)
    assert filled.spend_usd(0.01) == pytest.approx((usd + sure_usd) / 2)
    assert filled.quality(0.01) == pytest.approx((good + surely) / 2)


def test_no_more_than_the_explored_share_counts_as_going_off_the_best_arm() -> None:
    found = forecasts(200)
    payment = 0.01
    sober = ring(found, 0.0).spend_usd(payment)
    best = [int(np.argmax(each.quality - each.cost_usd / payment)) for each in found]
    costs = [each.cost_usd[arm] for each, arm in zip(found, best, strict=True)]
    assert sober == pytest.approx(np.mean(costs))
    free, capped = ring(found).spend_usd(payment), ring(found, 0.02).spend_usd(payment)
    assert min(sober, free) < capped < max(sober, free)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_price_for_a_spend_spends_it(share: float) -> None:
    filled = ring(forecasts(RING))
    lowest, highest = filled.spend_usd(LOWEST_USD), filled.spend_usd(HIGHEST_USD)
    wanted = lowest + share * (highest - lowest)
    found = filled.spend_usd(filled.for_spend(wanted))
    assert found <= wanted
    assert found == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("share", [0.8, 0.9, 0.99])
def test_the_price_for_a_share_of_an_arm_is_the_least_that_keeps_it(share: float) -> None:
    filled = ring(forecasts(RING))
    wanted = share * filled.quality(HIGHEST_USD)
    baseline = filled.quality_of("dear")
    assert baseline is not None
    payment = filled.for_share(wanted / baseline, "dear")
    assert filled.quality(payment) == pytest.approx(wanted, abs=0.002)
    assert filled.quality(payment * 0.9) <= wanted


def test_doubt_counts_by_how_much_more_or_less_of_an_arm_is_asked_than_the_share() -> None:
    sure, filled = ring(forecasts(RING)), ring(forecasts(RING, (0.02, 0.3)))
    for payment, asked in ((LOWEST_USD, (1.0, -0.9)), (HIGHEST_USD, None)):
        if asked is None:
            dear = np.mean([each.drawn.argmax(axis=1).mean() for each in filled.forecasts])
            asked = 1.0 - float(dear), float(dear) - 0.9
        doubt = SURE * np.hypot(asked[0] * 0.02, asked[1] * 0.3)
        less = sure.above(payment, 0.9, "dear") - filled.above(payment, 0.9, "dear")
        assert less == pytest.approx(doubt)


def test_a_share_of_an_arm_that_nobody_knows_is_surely_kept_by_that_arm_alone() -> None:
    unknown = ring(forecasts(RING, (0.01, 0.5)))
    assert unknown.above(LOWEST_USD, 0.5, "dear") < 0 < unknown.above(HIGHEST_USD, 0.9, "dear")
    assert unknown.for_share(0.9, "dear") > 3 * ring(forecasts(RING)).for_share(0.9, "dear")


def test_prompts_that_could_not_go_to_the_arm_leave_a_share_of_it_as_it_is() -> None:
    found = forecasts(150)
    weak = replace(found[0], arms=("weak",), quality=np.array([0.1]), cost_usd=np.array([1e-6]),
                   drawn=np.full((1, 1), 0.1), drawn_usd=np.full((1, 1), 1e-6),
                   doubt=np.zeros(1))  # fmt: skip
    alone, beside = ring(found), ring([*found, *[weak] * 50])
    payment = alone.for_share(0.9, "dear")
    assert beside.for_share(0.9, "dear") == pytest.approx(payment, rel=1e-3)
    assert beside.quality(payment, beside="dear") == pytest.approx(alone.quality(payment))
    assert beside.quality(payment) < alone.quality(payment)


def test_a_spend_out_of_reach_leaves_the_highest_price_and_one_too_small_the_cheapest_arm() -> None:
    filled = ring(forecasts(50))
    assert filled.for_spend(1.0) == HIGHEST_USD
    tight = filled.for_spend(1e-9)
    assert filled.spend_usd(tight) == pytest.approx(filled.spend_usd(LOWEST_USD))


def test_a_share_nobody_reaches_or_of_nobody_leaves_the_highest_price() -> None:
    assert ring(forecasts(50)).for_share(2.0, "dear") == HIGHEST_USD
    assert ring(forecasts(50)).for_share(0.5, "unheard of") == HIGHEST_USD
    assert Ring(0.1).for_share(0.5, "dear") == HIGHEST_USD


def test_an_arm_that_was_not_eligible_is_never_chosen_nor_counted() -> None:
    one, two = (np.array([0.5]), np.array([1e-5])), (np.array([0.5, 0.9]), np.array([1e-5, 1e-3]))
    alone = Forecast(("cheap",), *one, np.array([[0.5]]), one[1][None], np.zeros(1))
    both = Forecast(ARMS, *two, np.array([[0.5, 0.9]]), two[1][None], np.zeros(2))
    filled = ring([alone, both])
    assert filled.spend_usd(HIGHEST_USD) == pytest.approx((1e-5 + 1e-3) / 2)
    assert filled.quality_of("dear") == pytest.approx(0.9)
    assert filled.quality_of("unheard of") is None


def test_an_arm_that_cannot_win_yet_counts_for_nothing_however_good_it_looks() -> None:
    looks, usd = np.array([0.5, 0.9]), np.array([1e-5, 1e-3])
    held_back = Forecast(ARMS, looks, usd, np.array([[0.5, -np.inf]]), usd[None], np.zeros(2))
    filled = ring([held_back], explored_share=0.0)
    assert filled.spend_usd(HIGHEST_USD) == pytest.approx(1e-5)
    assert filled.quality(HIGHEST_USD) == pytest.approx(0.5)


def test_the_oldest_leaves_when_the_ring_is_full() -> None:
    found = forecasts(RING + 7)
    assert ring(found).forecasts == tuple(found[7:])


def test_many_arms_are_looked_at_with_fewer_draws() -> None:
    names = tuple(f"arm{i}" for i in range(184))
    rng = np.random.default_rng(1)

    def one(_: int) -> Forecast:
        quality: Floats = rng.uniform(size=184)
        cost: Floats = rng.uniform(1e-5, 1e-2, 184)
        drawn, drawn_usd = quality + np.zeros((16, 1)), cost[None]
        return Forecast(names, quality, cost, drawn, drawn_usd, np.zeros(184))

    filled = ring([one(i) for i in range(RING)])
    assert filled.spend_usd(0.01) > 0
    assert len(filled._tables.drawn) * RING * 184 <= max(CELLS, RING * 184)


def test_the_rate_is_that_of_the_prompts_in_the_ring() -> None:
    found = [replace(each, at_s=100.0 + 2 * i) for i, each in enumerate(forecasts(50))]
    assert ring(found).rate_hz(200.0) == pytest.approx(0.5)
    assert Ring(0.1).rate_hz(200.0) == 0.0


def test_a_pause_longer_than_all_the_rest_leaves_the_rate_of_a_full_ring_as_it_is() -> None:
    found = [replace(each, at_s=1e5 + 2 * i) for i, each in enumerate(forecasts(RING))]
    for n in (0, 1, 100, RING - 1):  # of them came after a night
        late = [replace(each, at_s=each.at_s + 40_000 * (i >= n)) for i, each in enumerate(found)]
        assert ring(late).rate_hz(late[-1].at_s + 2) == pytest.approx(0.5, rel=0.01)
    assert ring(found).rate_hz(found[-1].at_s + 40_000) == pytest.approx(0.5, rel=0.01)
    idle = ring(found).rate_hz(found[-1].at_s + 40_000, goes_on=False)
    assert idle == pytest.approx(RING / 40_510)
    assert ring(late).rate_hz(late[-1].at_s + 2, goes_on=False) == pytest.approx(0.5, rel=0.01)
    assert ring(found[:100]).rate_hz(found[99].at_s + 40_000) == pytest.approx(100 / 40_198)
    twice = [replace(each, at_s=each.at_s + i // 100 * 40_000) for i, each in enumerate(found)]
    assert ring(twice).rate_hz(twice[-1].at_s + 2) == pytest.approx(RING / 80_512)


@pytest.mark.parametrize("back_s", [3.0, 512.0, 90_000.0])
def test_a_clock_that_is_set_back_leaves_the_rate_as_it_is(back_s: float) -> None:
    found = [replace(each, at_s=1e5 + 2 * i) for i, each in enumerate(forecasts(RING))]
    now_s = 1e5 + 2 * RING
    assert ring(found).rate_hz(now_s - back_s) == pytest.approx(0.5, rel=0.01)
    since = [replace(each, at_s=each.at_s + 2 * RING - back_s) for each in found[:100]]
    after_s = since[-1].at_s + 2.0
    assert ring([*found, *since]).rate_hz(after_s) == pytest.approx(0.5, rel=0.01)


def test_the_doubt_of_an_arm_is_the_newest() -> None:
    doubtful, surer = forecasts(200, (0.2, 0.2)), forecasts(1, (0.02, 0.02))
    one, other = ring([*doubtful, *surer]), ring(forecasts(200, (0.02, 0.02)) + surer)
    assert one.above(0.01, 0.9, "dear") == pytest.approx(other.above(0.01, 0.9, "dear"))
