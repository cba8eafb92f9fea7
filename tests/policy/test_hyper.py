"""Hyper-parameters survive the log as JSON, bit for bit, and become the priors they name."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from policy.belief import Belief
from policy.hyper import Hyper
from policy.prior import Scales
from policy.tokens import expected_output_tokens
from policy.types import Arm

OTHER = Hyper(
    quality_deviation=Scales(0.1 / 3, 0.2, 0.3, 0.4),
    quality_shared=Scales(1, 2, 3, 4),
    tokens_deviation=Scales(5, 6, 7, 8),
    tokens_shared=Scales(9, 10, 11, 12),
    hints={"a": 1 / 3},
    listed={"a": 2 / 3},
    slope=0.1,
    slope_sd=0.2,
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


def listed(name: str, input_usd: float, output_usd: float, quality: float | None = None) -> Arm:
    return Arm(name, "p", "m", input_usd, output_usd, 1, quality=quality)


def test_a_catalogue_in_another_order_gives_equal_bytes() -> None:
    arms = listed("b", 1.0, 2.0, 0.5), listed("a", 1.0, 3.0, 0.9)
    one, other = Hyper().following(arms), Hyper().following(arms[::-1])
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())


def test_hints_rank_arms_before_anybody_rates() -> None:
    arms = listed("good", 1.0, 1.0, 0.95), listed("poor", 1.0, 1.0, 0.3)
    prior = Hyper().following(arms).quality_prior(("constant",))
    mean = Belief(prior).predict(np.ones(1), ("good", "unknown", "poor")).mean
    assert mean[0] > mean[1] > mean[2]


def test_a_hint_that_is_taken_back_is_gone_and_a_list_price_stays() -> None:
    hyper = Hyper().following([listed("a", 1.0, 5.0, 0.9), listed("b", 3.0, 3.0)])
    assert (dict(hyper.hints), dict(hyper.listed)) == ({"a": 0.9}, {"a": 2.0, "b": 3.0})
    cut = hyper.following([listed("a", 0.1, 0.5), listed("c", 0.0, 4.0)])
    assert (dict(cut.hints), dict(cut.listed)) == ({}, {"a": 2.0, "b": 3.0, "c": 1.0})


def test_before_anybody_rates_an_arm_is_believed_better_by_the_logarithm_of_its_price() -> None:
    arms = [listed("free", 0.0, 0.0), listed("cheap", 0.01, 0.01), listed("dear", 10.0, 10.0)]
    prior = Hyper().following(arms).quality_prior(("facts", "constant"))
    mean = Belief(prior).predict(np.array([0.3, 1.0]), ("free", "cheap", "dear", "unknown")).mean
    by_price = 0.03 * np.log([0.01, 0.01, 10.0, 1.0])
    np.testing.assert_allclose(mean, 0.7 + by_price)


def test_an_arm_without_outcomes_is_believed_as_those_of_its_price_are() -> None:
    arms = [listed(name, usd, usd) for name, usd in (("a", 0.1), ("b", 0.1), ("c", 10.0))]
    hyper = Hyper(slope=0.0, slope_sd=0.5).following([*arms, listed("new", 10.0, 10.0)])
    belief = Belief(hyper.quality_prior(("constant",)))
    for arm, reward in (("a", 0.2), ("b", 0.3), ("c", 0.9)) * 20:
        belief = belief.update(arm, np.ones(1), reward)
    said = belief.predict(np.ones(1), ("a", "b", "c", "new", "unlisted"))
    assert said.mean[3] > 0.7 > said.mean[4] > said.mean[:2].max()


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
