"""Those who rated: how satisfied they were, and would have been with the baseline."""

from typing import Any

import numpy as np
import pytest

from jobs.satisfaction import RatedRound, of_baseline, ours, rated_rounds
from policy.evaluate import mean_interval
from storage.records import Round
from tests.storage.rounds import DECISION, OUTCOME, but

ARMS = ("cheap", "dear")


def rated(n: int, seed: int = 0, share: float = 0.2, dear: float = 0.9) -> list[RatedRound]:
    """Return rounds of a log in which the dear arm pleases `dear` of its raters, the cheap .7."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        arm = ARMS[int(rng.random() < share)]
        likes = float(rng.random() < (dear if arm == "dear" else 0.7))
        odds = (1 - share, share)
        made.append(RatedRound(float(i), "t", None, arm, likes, ARMS, odds, (0.7, 0.8)))
    return made


def test_nobody_has_said_anything() -> None:
    assert ours([]).why_not == "nobody has rated an answer yet"


def test_ours_is_the_mean_of_what_was_said_and_few_votes_are_no_certainty() -> None:
    made = ours(rated(1_000))
    assert made.mean == pytest.approx(0.74, abs=0.04)
    assert made.low is not None
    assert made.high is not None
    assert made.high - made.low == pytest.approx(4 * 0.44 / 1_000**0.5, rel=0.1)
    few = ours([each for each in rated(20) if each.reward][:5])
    assert (few.low, few.high) == mean_interval(5, 5.0, 5.0)
    graded = ours([each._replace(reward=0.5) for each in rated(8)])
    assert (graded.low, graded.high) == mean_interval(8, 4.0, 2.0)


def test_what_the_baseline_would_have_got_is_told_beside_how_much_more_was_got() -> None:
    always, gain = of_baseline(rated(6_000), "dear")
    assert always.mean == pytest.approx(0.9, abs=0.06)
    assert gain.mean == pytest.approx(0.74 - 0.9, abs=0.06)
    assert None not in (always.low, always.high, gain.low, gain.high)
    assert 0.0 < always.low < always.mean < always.high <= 1.0
    assert -1.0 < gain.low < gain.mean < gain.high < 0.0


@pytest.mark.slow
def test_what_the_baseline_would_have_got_is_held_19_times_of_20() -> None:
    held = []
    for seed in range(200):
        always, gain = of_baseline(rated(600, seed), "dear")
        assert always.low is not None
        assert always.high is not None
        assert gain.low is not None
        assert gain.high is not None
        held.append((always.low <= 0.9 <= always.high, gain.low <= 0.74 - 0.9 <= gain.high))
    assert (np.mean(held, axis=0) >= 0.92).all()


def test_a_baseline_that_was_hardly_asked_is_not_judged() -> None:
    always, gain = of_baseline(rated(300, share=0.01), "dear")
    assert always.mean is None
    assert always.why_not is not None
    assert "rated answers came from dear by the draw" in always.why_not
    assert gain.why_not == always.why_not


def test_a_baseline_that_could_never_be_asked_is_not_judged() -> None:
    always, _ = of_baseline(rated(300), "absent")
    assert always.why_not is not None
    assert "0 rated answers" in always.why_not


def round_of(reward: float | None, **more: Any) -> Round:
    return Round(decision=but(DECISION, **more), outcome=OUTCOME, reward=reward)


def test_a_stored_answer_has_no_vote_and_a_pinned_arm_tells_of_itself_only() -> None:
    made = rated_rounds(
        [
            round_of(1.0),
            round_of(None),
            round_of(0.0, kind="cached"),
            round_of(0.5, kind="pinned", propensities=(1.0, 0.0)),
        ]
    )
    assert [(each.reward, bool(each.eligible)) for each in made] == [(1.0, True), (0.5, False)]
