"""The category baseline learns what its categories tell apart, counts thumbs, and minds costs."""

import numpy as np

from bench.category_beta import CategoryBeta
from bench.course import Evals
from bench.options import Options
from bench.replay import play
from tests.bench.worlds import easy

WORLD = easy(600)
OPTIONS = Options(policy=CategoryBeta.name)


def test_it_learns_which_arm_is_good_at_which_category() -> None:
    played = play(WORLD, WORLD.sketches("text"), OPTIONS, 0)
    assert played.reward[300:].mean() > 0.9


def test_evals_count_as_thumbs() -> None:
    table, choices = easy(40), []
    player = CategoryBeta(table, OPTIONS, 0)
    row = table.tasks.index("code")
    scores = np.tile([1.0, 0.0, np.nan], (500, 1))
    player.import_evals(Evals(0, np.full(500, row), scores), table.arms[:2])
    for t in range(50):
        choices.append(player.choose(t, row, table.arms[:2]))
        player.rate(t, np.nan, t)
    assert set(choices) == {"coder"}


def test_what_an_arm_has_cost_so_far_counts_against_it() -> None:
    options = Options(policy=CategoryBeta.name, willingness_to_pay_usd=1e-4)
    played = play(WORLD, WORLD.sketches("text"), options, 0)
    assert (played.arms[50:] == 2).mean() > 0.95


def test_under_a_budget_it_is_paced_as_the_router_is() -> None:
    budget = 0.0015
    options = Options(policy=CategoryBeta.name, budget_usd_per_request=budget)
    played = play(WORLD, WORLD.sketches("text"), options, 0)
    assert abs(played.cost_usd[200:].mean() / budget - 1.0) < 0.1
    assert set(played.arms[200:].tolist()) >= {1, 2}
