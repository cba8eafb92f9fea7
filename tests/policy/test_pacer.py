"""A budget is kept over all traffic, a floor of quality at the least spend, a ceiling always."""

from dataclasses import replace

import numpy as np
import pytest

from policy.pacer import (
    HORIZON,
    Books,
    Budget,
    Elsewhere,
    Goal,
    Hold,
    Pacer,
    Per,
    QualityFloor,
    WillingnessToPay,
)
from policy.ring import HIGHEST_USD, LOWEST_USD, Forecast, Ring

ARMS = ("cheap", "dear")
NOON_S = 1_700_000_000.0 - 1_700_000_000.0 % 86_400 + 43_200


class World:
    """Two arms; the dear one costs 100 times as much and is better by 0 to 0.4."""

    def __init__(self, seed: int, dearer: float = 1.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.dearer = dearer

    def prompt(self, at_s: float) -> Forecast:
        gain = self.rng.uniform(0.0, 0.4)
        quality = np.array([0.55, 0.55 + gain])
        cost = np.array([1e-5, 1e-3]) * self.rng.uniform(0.5, 1.5)
        drawn = quality + 0.05 * self.rng.standard_normal((16, 2))
        return Forecast(ARMS, quality, cost, drawn, cost[None], np.full(2, 0.01), at_s)

    def paid_usd(self, expected_usd: float) -> float:
        """Return what a call really costs: more than expected by a factor that nobody knows."""
        return expected_usd * self.dearer * self.rng.lognormal(-0.125, 0.5)


class Spiky(World):
    """A third arm costs thirty times the second and is better by 0 to 0.2; the first is far worse.

    A budget a little above the second arm's price pays for few calls of the third, and a cluster of
    those leaves less than the second one costs.
    """

    def prompt(self, at_s: float) -> Forecast:
        quality = np.array([0.78, 0.92, 0.92 + self.rng.uniform(0.0, 0.2)])
        cost = np.array([3e-5, 5e-4, 1.5e-2]) * self.rng.uniform(0.5, 1.5, 3)
        drawn = quality + 0.02 * self.rng.standard_normal((16, 3))
        arms = ("poor", *ARMS)
        return Forecast(arms, quality, cost, drawn, cost[None], np.full(3, 0.01), at_s)


class Alike(World):
    """All prompts are alike; the better arm turns out ever dearer, so that no price stays right."""

    def prompt(self, at_s: float) -> Forecast:
        quality = np.array([0.3, 0.9]) + 0.01 * self.rng.standard_normal()
        cost = np.array([1e-3, 1.2e-3 + 2e-6 * (at_s - NOON_S)])
        drawn = quality + 0.01 * self.rng.standard_normal((16, 2))
        return Forecast(ARMS, quality, cost, drawn, cost[None], np.full(2, 0.01), at_s)


class Worsening(World):
    """The cheap arm is above a floor of 0.6 for 600 requests, and far below it from then on."""

    def prompt(self, at_s: float) -> Forecast:
        quality = np.array([0.7 if at_s < NOON_S + 600 else 0.3, 0.75])
        cost, drawn = np.array([1e-5, 1e-3]), quality + 0.05 * self.rng.standard_normal((16, 2))
        return Forecast(ARMS, quality, cost, drawn, cost[None], np.full(2, 0.01), at_s)


def run(goal: Goal, world: World, n: int, every_s: float = 1.0) -> tuple[Pacer, np.ndarray]:
    """Return the pacer after n requests, and the arm, quality and dollars of each, (n, 3)."""
    pacer, rounds = Pacer.of(goal, Ring(0.1), NOON_S), []
    for i in range(n):
        now_s = NOON_S + i * every_s
        seen = world.prompt(now_s)
        arm = int(np.argmax(seen.drawn[0] - seen.cost_usd / pacer.willingness_to_pay_usd))
        hold = Hold(float(seen.cost_usd[arm]), 3 * float(seen.cost_usd[arm]))
        pacer = pacer.decided(seen, hold, now_s)
        usd = world.paid_usd(hold.expected_usd)
        pacer = pacer.settled(hold, usd, now_s + 0.5)
        rounds.append((arm, seen.quality[arm], usd))
    return pacer, np.array(rounds)


@pytest.mark.parametrize("usd", [5e-5, 2e-4, 7e-4])
@pytest.mark.parametrize("dearer", [1.0, 1.6])
def test_spend_per_request_is_the_budget_also_when_predictions_are_off(
    usd: float, dearer: float
) -> None:
    shares = [
        run(Budget(usd, "request"), World(seed, dearer), 1200)[1][200:, 2].mean() / usd
        for seed in range(4)
    ]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.03)


def test_a_cluster_of_dear_answers_is_made_up_for_without_taking_the_poor_arm() -> None:
    rounds = [run(Budget(5.6e-4, "request"), Spiky(seed), 1500)[1][200:] for seed in range(4)]
    poor, _, dear = np.mean([[each[:, 0] == arm for arm in range(3)] for each in rounds], (0, 2))
    assert poor < 0.0005
    assert dear > 0.004
    assert np.mean([each[:, 2].mean() for each in rounds]) == pytest.approx(5.6e-4, rel=0.05)


def test_one_answer_that_costs_a_million_budgets_leaves_the_cheapest_arm_only() -> None:
    pacer, world = Pacer.of(Budget(1e-3, "request"), Ring(0.1), NOON_S), World(0)
    for i in range(40):
        pacer = pacer.decided(world.prompt(NOON_S + i), Hold(0.0, 0.0), NOON_S + i)
    pacer = pacer.settled(Hold(0.0, 0.0), 1e3, NOON_S + 40)
    for i in range(40, 60):
        pacer = pacer.decided(world.prompt(NOON_S + i), Hold(0.0, 0.0), NOON_S + i)
    assert LOWEST_USD <= pacer.willingness_to_pay_usd < 1e-5


def test_a_budget_that_more_than_pays_for_the_best_is_not_used_up() -> None:
    pacer, rounds = run(Budget(1.0, "request"), World(0), 300)
    assert pacer.willingness_to_pay_usd == HIGHEST_USD
    assert rounds[100:, 0].mean() > 0.9


def test_a_budget_below_every_price_takes_the_cheapest_arm() -> None:
    _, rounds = run(Budget(1e-7, "request"), World(0), 300)
    assert rounds[20:, 0].mean() < 0.01


def test_after_a_price_doubles_spend_is_on_the_budget_again() -> None:
    world = World(1)
    pacer, usd = Pacer.of(Budget(2e-4, "request"), Ring(0.1), NOON_S), []
    for i in range(1600):
        world.dearer = 1.0 if i < 800 else 2.0
        seen = world.prompt(NOON_S + i)
        arm = int(np.argmax(seen.drawn[0] - seen.cost_usd / pacer.willingness_to_pay_usd))
        hold = Hold(float(seen.cost_usd[arm]), 0.0)
        paid = world.paid_usd(hold.expected_usd)
        pacer = pacer.decided(seen, hold, NOON_S + i).settled(hold, paid, NOON_S + i)
        usd.append(paid)
    assert np.mean(usd[1000:]) == pytest.approx(2e-4, rel=0.1)


def test_what_nobody_wanted_to_spend_is_not_spent_later_in_a_rush() -> None:
    """For 1,000 prompts only the cheap arm is any good, then the dear one is, for 300."""
    world, usd, budget = World(1), [], 5e-4
    pacer = Pacer.of(Budget(budget, "request"), Ring(0.1), NOON_S)
    for i in range(1300):
        seen = world.prompt(NOON_S + i)
        if i < 1000:
            seen = replace(seen, quality=seen.quality[::-1], drawn=seen.drawn[:, ::-1])
        arm = int(np.argmax(seen.drawn[0] - seen.cost_usd / pacer.willingness_to_pay_usd))
        hold = Hold(float(seen.cost_usd[arm]), 0.0)
        pacer = pacer.decided(seen, hold, NOON_S + i).settled(hold, hold.expected_usd, NOON_S + i)
        usd.append(hold.expected_usd)
    assert np.mean(usd[:1000]) < 0.4 * budget
    assert np.sum(usd[1000:]) < (300 + 1.3 * HORIZON) * budget


@pytest.mark.parametrize("share", [0.8, 0.9, 0.97])
def test_a_floor_of_quality_is_kept_at_little_more_than_the_least_spend(share: float) -> None:
    _, rounds = run(QualityFloor(share, "dear"), World(2), 1500)
    quality, usd = rounds[500:, 1].mean(), rounds[500:, 2].mean()
    assert quality >= share * 0.75 - 0.005
    gains = np.sort(np.random.default_rng(3).uniform(0.0, 0.4, 20_000))[::-1]
    reached = 0.55 + gains.cumsum() / len(gains) >= share * 0.75
    asked_dear = (1 + reached.argmax()) / len(gains)  # a clairvoyant asks where the gain is largest
    assert usd < 1.35 * (asked_dear * 1e-3 + (1 - asked_dear) * 1e-5)


def test_a_floor_is_kept_where_all_prompts_are_alike_and_prices_move() -> None:
    for seed in range(4):
        _, rounds = run(QualityFloor(0.55, "dear"), Alike(seed), 400)
        assert 0.485 <= rounds[100:, 1].mean() < 0.53


def test_what_was_long_above_a_floor_pays_for_few_requests_below_it() -> None:
    for seed in range(2):
        _, rounds = run(QualityFloor(0.8, "dear"), Worsening(seed), 900)
        short = np.cumsum(0.6 - rounds[:, 1])
        assert short[599] < -40  # thumbs above it
        assert (short[600:] - short[599]).max() < 12
        assert short[-1] < short[599]


def test_a_floor_that_no_arm_can_reach_leaves_nothing_to_make_up_for() -> None:
    pacer, _ = run(QualityFloor(1.0, "dear"), World(0), 300)
    assert pacer.willingness_to_pay_usd == HIGHEST_USD
    assert pacer.books.short < 1.0  # of a hundred thumbs and more


def test_a_fixed_willingness_to_pay_stays_as_it_was_set() -> None:
    pacer, _ = run(WillingnessToPay(0.02), World(0), 50)
    assert pacer.willingness_to_pay_usd == 0.02
    assert (pacer.left_usd(NOON_S), pacer.target_usd(NOON_S)) == (None, None)
    assert pacer.ring.forecasts == ()
    assert pacer.books == Books()


def test_a_day_that_starts_late_spends_its_budget_by_midnight() -> None:
    _, rounds = run(Budget(0.3, "day"), World(4), 2160, every_s=20.0)
    assert rounds[:, 2].sum() == pytest.approx(0.3, rel=0.05)


def test_a_new_window_starts_with_nothing_spent_and_what_is_under_way_held() -> None:
    pacer = Pacer.of(Budget(1.0, "hour"), Ring(0.1), NOON_S)
    hold = Hold(0.1, 0.4)
    pacer = pacer.decided(World(0).prompt(NOON_S), hold, NOON_S)
    pacer = pacer.settled(hold, 0.2, NOON_S + 1)
    pacer = pacer.decided(World(0).prompt(NOON_S), hold, NOON_S + 2)
    assert pacer.left_usd(NOON_S + 3) == pytest.approx(0.4)
    assert pacer.left_usd(NOON_S + 3600) == pytest.approx(0.6)
    late = pacer.settled(hold, 0.3, NOON_S + 3601)
    assert late.left_usd(NOON_S + 3602) == pytest.approx(0.7)


def test_who_reserves_no_more_than_is_left_never_spends_more_than_the_budget() -> None:
    rng = np.random.default_rng(5)
    pacer, under_way, settled = Pacer.of(Budget(1.0, "day"), Ring(0.1), NOON_S), [], 0.0
    for _ in range(500):
        left = pacer.left_usd(NOON_S)
        assert left is not None
        reserve = float(rng.uniform(0.0, 0.1))
        if reserve <= left:
            under_way.append(Hold(reserve / 2, reserve))
            pacer = pacer.decided(World(0).prompt(NOON_S), under_way[-1], NOON_S)
        if under_way and rng.random() < 0.5:
            hold = under_way.pop(int(rng.integers(len(under_way))))
            paid = hold.reserved_usd * float(rng.random())
            settled += paid
            pacer = pacer.settled(hold, paid, NOON_S)
        assert settled <= 1.0 + 1e-9
    assert settled > 0.5


@pytest.mark.parametrize(("per", "window_s"), [("hour", 3_600.0), ("day", 86_400.0)])
def test_a_clock_that_is_set_back_over_the_hour_or_midnight_opens_no_budget_again(
    per: Per, window_s: float
) -> None:
    new_s = NOON_S - NOON_S % window_s + window_s
    hold = Hold(10.0, 10.0)
    pacer = Pacer.of(Budget(10.0, per), Ring(0.1), new_s - 600)
    pacer = pacer.decided(None, hold, new_s - 500).settled(hold, 10.0, new_s - 400)
    assert pacer.left_usd(new_s - 300) == 0.0
    pacer = pacer.at(new_s + 5)
    assert pacer.left_usd(new_s + 5) == 10.0
    pacer = pacer.decided(None, hold, new_s + 6).settled(hold, 10.0, new_s + 7)
    assert pacer.left_usd(new_s - 600) == 0.0
    assert pacer.at(new_s - 600).left_usd(new_s + 60) == 0.0


def test_what_is_left_is_for_the_rest_of_its_window_also_while_the_clock_is_behind() -> None:
    midnight_s = NOON_S + 43_200
    pacer = Pacer.of(Budget(10.0, "day"), Ring(0.1), midnight_s + 5).allotted(
        10.0, Elsewhere(rate_hz=1.0)
    )
    assert pacer.target_usd(midnight_s + 5) == pytest.approx(10.0 / 86_395)
    assert pacer.target_usd(midnight_s - 600) == pytest.approx(10.0 / 87_000)


@pytest.mark.parametrize("back_s", [60.0, 1_280.0, 3_000.0])
def test_a_clock_that_is_set_back_leaves_what_the_next_requests_may_cost(back_s: float) -> None:
    pacer, _ = run(Budget(10.0, "day"), World(0), 300, every_s=5.0)
    now_s = NOON_S + 1_500
    before, after = pacer.target_usd(now_s), pacer.target_usd(now_s - back_s)
    assert before is not None
    assert after == pytest.approx(before, rel=0.1)


def test_a_clock_that_was_years_ahead_leaves_the_budget_as_it_is_now() -> None:
    pacer, hold = Pacer.of(Budget(10.0, "day"), Ring(0.1), NOON_S + 1e8), Hold(4.0, 4.0)
    pacer = pacer.decided(None, hold, NOON_S).settled(hold, 4.0, NOON_S)
    assert pacer.left_usd(NOON_S) == 6.0
    assert pacer.left_usd(NOON_S + 86_400) == 10.0


def test_a_clock_that_goes_back_for_days_and_comes_again_opens_no_budget_again() -> None:
    pacer, hold = Pacer.of(Budget(10.0, "day"), Ring(0.1), NOON_S), Hold(4.0, 4.0)
    pacer = pacer.decided(None, hold, NOON_S).settled(hold, 4.0, NOON_S)
    for _ in range(3):
        pacer = pacer.at(NOON_S - 3 * 86_400)
        assert pacer.left_usd(NOON_S - 3 * 86_400) == 10.0
        pacer = pacer.at(NOON_S + 60)
        assert pacer.left_usd(NOON_S + 60) == 6.0
    assert pacer.left_usd(NOON_S + 86_400) == 10.0


@pytest.mark.parametrize("ahead_s", [86_400.0, 2 * 86_400.0, 86_400.0 * 400])
def test_a_clock_that_runs_ahead_for_days_and_comes_back_opens_no_budget_again(
    ahead_s: float,
) -> None:
    pacer, hold = Pacer.of(Budget(10.0, "day"), Ring(0.1), NOON_S), Hold(4.0, 4.0)
    for off_s, left in ((0.0, 6.0), (ahead_s, 6.0), (0.0, 2.0), (ahead_s, 2.0)):
        now_s = NOON_S + off_s
        pacer = pacer.decided(None, hold, now_s).settled(hold, 4.0, now_s)
        assert pacer.left_usd(now_s) == left


def test_before_the_first_prompt_the_price_is_tight_and_spend_of_earlier_counts() -> None:
    pacer = Pacer.of(Budget(0.5, "day"), Ring(0.1), NOON_S, settled_usd=0.2)
    assert LOWEST_USD < pacer.willingness_to_pay_usd <= 0.5
    assert pacer.left_usd(NOON_S) == pytest.approx(0.3)


def test_of_a_budget_that_others_share_a_piece_is_spent_and_what_they_spend_is_gone() -> None:
    elsewhere = Elsewhere(taken_usd=5.0, spent_usd=1.0, gone_usd=3.0, rate_hz=2.0)
    pacer = Pacer.of(Budget(10.0, "hour"), Ring(0.1), NOON_S).allotted(4.0, elsewhere)
    first, second = Hold(0.25, 0.5), Hold(0.75, 1.5)
    for hold in (first, second):
        pacer = pacer.decided(None, hold, NOON_S)
    pacer = pacer.settled(first, 0.2, NOON_S)
    assert pacer.left_usd(NOON_S) == pytest.approx(4.0 - 0.2 - 1.5)
    assert pacer.unspent_usd(NOON_S) == pytest.approx(10.0 - 0.2 - 1.5 - 3.0)
    target = pacer.target_usd(NOON_S + 600)
    assert target == pytest.approx((10.0 - 0.2 - 0.75 - 3.0) / (2.0 * 3_000))
    later = pacer.at(NOON_S + 3_600)
    assert later.left_usd(NOON_S + 3_600) == 0.0
    assert later.unspent_usd(NOON_S + 3_600) == pytest.approx(10.0 - 1.5)
    assert later.books.elsewhere == Elsewhere(rate_hz=2.0)


def test_a_ceiling_beside_a_price_holds_what_is_under_way_and_leaves_the_price() -> None:
    cap, hold = Budget(1.0, "day"), Hold(0.2, 0.4)
    pacer = Pacer.of(WillingnessToPay(0.02), Ring(0.1), NOON_S, cap=cap)
    pacer = pacer.decided(World(0).prompt(NOON_S), hold, NOON_S)
    assert (pacer.left_usd(NOON_S), pacer.willingness_to_pay_usd) == (pytest.approx(0.6), 0.02)
    assert pacer.settled(hold, 0.1, NOON_S).left_usd(NOON_S) == pytest.approx(0.9)


def test_a_morning_after_a_night_spends_no_more_than_its_part_of_the_day() -> None:
    budget, world = Budget(0.3, "day"), World(6)
    pacer, midnight_s = Pacer.of(budget, Ring(0.1), NOON_S), NOON_S - 43_200
    spent = np.zeros((3, 720))  # three days from eight to eight, a request a minute
    for day, minute in np.ndindex(spent.shape):
        now_s = midnight_s + day * 86_400 + 8 * 3600 + minute * 60.0
        seen = world.prompt(now_s)
        arm = int(np.argmax(seen.drawn[0] - seen.cost_usd / pacer.willingness_to_pay_usd))
        hold = Hold(float(seen.cost_usd[arm]), float(seen.cost_usd[arm]))
        pacer = pacer.decided(seen, hold, now_s)
        spent[day, minute] = world.paid_usd(hold.expected_usd)
        pacer = pacer.settled(hold, spent[day, minute], now_s + 0.5)
    by_noon = spent[1:, :240].sum(axis=1) / budget.usd
    assert (by_noon < 0.4).all(), by_noon  # a third of the day's requests
