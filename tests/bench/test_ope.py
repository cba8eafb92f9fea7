"""The log of the service's own code is judged against a truth that is known."""

import numpy as np
import pytest

from bench.ope import PLANTED, Estimated, OpeRun, Study, page
from bench.synthetic import LIKELY, synthetic
from policy.evaluate import Value

RUNS = 4


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(synthetic(), "uniform", 1_200)


@pytest.fixture(scope="module")
def runs(study: Study) -> list[OpeRun]:
    return [study.of(seed) for seed in range(RUNS)]


def test_an_interval_that_knows_nothing_excludes_nothing() -> None:
    def held(value: Value) -> bool:
        return Estimated("x", "DR", value, truth=0.5, ess=1.0).held

    assert held(Value(0.45, 0.04))
    assert not held(Value(0.4, 0.04))
    assert held(Value(float("nan"), float("inf")))


def test_the_made_up_table_holds_the_probabilities_it_was_made_of() -> None:
    table = synthetic()
    best = table.scores.argmax(axis=1)
    assert set(best) == set(LIKELY.argmax(axis=1))
    assert np.diff(np.sort(table.scores, axis=1), axis=1).min() >= 0.02 - 1e-9
    again = synthetic()
    assert (again.prompts, again.scores.tolist()) == (table.prompts, table.scores.tolist())


@pytest.mark.slow
def test_intervals_on_logs_of_the_service_hold_the_truth(runs: list[OpeRun]) -> None:
    held = [each.held for run in runs for each in run.estimated]
    assert len(held) == RUNS * (5 + 2 * 4)
    # They share their logs, so they miss together: 52 independent ones would miss 2.6 on average.
    assert np.mean(held) > 0.8


@pytest.mark.slow
def test_truths_are_those_of_the_whole_table(study: Study, runs: list[OpeRun]) -> None:
    truths = {each.target: each.truth for each in runs[0].estimated}
    means = study.table.scores.mean(axis=0)
    assert truths["uniform"] == pytest.approx(means.mean())
    assert truths["always arm1"] == pytest.approx(means[1])
    oracle = study.table.scores.max(axis=1).mean()
    assert means.min() < truths["the incumbent"] < oracle


@pytest.mark.slow
def test_what_is_planted_worse_is_never_promoted(runs: list[OpeRun]) -> None:
    promoted = [each for run in runs for each in run.judged if each.promoted]
    assert all(PLANTED[each.planted] > 0 for each in promoted)
    assert all(each.ess > 0 for run in runs for each in run.judged)


@pytest.mark.slow
def test_the_page_has_a_row_for_every_policy_and_every_planted_candidate(
    study: Study, runs: list[OpeRun]
) -> None:
    text = "\n".join(page([(study, runs)]))
    assert "## 4 logs of 1200 prompts, each rated: synthetic, uniform" in text
    for name in ("the incumbent", "candidate less incumbent", "always arm2", *PLANTED):
        assert f"| {name} |" in text
