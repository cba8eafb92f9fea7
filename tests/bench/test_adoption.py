"""A stream to which an arm is added is told as it went."""

import numpy as np
import pytest

from bench import adoption
from bench.adoption import Added, Addition, page
from bench.yardsticks import Deserved
from tests.bench.worlds import easy


def test_the_best_arm_is_the_one_that_is_added() -> None:
    table = easy(80)
    addition = Addition(table)
    best = int(table.scores.mean(axis=0).argmax())
    assert addition.played.names[-1] == table.names[best]
    np.testing.assert_array_equal(addition.played.scores[:, -1], table.scores[:, best])
    np.testing.assert_array_equal(addition.played.cost_usd[:, -1], table.cost_usd[:, best])
    assert sorted(addition.played.names) == sorted(table.names)
    assert addition.options.budget_usd_per_request is None


def test_a_useless_arm_never_satisfies_and_costs_ten_times_the_dearest() -> None:
    addition = Addition(easy(80), is_useless=True)
    assert addition.played.scores[:, -1].max() == 0.0
    assert addition.played.cost_usd[:, -1].max() == pytest.approx(0.04)
    assert addition.played.arms[-1].output_usd_per_mtok == 400.0
    assert addition.deserved == Deserved(0.0, 0.0, 0.0)
    assert addition.options.budget_usd_per_request == pytest.approx(0.0002)


@pytest.mark.slow
def test_an_arm_is_used_once_it_is_offered_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BEFORE", 60), ("AFTER", 200), ("USUAL", 100), ("WINDOW", 100)):
        monkeypatch.setattr(adoption, name, value)
    good, useless = Addition(easy(200)), Addition(easy(200), is_useless=True)
    found, cost = good.of(0), useless.of(0)
    assert 0.3 < good.deserved.least <= good.deserved.share <= good.deserved.most < 0.7
    assert found.shares[2] > 0.25
    assert found.reward[1] > found.reward[0] + 0.1
    assert cost.of_spend < 0.01
    assert cost.shares[2] < 0.01


def test_the_page_has_a_row_for_every_stream() -> None:
    one = Added((0.1, 0.5, 0.6), (0.7, 0.8), 0.3)
    additions = [Addition(easy(80), is_useless) for is_useless in (False, True)]
    text = "\n".join(page([(each, [one, one]) for each in additions]))
    told = "0.10 | 0.50 (0.50) | 0.60 | 0.700, 0.800 | 30.00% (30.00%) |"
    due = [f"{share:.2f}" for share in additions[0].deserved]
    assert f"| easy, the best arm | 2 | {due[0]} ({due[1]}, {due[2]}) | {told}" in text
    assert f"| easy, a useless arm | 2 | 0.00 (0.00, 0.00) | {told}" in text
