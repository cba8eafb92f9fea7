"""Sums of outcomes add, split and undo as sums do."""

from dataclasses import fields

import numpy as np
import pytest

from policy.evidence import Evidence
from tests.policy.worlds import Rows, contexts, rows


def summed(outcomes: Rows) -> Evidence:
    evidence = Evidence.none(4)
    for _, x, reward, weight in outcomes:
        evidence = evidence.add(x, reward, weight)
    return evidence


def fields_of(evidence: Evidence) -> tuple[object, ...]:
    return tuple(getattr(evidence, field.name) for field in fields(Evidence))


def assert_same(one: Evidence, other: Evidence) -> None:
    np.testing.assert_allclose(one.gram, other.gram, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.moment, other.moment, rtol=1e-12, atol=1e-12)
    assert one.square == pytest.approx(other.square, abs=1e-12)
    assert one.weight == pytest.approx(other.weight)
    assert one.exp == pytest.approx(other.exp)


def test_the_sums_are_those_of_the_whole_table() -> None:
    rng = np.random.default_rng(0)
    x, r, w = contexts(rng, 50), rng.random(50), rng.uniform(0.5, 2, 50)
    evidence = summed([("a", *row, float(v)) for *row, v in zip(x, r, w, strict=True)])
    weighted = x * w[:, None]
    table = Evidence(
        weighted.T @ x, weighted.T @ r, float(w @ r**2), float(w.sum()), float(w @ np.exp(r))
    )
    assert_same(evidence, table)
    assert_same(Evidence.of(x, r, w), table)


def test_outcomes_added_together_are_to_the_bit_those_added_one_by_one() -> None:
    rng = np.random.default_rng(5)
    before = summed(rows(rng, 5))
    was, x, r = before.moment.copy(), contexts(rng, 50), rng.random(50)
    together, apart = before.add_all(x, r), before
    for context, reward in zip(x, r.tolist(), strict=True):
        apart = apart.add(context, reward)
    assert [np.asarray(each).tobytes() for each in fields_of(together)] == [
        np.asarray(each).tobytes() for each in fields_of(apart)
    ]
    np.testing.assert_array_equal(before.moment, was)


def test_partitions_of_a_log_add_up_to_the_log() -> None:
    outcomes = rows(np.random.default_rng(1), 90)
    parts = [summed(outcomes[i::3]) for i in range(3)]
    assert_same(parts[0].plus(parts[1]).plus(parts[2]), summed(outcomes))


def test_counting_twice_is_adding_twice_and_counting_never_is_nothing() -> None:
    outcomes = rows(np.random.default_rng(2), 30)
    assert_same(summed(outcomes).scaled(2.0), summed(outcomes + outcomes))
    assert_same(summed(outcomes).scaled(0.0), Evidence.none(4))


def test_a_negative_weight_takes_an_outcome_back() -> None:
    outcomes = rows(np.random.default_rng(3), 30)
    _, x, reward, weight = outcomes[7]
    rest = outcomes[:7] + outcomes[8:]
    assert_same(summed(outcomes).add(x, reward, -weight), summed(rest))


def test_adding_leaves_the_old_sums_as_they_were() -> None:
    evidence = summed(rows(np.random.default_rng(4), 5))
    gram = evidence.gram.copy()
    evidence.add(np.ones(4), 1.0)
    np.testing.assert_array_equal(evidence.gram, gram)
    assert evidence.weight == 5.0
