"""A change is found soon, and hardly ever where there was none; the day of it need not be known."""

from math import log

import numpy as np
import pytest

from policy.belief import Belief
from policy.drift import ALARM, FEWEST, HALVED_S, UNSETTLED_S, Watch
from policy.hyper import Hyper
from policy.prediction import MeanWeights
from policy.types import HOUR_S, Floats

CONSTANT = np.ones(1)


def known(mean: float, sd: float = 0.02) -> Watch:
    """Return the watch of an arm whose mean reward is believed to be this."""
    return Watch.new().against(MeanWeights(np.array([mean]), sd))


def found_after(watch: Watch, rewards: Floats) -> int:
    """Return after how many outcomes the change was found; more than there are if never."""
    for n, reward in enumerate(rewards, start=1):
        watch = watch.observe(CONSTANT, float(reward), 0.0)
        if watch.alarmed:
            return n
    return len(rewards) + 1


def thumbs(mean: float, n: int, seed: int) -> Floats:
    return (np.random.default_rng(seed).random(n) < mean).astype(float)


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.6), (0.7, 0.4), (0.5, 0.8), (0.6, 0.9)])
def test_three_tenths_up_or_down_are_found_within_150_outcomes(before: float, after: float) -> None:
    took = [found_after(known(before), thumbs(after, 300, seed)) for seed in range(100)]
    assert np.quantile(took, 0.95) < 150
    assert np.median(took) < 80


@pytest.mark.parametrize(("after", "least", "most"), [(0.14, 19, 20), (0.44, 0, 1)])
def test_doubt_of_single_prompts_does_not_hide_a_change_of_all(
    after: float, least: int, most: int
) -> None:
    groups, found = (*["facts"] * 30, "constant"), 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        belief = Belief(Hyper().quality_prior(groups))
        asked = np.column_stack([rng.standard_normal((700, 30)), np.ones(700)])
        rewards = np.concatenate([thumbs(0.44, 400, seed), thumbs(after, 300, 100 + seed)])
        for x, reward in zip(asked[:400], rewards, strict=False):
            belief = belief.update("a", x, float(reward))
        watch = Watch.new().against(belief.mean_weights("a"))
        for x, reward in zip(asked[400:], rewards[400:], strict=True):
            watch = watch.observe(x, float(reward), 0.0)
            found += watch.alarmed
            if watch.alarmed:
                break
    assert least <= found <= most


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.1, 0.5, 0.95])
def test_without_a_change_alarms_are_rarer_than_promised(mean: float) -> None:
    alarms = sum(
        found_after(known(mean, sd=0.0), thumbs(mean, 1_000, s)) <= 1_000 for s in range(60)
    )
    # At most one in a thousand outcomes on average, here in 60,000: in truth far fewer.
    assert alarms <= 3


def test_a_run_of_luck_in_a_long_stream_is_no_change() -> None:
    rewards, watch, wealth = thumbs(0.7, 12_000, 58), known(0.7, sd=0.008), 0.0
    for reward in rewards:
        watch = watch.observe(CONSTANT, float(reward), 0.0)
        wealth = max(wealth, watch.boldest.wealth)
        assert not watch.alarmed
    assert wealth > log(ALARM)  # so much alone would have been an alarm


def test_a_change_after_a_long_quiet_time_is_found_nearly_as_soon() -> None:
    quiet = np.concatenate([np.full(5_000, 0.9), np.full(100, 0.6)])
    late = found_after(known(0.9), quiet) - 5_000
    assert late <= 1.4 * found_after(known(0.9), np.full(100, 0.6))


def test_an_arm_that_is_hardly_known_raises_no_alarm() -> None:
    assert found_after(known(0.8, sd=0.4), np.zeros(500)) == 501
    assert found_after(Watch.new(), np.zeros(500)) == 501


def test_the_reference_is_taken_after_the_first_outcomes_and_then_ever_more_seldom() -> None:
    watch, taken = Watch.new(), []
    for n in range(2_000):
        if watch.is_due:
            watch = watch.against(MeanWeights(np.array([0.5]), 0.1))
            taken.append(n)
        watch = watch.observe(CONSTANT, 0.5, 0.0)
    assert taken[0] == FEWEST
    assert len(taken) < 25
    assert max(np.diff(taken)) > 200


def test_what_changed_is_forgotten_by_half_in_half_a_day_for_a_week_and_then_as_ever() -> None:
    watch, half, week = Watch.new().changed(0.0), int(HALVED_S / HOUR_S), int(UNSETTLED_S)
    assert watch.faded(0, half) == pytest.approx(0.5)
    assert watch.faded(0, 100 * half) == pytest.approx(0.5 ** (week / HALVED_S))
    assert watch.faded(50 * half, 100 * half) == 1.0
    assert watch.left_at(half * HOUR_S, 2 * half) == pytest.approx(0.5)
    assert Watch.new().faded(0, 100 * half) == 1.0


def test_a_watch_is_the_same_after_it_was_stored() -> None:
    watch = known(0.8)
    for reward in thumbs(0.4, 20, 1):
        watch = watch.observe(CONSTANT, float(reward), 0.0)
    again = Watch.from_arrays(watch.changed(7.0).against(MeanWeights(CONSTANT, 0.2)).to_arrays())
    assert (again.reference.tolist(), again.doubt, again.changes[0].at_s) == ([1.0], 0.2, 7.0)
    stored = Watch.from_arrays(watch.to_arrays())
    assert stored.to_arrays().keys() == watch.to_arrays().keys()
    for name, array in watch.to_arrays().items():
        assert np.array_equal(stored.to_arrays()[name], array)
        assert np.isfinite(array).all()
    assert stored.worse.seen.weight > 0


def quiet_then(rewards: Floats, quiet: int = 500) -> Watch:
    """Return the watch of an arm that pleases as believed, one a second, and then so."""
    watch = known(0.9)
    for at_s, reward in enumerate([*np.full(quiet, 0.9), *rewards]):
        watch = watch.observe(CONSTANT, float(reward), float(at_s))
    return watch


def test_what_a_bet_has_seen_is_what_came_since_its_winnings_began() -> None:
    won = quiet_then(np.full(12, 0.3)).boldest
    assert (won.since_s, won.seen.weight) == (500.0, 12.0)
    assert won.seen.moment / won.seen.weight == pytest.approx(0.3)


def test_winnings_that_are_lost_again_leave_nothing() -> None:
    watch = quiet_then(np.array([0.3, 0.3, *np.full(40, 0.95)]))
    assert (watch.worse.wealth, watch.worse.seen.weight) == (0.0, 0.0)
    again = watch.observe(CONSTANT, 0.2, 900.0).worse
    assert (again.since_s, again.seen.weight) == (900.0, 1.0)


def test_a_change_of_mind_counts_where_a_bet_had_begun_and_wins_nothing() -> None:
    watch = quiet_then(np.full(12, 0.3))
    before, within = (
        watch.returned(CONSTANT, 0.3, at_s, 1.0, bet=False) for at_s in (499.0, 505.0)
    )
    assert (before.worse.seen.weight, within.worse.seen.weight) == (12.0, 11.0)
    assert watch.worse.wealth == before.worse.wealth == within.worse.wealth
    assert within.scaled(0.5).worse.seen.weight == 5.5


@pytest.mark.parametrize(("believed", "reward"), [(0.9, 0.3), (0.3, 0.9)])
def test_a_first_rating_that_is_taken_back_takes_back_what_was_won_on_it(
    believed: float, reward: float
) -> None:
    watch = known(believed)
    for at_s in range(12):
        watch = watch.observe(CONSTANT, reward, float(at_s))
    again = watch.observe(CONSTANT, reward, 12.0)
    back = again.returned(CONSTANT, reward, 12.0, 1.0, bet=True)
    assert again.boldest.wealth > watch.boldest.wealth == pytest.approx(back.boldest.wealth)
    assert back.boldest.seen.weight == pytest.approx(12.0)


def test_of_what_was_told_before_a_change_nothing_is_left_and_of_evals_before_it_was_found() -> (
    None
):
    watch = quiet_then(np.full(12, 0.3)).changed(511.0)
    assert [watch.counts(at_s) for at_s in (0.0, 499.0, 500.0, 600.0)] == [False, False, True, True]
    assert [watch.counts_eval(at_s) for at_s in (505.0, 511.0, 512.0)] == [False, False, True]
    assert (watch.left_at(499.0, 0), watch.left_at(500.0, 0)) == (0.0, 1.0)
