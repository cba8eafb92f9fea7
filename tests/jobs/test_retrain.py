"""When a candidate is promoted, and when the reason says why not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.fit import FEWEST_PROMPTS, fit
from features.sketch import Sketch
from features.space import GROUPS, Space
from jobs.judge import Judgement
from jobs.learned import Learned
from jobs.refold import as_found
from jobs.retrain import _log_bayes_factor, _tuned, by_evidence, by_value, contest, retrain
from policy.errors import InvalidInput
from policy.evaluate import Z_95, Value
from policy.hyper import Hyper
from policy.tuning import score
from storage.sqlite_log import SqliteLog
from tests.features.texts import sketches
from tests.jobs.test_intake import POLICY
from tests.jobs.test_learned import TEXTS, rated, sketch
from tests.storage.rounds import DECISION, EVAL, NOON_S, OUTCOME, but

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
    assert decided is not None
    assert decided.promoted
    assert "not worse on 400 newer rounds" in decided.reason


def test_a_candidate_that_is_surely_worse_is_refused() -> None:
    decided = by_value(replace(EVEN, gain=Value(-0.03, 0.01)))
    assert decided is not None
    assert not decided.promoted
    assert "it is worse: its value differs by -0.0300" in decided.reason


@pytest.mark.parametrize(
    "change",
    [
        {"ess": 199.0},
        {"gain": Value(0.05, 0.10)},
        {"spend_ratio": 1.5},
        {"candidate_calibration": 0.2},
    ],
    ids=["few", "unclear", "dearer", "miscalibrated"],
)
def test_what_the_newest_rounds_do_not_tell_is_left_to_the_evidence(
    change: dict[str, object],
) -> None:
    assert by_value(replace(EVEN, **change)) is None  # type: ignore[arg-type]
    assert by_value(None) is None


@pytest.mark.parametrize(
    ("change", "is_decided"),
    [
        ({"ess": 200.0}, True),
        ({"spend_ratio": 1.019}, True),
        ({"spend_ratio": 1.021}, False),
        ({"candidate_calibration": 0.0599}, True),
        ({"candidate_calibration": 0.0601}, False),
        ({"gain": Value(-0.0099 + 0.01 * Z_95, 0.01)}, True),
        ({"gain": Value(-0.0101 + 0.01 * Z_95, 0.01)}, False),
        ({"gain": Value(-0.0005, 0.0001)}, True),
    ],
    ids=str,
)
def test_by_so_much_a_candidate_may_fall_short_and_be_promoted_on_its_value(
    change: dict[str, object], is_decided: bool
) -> None:
    decided = by_value(replace(EVEN, **change))  # type: ignore[arg-type]
    assert (decided is not None and decided.promoted) is is_decided


@pytest.mark.parametrize(("ess", "is_heard"), [(29.9, False), (30.1, True)])
def test_from_thirty_rounds_on_a_value_that_is_lower_forbids(ess: float, is_heard: bool) -> None:
    worse = replace(EVEN, ess=ess, gain=Value(-0.1, 0.01))
    assert by_evidence(13.0, worse).promoted is not is_heard


def test_a_dearer_candidate_may_be_better() -> None:
    decided = by_value(replace(EVEN, spend_ratio=1.5, gain=Value(0.05, 0.01)))
    assert decided is not None
    assert decided.promoted


@pytest.mark.parametrize(("factor", "promoted"), [(1.01, True), (0.99, False), (-50.0, False)])
def test_few_rounds_are_judged_on_the_evidence_of_all(factor: float, promoted: bool) -> None:
    decided = by_evidence(factor, None)
    assert decided.promoted is promoted
    assert ("1 needed" in decided.reason) is not promoted


def test_two_unlucky_rounds_do_not_forbid_what_the_evidence_shows() -> None:
    unlucky = replace(EVEN, rounds=2, ess=2.0, gain=Value(-0.001, 0.0001))
    assert by_evidence(13.0, unlucky).promoted


def test_a_value_that_is_lower_beyond_doubt_forbids() -> None:
    assert not by_evidence(
        13.0, replace(EVEN, rounds=80, ess=60.0, gain=Value(-0.1, 0.01))
    ).promoted


def test_the_reason_says_what_the_newest_rounds_told() -> None:
    miscalibrated, unclear = replace(EVEN, candidate_calibration=0.2), Value(0.05, 0.10)
    assert (
        "its value is not lower on 400 newer rounds: log" in by_evidence(4.0, miscalibrated).reason
    )
    assert "not told apart" in by_evidence(4.0, replace(miscalibrated, gain=unclear)).reason


def disappointing(log: SqliteLog, good: int, bad: int) -> None:
    """Write an arm's thumbs: up for three subjects of four, then half of one for all alike."""
    space = Space.built_in()
    for n, each in enumerate(sketches(good + bad)):
        at_s, name, stored = NOON_S + 60.0 * n, f"d{n}", each.to_bytes()
        context = space.encoded(stored)
        log.decide(
            but(DECISION, id=name, prompt_sha256=name, context=context, sketch=stored)
        ).wait()
        reward = float(n % 4 != 3) if n < good else 0.5
        log.rate(name, "ann", reward, at_s=at_s, tenant="acme", window_s=1e9)


def untagged(n: int) -> list[Sketch]:
    """Return prompts of which the built-in space does not know the subject, and a fit does."""
    return [but(each, tags=()) for each in sketches(n)]


def served(log: SqliteLog, n: int) -> None:
    """Write rated decisions one after the other, each made with all that was known by then."""
    for i, each in enumerate(untagged(n)):
        given = {"id": f"d{i}", "prompt_sha256": f"d{i}", "decided_at_s": NOON_S + 60.0 * i}
        stored, context = each.to_bytes(), Space.built_in().context(each)
        known = {"learned_seq": log.position(), "feature_version": 0, "context": context}
        log.decide(but(DECISION, **given, **known, sketch=stored)).wait()
        log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=NOON_S + 60.0 * i + 1)).wait()
        log.rate(
            f"d{i}",
            "ann",
            float(i % 4 > 1),
            at_s=NOON_S + 60.0 * i + 2,
            tenant="acme",
            window_s=1e9,
        )


def test_what_is_judged_on_the_newest_rounds_has_learned_from_none_of_them(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, hyper=Hyper().to_json())).wait()
        served(log, 40)
        policy = log.latest_policy()
        assert policy is not None
        held_out, candidate, incumbent, cut = contest(log, policy, fit(untagged(40), 2))
    assert sorted(each.decision.id for each in held_out) == [f"d{i}" for i in range(28, 40)]
    assert cut == min(each.decision.learned_seq for each in held_out)
    for each in (candidate, incumbent):
        assert (each.upto_seq, each.beliefs.quality.weight) == (cut, 28.0)


@pytest.mark.slow
def test_what_is_promoted_serves_with_the_scales_that_all_outcomes_make_likely(
    tmp_path: Path,
) -> None:
    """Also with those of lengths, and not with those of the older part that were judged by."""
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, hyper=Hyper().to_json())).wait()
        served(log, 100)
        incumbent, result = log.latest_policy(), retrain(log, "manual", clock)
        assert incumbent is not None
        _, older, _, _ = contest(log, incumbent, fit(untagged(100), 2))
    policy, known = result.policy, result.learned
    assert policy is not None
    assert known is not None
    assert (policy.version, result.retrain.promoted) == (2, True)
    served_with, judged_by, default = Hyper.from_json(policy.hyper), older.hyper, Hyper()
    quality, tokens = known.beliefs.quality, known.beliefs.tokens
    assert (known.hyper, quality.weight) == (served_with, 100.0)
    for belief, of in ((quality, Hyper.quality_prior), (tokens, Hyper.tokens_prior)):
        now, then = (
            score(belief, of(hyper, GROUPS), of(default, GROUPS))
            for hyper in (served_with, judged_by)
        )
        assert belief.prior == of(served_with, GROUPS)
        assert now > then


def test_a_candidate_without_any_new_evidence_for_it_has_none() -> None:
    events = [rated(n + 1, TEXTS[n % 4], n % 4 < 2, arm="ab"[n % 2]) for n in range(200)]
    known = Learned.under(1, Space.built_in(), Hyper()).fold(events)
    tuned = _tuned(known)
    gained = _log_bayes_factor(tuned, known)
    assert gained > 0.0
    assert _log_bayes_factor(tuned, tuned) == 0.0
    assert _log_bayes_factor(known, tuned) == pytest.approx(-gained)


@pytest.mark.slow
def test_evidence_compares_what_rests_on_the_same_outcomes(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, hyper=Hyper().to_json())).wait()
        disappointing(log, 240, 12)
        result = retrain(log, "manual", clock)
        policy, space = log.latest_policy(), fit(sketches(252), 2)
        assert policy is not None
        incumbent = Learned.start(policy).fold(log.events())
        candidate = Learned.under(2, space, Hyper()).fold(log.events())
        found = as_found(Learned.under(2, space, Hyper()), log, log.position(), incumbent)
    weights = [each.beliefs.quality.weight for each in (incumbent, candidate, found)]
    assert (weights, incumbent.changes) == ([252.0, 12.0, 252.0], {})
    # Of 252 outcomes against 12 the factor would be 236.
    assert 0 < result.retrain.report["log_bayes_factor"] < 100


def test_a_prompt_whose_figures_another_hand_has_spoilt_is_none_to_fit_on(tmp_path: Path) -> None:
    first, second, third, *others = sketches(FEWEST_PROMPTS)
    spoilt = [
        but(first, facts=np.full_like(first.facts, np.nan)),
        but(second, facts=np.full_like(second.facts, np.inf)),
        but(third, counts=np.zeros_like(third.counts)),
    ]
    evals = [
        but(EVAL, prompt_sha256=f"p{n}", sketch=each.to_bytes())
        for n, each in enumerate([*spoilt, *others])
    ]
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(POLICY).wait()
        log.add_evals(evals).wait()
        result = retrain(log, "manual", clock, fewest_outcomes=1)
    assert f"{FEWEST_PROMPTS - 3} prompts ({FEWEST_PROMPTS} needed)" in result.retrain.reason


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
        log.adopt(but(POLICY, hyper=Hyper().to_json())).wait()
        served(log, 60)
        before = log.position(), log.counts()
        assert retrain(log, "schedule", clock).retrain.promoted
        assert (log.position(), log.counts()) == before
        assert log.retrains() == []
