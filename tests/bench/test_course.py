"""A course is the table in the order of a seed, changed by its scenario and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from bench.course import CUT, EVALS_OF_A_NEW_ARM, LEFT_OF_QUALITY, lay, order, prices
from bench.options import HALF, Options
from tests.bench.worlds import easy

WORLD = easy(900)
CODER, TELLER = 0, 1
DEAREST = CODER
BEST = int(WORLD.scores.mean(axis=0).argmax())


def test_a_steady_course_is_the_table_in_another_order() -> None:
    course = lay(WORLD, Options(), 3)
    assert sorted(course.rows.tolist()) == list(range(900))
    assert course.rows.tolist() != list(range(900))
    np.testing.assert_array_equal(course.scores, WORLD.scores[course.rows])
    np.testing.assert_array_equal(course.cost_usd, WORLD.cost_usd[course.rows])
    np.testing.assert_array_equal(course.told, course.scores)
    assert course.offered.all()
    assert not course.changed.any()


def test_half_is_learned_on_and_the_other_half_is_judged() -> None:
    warm, learned, judged = order(WORLD, Options(learn_on=HALF, warm=100), 0)
    assert (len(warm), len(learned), len(judged)) == (100, 350, 450)
    assert sorted([*warm, *learned, *judged]) == list(range(900))
    course = lay(WORLD, Options(learn_on=HALF, warm=100), 0)
    assert course.judged_from == 350
    np.testing.assert_array_equal(course.judged().rows, judged)


def test_the_rows_of_another_table_are_learned_on_and_never_judged() -> None:
    table = replace(WORLD, learning=200)
    warm, learned, judged = order(table, Options(learn_on="another", warm=50), 0)
    assert sorted([*warm, *learned]) == list(range(200))
    assert sorted(judged) == list(range(200, 900))


def test_a_price_cut_is_seen_by_prices_and_bills_and_goes_back() -> None:
    course = lay(WORLD, Options(scenario="price_cut"), 1)
    cut = slice(300, 600)
    assert course.changed.tolist() == [False] * 300 + [True] * 300 + [False] * 300
    factor = course.cost_usd / WORLD.cost_usd[course.rows]
    np.testing.assert_allclose(factor[cut, DEAREST], CUT)
    factor[cut, DEAREST] = 1.0
    np.testing.assert_allclose(factor, 1.0)
    np.testing.assert_array_equal(course.scores, WORLD.scores[course.rows])
    asked = [prices(WORLD.arms, stage)[DEAREST].output_usd_per_mtok for stage in course.stages]
    assert asked == pytest.approx([40.0, 40.0 * CUT, 40.0])


def test_an_arm_gets_worse_silently_and_prices_stay() -> None:
    course = lay(WORLD, Options(scenario="degraded"), 1)
    usual = WORLD.scores[course.rows]
    usual[450:, BEST] *= LEFT_OF_QUALITY
    np.testing.assert_allclose(course.scores, usual)
    first, second = (prices(WORLD.arms, stage) for stage in course.stages)
    assert first == second == list(WORLD.arms)


def test_the_arm_that_changes_may_be_named() -> None:
    course = lay(WORLD, Options(scenario="degraded", concerned="cheap"), 1)
    changed = (course.scores != WORLD.scores[course.rows]).any(axis=0)
    assert changed.tolist() == [False, False, True]


@pytest.mark.parametrize("scenario", ["new_arm", "new_arm_evals"])
def test_a_new_arm_is_offered_from_half_time_on(scenario: str) -> None:
    course = lay(WORLD, Options(scenario=scenario, warm=100), 1)  # type: ignore[arg-type]
    assert not course.offered[:400, BEST].any()
    assert course.offered[400:].all()
    names = [[arm.name for arm in prices(WORLD.arms, stage)] for stage in course.stages]
    assert WORLD.names[BEST] not in names[0]
    assert names[1] == list(WORLD.names)
    assert np.isnan(course.evals[0].scores[:, BEST]).all()
    assert len(course.evals) == (2 if scenario == "new_arm_evals" else 1)


def test_evals_of_a_new_arm_are_of_it_alone_and_of_earlier_prompts() -> None:
    course = lay(WORLD, Options(scenario="new_arm_evals"), 1)
    (evals,) = course.evals
    assert evals.t == 450
    np.testing.assert_array_equal(evals.rows, course.rows[450 - EVALS_OF_A_NEW_ARM : 450])
    others = [i for i in range(3) if i != BEST]
    assert np.isnan(evals.scores[:, others]).all()
    np.testing.assert_array_equal(evals.scores[:, BEST], WORLD.scores[evals.rows, BEST])


def test_a_third_of_the_feedback_is_told_and_a_thumb_is_up_as_often_as_the_score_says() -> None:
    table = replace(WORLD, scores=np.full((900, 3), 0.8))
    told = np.concatenate(
        [lay(table, Options(feedback=0.3, binary=True), s).told[:, 0] for s in range(10)]
    )
    known = told[~np.isnan(told)]
    assert len(known) / len(told) == pytest.approx(0.3, abs=0.03)
    assert set(known.tolist()) == {0.0, 1.0}
    assert known.mean() == pytest.approx(0.8, abs=0.04)


def test_who_is_not_satisfied_may_speak_more_often() -> None:
    options = Options(feedback=0.1, feedback_unsatisfied=0.5, binary=True)
    courses = [lay(WORLD, options, seed) for seed in range(10)]
    for outcome, share in ((1.0, 0.1), (0.0, 0.5)):
        told = [np.isfinite(c.told[c.scores == outcome]).mean() for c in courses]
        assert np.mean(told) == pytest.approx(share, abs=0.03)
