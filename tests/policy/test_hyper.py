"""Hyper-parameters survive the log as JSON, bit for bit, and become the priors they name."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from policy.belief import Belief
from policy.hyper import Hyper
from policy.prior import Scales
from policy.tokens import expected_output_tokens

OTHER = Hyper(
    quality_deviation=Scales(0.1 / 3, 0.2, 0.3, 0.4),
    quality_shared=Scales(1, 2, 3, 4),
    tokens_deviation=Scales(5, 6, 7, 8),
    tokens_shared=Scales(9, 10, 11, 12),
    hints={"a": 1 / 3},
    half_life_s=1e6,
    temperature=0.7,
    cold_outcomes=3.0,
    draws=64,
    floor=0.02,
    explored_share=0.05,
    free_trials=7.0,
)


@pytest.mark.parametrize("hyper", [Hyper(), OTHER])
def test_they_come_back_from_json_bit_for_bit(hyper: Hyper) -> None:
    assert Hyper.from_json(json.loads(json.dumps(hyper.to_json()))) == hyper


def test_the_round_trip_is_tried_on_every_field() -> None:
    assert all(getattr(OTHER, f.name) != getattr(Hyper(), f.name) for f in fields(Hyper))


def test_hints_are_kept_in_one_order_so_that_equal_hints_give_equal_bytes() -> None:
    one, other = Hyper().with_hints({"b": 0.5, "a": 0.9}), Hyper().with_hints({"a": 0.9, "b": 0.5})
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())


def test_hints_rank_arms_before_anybody_rates() -> None:
    prior = Hyper().with_hints({"good": 0.95, "poor": 0.3}).quality_prior(("constant",))
    mean = Belief(prior).predict(np.ones(1), ("good", "unknown", "poor")).mean
    assert mean[0] > mean[1] > mean[2]


def test_the_priors_take_the_scales_that_carry_their_name() -> None:
    groups = ("facts", "constant")
    quality, tokens = OTHER.quality_prior(groups), OTHER.tokens_prior(groups)
    assert (quality.deviation, quality.shared) == (OTHER.quality_deviation, OTHER.quality_shared)
    assert (tokens.deviation, tokens.shared) == (OTHER.tokens_deviation, OTHER.tokens_shared)
    assert (dict(quality.hints), dict(tokens.hints)) == ({"a": 1 / 3}, {})


def test_before_any_completion_an_answer_is_expected_to_have_a_few_hundred_tokens() -> None:
    narrow = replace(
        Hyper(), tokens_shared=Scales(*[1e-6] * 4), tokens_deviation=Scales(*[1e-6] * 4)
    )
    belief = Belief(narrow.tokens_prior(("constant",)))
    assert float(expected_output_tokens(belief, np.ones(1), ["a"])[0]) == pytest.approx(
        np.exp(5.7 + 0.25) - 1
    )
