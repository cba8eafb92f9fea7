"""Yardsticks agree with a search over everything they choose among."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bench.course import Course, lay
from bench.options import Options
from bench.yardsticks import (
    Deserved,
    Foreseen,
    cheapest_mixture,
    deserved,
    foresee,
    level,
    static_mixture,
    yardsticks,
)
from tests.bench.worlds import easy

WORLD = easy(300)
FORESEEN = foresee(WORLD, WORLD.sketches("text"))


def compared(options: Options) -> tuple[Course, dict[str, np.ndarray]]:
    course = lay(WORLD, options, 0).judged()
    return course, yardsticks(WORLD, course, FORESEEN, options)


COURSE, STICKS = compared(Options(willingness_to_pay_usd=1e9))


def value(choice: np.ndarray, course: Course = COURSE) -> float:
    return float((choice * course.scores).sum(axis=1).mean())


def spend_usd(choice: np.ndarray, course: Course = COURSE) -> float:
    return float((choice * course.cost_usd).sum(axis=1).mean())


def test_every_yardstick_is_a_distribution_for_every_prompt() -> None:
    for choice in STICKS.values():
        assert choice.shape == WORLD.scores.shape
        np.testing.assert_allclose(choice.sum(axis=1), 1.0)
        assert (choice >= 0).all()


def test_uniform_earns_the_mean_of_all_scores() -> None:
    assert value(STICKS["uniform"]) == pytest.approx(WORLD.scores.mean())


def test_the_best_single_arm_is_the_best_column() -> None:
    assert value(STICKS["best_single"]) == max(column.mean() for column in WORLD.scores.T)


def test_the_oracle_takes_the_best_score_and_of_equals_the_cheapest() -> None:
    for row, chosen in enumerate(STICKS["oracle"].argmax(axis=1)):
        best = max(COURSE.scores[row])
        fitting = [i for i in range(3) if COURSE.scores[row, i] == best]
        assert chosen == min(fitting, key=lambda i: COURSE.cost_usd[row, i])


def test_full_information_finds_the_rule_that_made_the_world() -> None:
    rule = np.array([0 if WORLD.tasks[row] == "code" else 1 for row in COURSE.rows])
    agreed = (STICKS["full_information"].argmax(axis=1) == rule).mean()
    assert agreed > 0.98


def test_at_a_price_no_arm_is_worth_the_cheapest_is_taken_by_all_that_look_at_price() -> None:
    _, dear = compared(Options(willingness_to_pay_usd=1e-6))
    for name in ("best_single", "full_information", "oracle"):
        assert set(dear[name].argmax(axis=1).tolist()) == {2}


def test_short_prompts_go_to_the_cheapest_arm_by_word_count() -> None:
    assert set(STICKS["word_count"].argmax(axis=1).tolist()) == {2}


def test_with_a_budget_what_knows_the_costs_keeps_to_it_and_uses_it() -> None:
    budget = 0.0021
    course, paced = compared(Options(budget_usd_per_request=budget))
    for name in ("best_single", "full_information", "oracle"):
        assert spend_usd(paced[name], course) <= budget
    for name in ("full_information", "oracle"):
        assert spend_usd(paced[name], course) > 0.95 * budget
    assert paced["best_single"].argmax(axis=1).tolist() == [1] * len(course.rows)
    assert value(paced["oracle"], course) > value(paced["full_information"], course)


def test_a_budget_that_buys_no_arm_takes_the_cheapest() -> None:
    _, paced = compared(Options(budget_usd_per_request=1e-9))
    for name in ("best_single", "full_information", "oracle"):
        assert set(paced[name].argmax(axis=1).tolist()) == {2}, name


def test_the_pick_from_evals_is_what_the_evals_say_and_not_hindsight() -> None:
    options = Options(warm=25)
    course, picked = compared(options)
    (evals,) = course.evals
    means = evals.scores.mean(axis=0)
    assert np.flatnonzero(means == means.max()).tolist() == [picked["evals_pick"][0].argmax()]
    assert "evals_pick" not in STICKS


def test_no_yardstick_takes_an_arm_that_is_not_offered_yet() -> None:
    course, sticks = compared(Options(scenario="new_arm", warm=20))
    absent = ~course.offered
    assert absent.any()
    for name, choice in sticks.items():
        assert choice[absent].sum() == 0, name
        np.testing.assert_allclose(choice.sum(axis=1), 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_static_mixture_is_the_best_of_all_mixtures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, cost = rng.random((30, 4)), rng.random((30, 4)) * rng.random(4)
    spend = float(rng.uniform(cost.mean(axis=0).min(), cost.mean(axis=0).max()))
    mixture = static_mixture(scores, cost, spend)
    assert mixture.sum() == pytest.approx(1.0)
    assert mixture @ cost.mean(axis=0) <= spend + 1e-9
    steps = 40
    grid = [
        np.array([a, b, c, steps - a - b - c]) / steps
        for a, b, c in itertools.product(range(steps + 1), repeat=3)
        if a + b + c <= steps
    ]
    affordable = [each for each in grid if each @ cost.mean(axis=0) <= spend]
    found = max(float(each @ scores.mean(axis=0)) for each in affordable)
    assert mixture @ scores.mean(axis=0) >= found - 1e-12


def test_an_arm_that_always_costs_the_budget_keeps_to_it() -> None:
    table = easy(300)
    costs = np.tile([0.01, 0.001, 0.0005], (300, 1))
    assert costs[:, 1].mean() != 0.001  # a mean of equal numbers is not quite that number
    table = replace(table, cost_usd=costs, scores=np.tile([0.5, 0.9, 0.3], (300, 1)))
    options = Options(budget_usd_per_request=0.001)
    found = yardsticks(table, lay(table, options, 0).judged(), FORESEEN, options)
    assert found["best_single"][0].tolist() == [0.0, 1.0, 0.0]
    assert static_mixture(table.scores, costs, 0.001).tolist() == [0.0, 1.0, 0.0]


def test_with_less_than_the_cheapest_costs_it_is_the_cheapest() -> None:
    mixture = static_mixture(np.array([[0.5, 1.0]]), np.array([[1.0, 3.0]]), 0.5)
    assert mixture.tolist() == [1.0, 0.0]


def test_the_cheapest_mixture_reaches_the_reward_and_no_pair_does_for_less() -> None:
    rng = np.random.default_rng(5)
    scores, cost = rng.random((50, 4)), rng.random((50, 4))
    reward = float(np.quantile(scores.mean(axis=0), 0.6))
    usd = cheapest_mixture(scores, cost, reward)
    spends = static_mixture(scores, cost, usd + 1e-9)
    assert float(spends @ scores.mean(axis=0)) >= reward - 1e-9
    less = static_mixture(scores, cost, usd - 1e-6)
    assert float(less @ scores.mean(axis=0)) < reward


def test_what_is_less_than_a_standard_error_behind_the_best_is_level_with_it() -> None:
    more = np.array([2.0, -1.0] * 50)  # of the best: .5 on average, 1.5 from one prompt to another
    error = 1.5 / 10
    for behind, is_level in ((0.99 * error, True), (1.01 * error, False)):
        brought = np.stack([np.zeros(100), 0.5 - behind - more])
        assert level(brought).tolist() == [True, is_level]


def test_what_an_arm_deserves_is_between_the_shares_of_those_that_bring_as_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = len(WORLD)
    scores = np.where(np.arange(len(WORLD.names)) == 2, 0.0, 0.5) * np.ones((n, 1))
    often = [0.2, 0.7, 0.9]  # of the first arm; else the second, which is as good, or the third

    def foreseen(share: float, other: int) -> Foreseen:
        asked = np.where(np.arange(n) < share * n, 0, other)
        return Foreseen(np.eye(len(WORLD.names))[asked], WORLD.cost_usd)

    each = [foreseen(share, other) for share, other in zip(often, (1, 1, 2), strict=True)]
    monkeypatch.setattr("bench.yardsticks.foresee", lambda *_: each)
    due = deserved(replace(WORLD, scores=scores), [], 0)
    assert due == Deserved(*map(pytest.approx, (0.2, 0.2, 0.7)))
