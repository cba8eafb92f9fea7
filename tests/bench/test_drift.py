"""A stream whose best arm breaks and heals is told as it went."""

import numpy as np

from bench.drift import HEALED, STEADY, WORSE, Drifted, DriftStream, page, shown
from bench.synthetic import synthetic
from tests.bench.worlds import easy

N = STEADY + WORSE + HEALED


def test_shares_rewards_and_alarms_are_told_by_part() -> None:
    taken = np.ones(N, bool)
    taken[STEADY + 100 : STEADY + WORSE + 1_000] = False
    found = shown(taken, np.linspace(0.0, 1.0, N), [STEADY + 40.0])
    assert (found.share_before, found.share_worse, found.share_healed) == (1.0, 0.0, 1.0)
    assert found.rated_until_little == 100
    assert found.alarms == [0, 1, 0]
    assert found.rewards == sorted(found.rewards)
    assert 1_000 < found.prompts_until_back < 1_300


def test_an_arm_that_never_leaves_is_told_as_never() -> None:
    found = shown(np.ones(N, bool), np.zeros(N), [])
    assert found.rated_until_little == float("inf")


def test_an_arm_that_became_worse_deserves_less() -> None:
    few = synthetic().sample(300, 0)
    worse, steady = DriftStream(few), DriftStream(few, 0.0)
    assert worse.deserved < steady.deserved
    assert worse.table.scores[:, worse.best].mean() > worse.worse.scores[:, worse.best].mean() >= 0


def test_the_page_has_a_row_for_every_stream() -> None:
    one: Drifted = shown(np.ones(N, bool), np.zeros(N), [])
    streams = [(DriftStream(easy(80), drop), [one, one]) for drop in (0.3, 0.0)]
    text = "\n".join(page(streams))
    assert "| easy, best arm less 0.3 | 2 |" in text
    assert "| easy, steady | 2 |" in text
