"""A replay learns an easy world from the outcomes of its own choices, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from bench import replay
from bench.course import order
from bench.options import Options
from bench.replay import play
from bench.router import ReplayRouter
from tests.bench.worlds import easy, nearly_as_good

WORLD = easy(400)
SKETCHES = WORLD.sketches("both")
BEST_RULE, BEST_SINGLE = 0.95, 0.625


@pytest.mark.slow
@pytest.mark.parametrize("options", [Options("text"), Options("category"), Options("both")])
def test_an_easy_world_is_learned_to_its_optimum(options: Options) -> None:
    played = play(WORLD, WORLD.sketches(options.context), options, 1)
    assert played.reward[200:].mean() > BEST_RULE - 0.05
    assert played.reward.mean() > BEST_SINGLE + 0.15


@pytest.mark.slow
def test_delayed_thumbs_for_a_third_of_the_prompts_are_enough() -> None:
    options = Options("both", feedback=0.35, binary=True, delay=20)
    played = play(WORLD, SKETCHES, options, 1)
    assert played.reward[200:].mean() > BEST_SINGLE + 0.1


def test_nothing_is_learned_of_arms_that_were_not_chosen() -> None:
    table = easy(60)
    sketches = table.sketches("text")
    first = play(table, sketches, Options(), 0)
    other = table.scores.copy()
    untold = np.ones_like(other, dtype=bool)
    untold[first.rows, first.arms] = False
    other[untold] = 1.0 - other[untold]
    again = play(replace(table, scores=other), sketches, Options(), 0)
    np.testing.assert_array_equal(again.arms, first.arms)


@pytest.mark.parametrize(("text", "prompts"), [("question {}", 10), ("", 60)])
def test_equal_texts_are_one_prompt_to_a_retrain_but_not_rows_without_a_text(
    text: str, prompts: int
) -> None:
    table = replace(easy(60), prompts=tuple(text.format(row % 10) for row in range(60)))
    router = ReplayRouter(table, table.sketches("category"), "r", Options("category"))
    for t in range(60):
        router.serve(t, t, table.arms)
        router.rate(t, 1.0, t)
    asked = router.ledger.recent(60)
    assert len({each.prompt_sha256 for each in asked}) == prompts
    assert [router.ledger.row(each) for each in asked] == list(range(60))
    done = router.retrain(60, asked=True)
    assert done is not None
    assert ("10 prompts (20 needed)" in done.reason) == (prompts == 10)


def test_the_same_seed_gives_the_same_choices_and_another_seed_others() -> None:
    table = easy(60)
    sketches = table.sketches("text")
    one, same, other = (play(table, sketches, Options(), seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.rows, same.rows)
    np.testing.assert_array_equal(one.arms, same.arms)
    assert one.rows.tolist() != other.rows.tolist()


def test_how_far_a_long_stream_has_come_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, options = easy(20), Options(policy="uniform")
    play(table, table.sketches("text"), options, 3)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(replay, "TELL_EVERY_S", 0.0)
    play(table, table.sketches("text"), options, 3)
    assert capsys.readouterr().err.splitlines()[6] == "easy, uniform, seed 3: 7 of 20 prompts"


def test_reward_and_cost_are_those_recorded_for_the_arm_that_was_chosen() -> None:
    table = easy(50)
    played = play(table, table.sketches("text"), Options(policy="uniform"), 0)
    np.testing.assert_array_equal(played.reward, table.scores[played.rows, played.arms])
    np.testing.assert_array_equal(played.cost_usd, table.cost_usd[played.rows, played.arms])
    assert set(played.arms.tolist()) == {0, 1, 2}


def test_without_feedback_nothing_is_retrained() -> None:
    table = easy(60)
    assert play(table, table.sketches("text"), Options(feedback=0.0), 0).retrains == []


def test_retrains_come_when_half_of_the_feedback_is_new() -> None:
    table = easy(110)
    played = play(table, table.sketches("text"), Options(policy="uniform"), 0)
    after = [int(line.split()[2].rstrip(":")) for line in played.retrains]
    assert after == [25, 50, 100]


@pytest.mark.slow
def test_evals_imported_first_are_not_played_and_make_the_start_good() -> None:
    options = Options("both", warm=100)
    played = play(WORLD, SKETCHES, options, 0)
    warm, _, rows = order(WORLD, options, 0)
    np.testing.assert_array_equal(played.rows, rows)
    assert set(warm.tolist()).isdisjoint(rows.tolist())
    assert played.reward[:50].mean() > BEST_SINGLE + 0.1


def test_a_small_willingness_to_pay_buys_the_cheap_arm() -> None:
    table = easy(150)
    options = Options(willingness_to_pay_usd=1e-4)
    played = play(table, table.sketches("text"), options, 0)
    assert (played.arms[50:] == 2).mean() > 0.9


@pytest.mark.slow
def test_a_floor_of_quality_is_held_from_the_first_request_though_the_baseline_is_unknown() -> None:
    table = nearly_as_good(400)
    options = Options(quality_floor=0.98)
    played = [play(table, table.sketches("text"), options, seed) for seed in range(3)]
    floor = 0.98 * table.scores[:, 1].mean()
    assert np.mean([each.reward.mean() for each in played]) > floor - 0.01
    assert min(each.reward.mean() for each in played) > floor - 0.05
