"""When a candidate is promoted, and when the reason says why not."""

from dataclasses import replace
from pathlib import Path

import pytest

from features.fit import FEWEST_PROMPTS
from jobs.judge import Judgement
from jobs.retrain import by_evidence, by_value, retrain
from policy.errors import InvalidInput
from policy.evaluate import Value
from storage.sqlite_log import SqliteLog
from tests.jobs.test_intake import POLICY
from tests.jobs.test_learned import sketch
from tests.storage.rounds import EVAL, NOON_S, but

FLAT = Value(0.5, 0.01)
EVEN = Judgement(
    rounds=400,
    ess=300.0,
    candidate=FLAT,
    incumbent=FLAT,
    candidate_snips=FLAT,
    incumbent_snips=FLAT,
    gain=Value(0.0, 0.001),
    candidate_calibration=0.05,
    incumbent_calibration=0.05,
    spend_ratio=1.0,
    largest_share_move=0.1,
)


def clock() -> float:
    return NOON_S


def test_not_worse_is_good_enough() -> None:
    decided = by_value(EVEN)
    assert decided.promoted
    assert "not worse on 400 newer rounds" in decided.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"gain": Value(-0.03, 0.01)}, "it may be worse"),
        ({"gain": Value(0.05, 0.10)}, "it may be worse"),
        ({"candidate_calibration": 0.09}, "its predictions are off by 0.040 more"),
        ({"spend_ratio": 1.5}, "it would spend 1.50 times as much"),
    ],
    ids=["worse", "unclear", "miscalibrated", "dearer"],
)
def test_a_candidate_is_refused_for_what_it_does(change: dict[str, object], says: str) -> None:
    decided = by_value(replace(EVEN, **change))  # type: ignore[arg-type]
    assert not decided.promoted
    assert says in decided.reason


def test_a_dearer_candidate_may_be_better() -> None:
    assert by_value(replace(EVEN, spend_ratio=1.5, gain=Value(0.05, 0.01))).promoted


@pytest.mark.parametrize(("factor", "promoted"), [(3.1, True), (2.9, False), (-50.0, False)])
def test_few_rounds_are_judged_on_the_evidence_of_all(factor: float, promoted: bool) -> None:
    assert by_evidence(factor, None).promoted is promoted


def test_two_unlucky_rounds_do_not_forbid_what_the_evidence_shows() -> None:
    unlucky = replace(EVEN, rounds=2, ess=2.0, gain=Value(-0.001, 0.0001))
    assert by_evidence(13.0, unlucky).promoted


def test_a_value_that_is_lower_beyond_doubt_forbids() -> None:
    assert not by_evidence(
        13.0, replace(EVEN, rounds=80, ess=60.0, gain=Value(-0.1, 0.01))
    ).promoted


def test_before_any_policy_there_is_nothing_to_retrain(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log, pytest.raises(InvalidInput, match="start the"):
        retrain(log, "manual", clock)


def test_too_little_feedback_is_a_result_with_its_numbers(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(POLICY).wait()
        log.add_evals([but(EVAL, sketch=sketch("What is 2 + 3?"))]).wait()
        result = retrain(log, "manual", clock, fewest_outcomes=25)
    assert result.retrain.reason == (
        "not enough feedback yet: 1 rated outcomes and evals (25 needed), "
        f"1 prompts ({FEWEST_PROMPTS} needed)"
    )
    assert (result.policy, result.learned, result.retrain.promoted) == (None, None, False)
    assert (result.retrain.incumbent_version, result.retrain.candidate_version) == (1, None)
    assert result.retrain.report["upto_seq"] == 2


def test_a_retrain_writes_nothing(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(POLICY).wait()
        before = log.position(), log.counts()
        retrain(log, "schedule", clock)
        assert (log.position(), log.counts()) == before
        assert log.retrains() == []
