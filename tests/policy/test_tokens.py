"""Expected tokens are the mean of what was seen, and dollars are linear in them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from policy.belief import Belief
from policy.hyper import Hyper
from policy.tokens import (
    expected_cost_usd,
    expected_output_tokens,
    length_sd,
    log_tokens,
    longest_output_tokens,
    smearing,
)
from policy.types import Arm
from tests.policy.worlds import GROUPS, contexts

CONSTANT = np.ones(1)


@pytest.fixture(scope="module")
def answers() -> list[int]:
    return [int(n) for n in np.random.default_rng(0).lognormal(5.5, 0.9, 5000)]


@pytest.fixture(scope="module")
def taught(answers: list[int]) -> Belief:
    belief = Belief(Hyper().tokens_prior(("constant",)))
    for tokens in answers:
        belief = belief.update("a", CONSTANT, log_tokens(tokens))
    return belief


def test_the_mean_of_a_log_normal_is_found_and_not_its_median(
    taught: Belief, answers: list[int]
) -> None:
    expected = float(expected_output_tokens(taught, CONSTANT, ["a"])[0])
    error = np.std(answers) / np.sqrt(len(answers))
    assert abs(expected - np.exp(5.5 + 0.9**2 / 2)) < 4 * error
    assert expected - np.median(answers) > 20 * error


def test_doubt_about_an_arm_raises_what_it_is_expected_to_cost(taught: Belief) -> None:
    told = taught.update("b", CONSTANT, float(np.log1p(300)))
    means = expected_output_tokens(told, CONSTANT, ["b"])
    said = told.predict(CONSTANT, ["b"])
    assert means[0] > np.expm1(said.mean[0] + told.noise / 2)


@pytest.fixture(scope="module")
def wild() -> Belief:
    """What is believed of an arm that calls a tool or writes at length, beside a steady one."""
    belief, rng = Belief(Hyper().tokens_prior(GROUPS)), np.random.default_rng(0)
    for x in contexts(rng, 300):
        length = 4000 if rng.random() < 0.12 else 20
        belief = belief.update("wild", x, log_tokens(length))
        belief = belief.update("steady", x, log_tokens(int(rng.normal(500, 20))))
    return belief


def test_an_arm_that_is_not_log_normal_is_held_against_what_it_has_written(wild: Belief) -> None:
    there = contexts(np.random.default_rng(1), 300)
    said = np.array([expected_output_tokens(wild, x, ["wild", "steady"]) for x in there])
    np.testing.assert_allclose(said.mean(axis=0), [0.12 * 4000 + 0.88 * 20, 500], rtol=0.15)


def test_what_is_reserved_for_an_arm_covers_its_rare_long_answers(wild: Belief) -> None:
    x, arms = np.array([0.0, 0.0, 0.0, 1.0]), ["wild", "steady"]
    longest, said = longest_output_tokens(wild, x, arms), wild.predict(x, arms)
    assert longest[0] > 4000
    usual = said.mean[1] + 3.0 * np.sqrt(said.covariance[1, 1] + wild.noise)
    assert longest[1] == pytest.approx(np.expm1(usual))  # no less for being steadier than others


def test_where_lengths_are_log_normal_their_mean_is_left_as_it_is(taught: Belief) -> None:
    np.testing.assert_array_equal(smearing(taught, ("a", "b")), [0.0, 0.0])


def test_what_a_prompt_foretells_is_not_held_against_an_arm() -> None:
    belief, rng = Belief(Hyper().tokens_prior(GROUPS)), np.random.default_rng(0)
    for x in contexts(rng, 1000):
        belief = belief.update("a", x, 5.0 + x[0] - 0.5 * x[1] + rng.normal(0.0, 0.3))
    assert abs(smearing(belief, ("a",))[0]) < 0.05


def test_few_answers_say_nothing_of_a_mean_and_more_of_them_more() -> None:
    belief, x, told = Belief(Hyper().tokens_prior(GROUPS)), np.array([0.0, 0.0, 0.0, 1.0]), []
    for length in (20, 20, 20, 20, 4000) * 12:
        belief = belief.update("wild", x, log_tokens(length)).update("steady", x, log_tokens(500))
        told.append(float(smearing(belief, ("wild",))[0]))
    assert told[:5] == [0.0] * 5
    assert 0.0 < told[29] < told[59]
    np.testing.assert_array_equal(smearing(belief.faded(1e-9), ("wild",)), np.zeros(1))
    np.testing.assert_array_equal(smearing(belief, ("nobody",)), np.zeros(1))


def test_what_a_mean_is_off_by_counts_beyond_two_standard_errors_of_a_log_normal_mean() -> None:
    belief, lengths = Belief(Hyper().tokens_prior(("constant",))), [20, 20, 20, 20, 4000] * 100
    for length in lengths:
        belief = belief.update("wild", CONSTANT, log_tokens(length))
    mean, variance = belief.predict(CONSTANT, ["wild"]).mean[0], belief.noise
    off = np.log(np.mean(lengths) + 1.0) - mean - variance / 2
    unsure = 4.0 * (variance + variance**2 / 2) / len(lengths)
    assert 0.1 < unsure / off**2 < 0.9
    assert smearing(belief, ("wild",))[0] == pytest.approx(off * (1.0 - unsure / off**2))


def test_doubt_of_a_mean_length_falls_with_the_root_of_the_answers_seen(taught: Belief) -> None:
    assert length_sd(taught, CONSTANT, ["a"])[0] == pytest.approx(0.9 / np.sqrt(5000), rel=0.05)


def test_answers_to_other_prompts_tell_less_of_the_length_of_this_one() -> None:
    belief, rng = Belief(Hyper().tokens_prior(GROUPS)), np.random.default_rng(0)
    short, long = np.array([-3.0, 0.0, 0.0, 1.0]), np.array([3.0, 0.0, 0.0, 1.0])
    for length in rng.normal(5.0, 1.0, 40):
        belief = belief.update("a", short, length)
    here, there = (length_sd(belief, x, ["a"])[0] for x in (short, long))
    nobody = length_sd(belief, long, ["b"])[0]
    assert here == pytest.approx(np.sqrt(1.0 / (2.0 + 40 / belief.noise)))
    assert 2 * here < there < nobody


@pytest.mark.parametrize("sd", [0.01, 3.0])
def test_an_arm_may_be_of_another_length_however_regular_or_wild_the_known_ones_are(
    sd: float,
) -> None:
    belief, rng = Belief(Hyper().tokens_prior(("constant",))), np.random.default_rng(0)
    for length in rng.normal(5.0, sd, 200):
        belief = belief.update("a", CONSTANT, length)
    nobody, known = length_sd(belief, CONSTANT, ["b", "a"])
    assert nobody == pytest.approx(np.sqrt(0.5))
    assert known == pytest.approx(np.sqrt(belief.noise / 200), rel=0.05)


def test_a_caller_who_limits_the_answer_pays_for_no_more(taught: Belief) -> None:
    np.testing.assert_array_equal(expected_output_tokens(taught, CONSTANT, ["a"], most=50), [50.0])
    free = expected_output_tokens(taught, CONSTANT, ["a"])
    np.testing.assert_array_equal(expected_output_tokens(taught, CONSTANT, ["a"], most=10**6), free)


def test_an_absurd_context_expects_neither_infinite_nor_negative_tokens() -> None:
    rng = np.random.default_rng(1)
    belief = Belief(Hyper().tokens_prior(GROUPS))
    for x in contexts(rng, 50):
        belief = belief.update("a", x, 6.0 + 2.0 * x[0])
    high, low = (expected_output_tokens(belief, np.array([s, 0, 0, 1.0]), ["a"]) for s in (50, -20))
    assert high[0] == pytest.approx(199_999)  # exp(longest log) - 1
    assert low[0] == 1.0


def test_dollars_are_those_of_the_price_list_in_exact_fractions() -> None:
    arms = [Arm("a", "p", "a", 0.25, 1.5, 1000), Arm("b", "p", "b", 3.0, 15.0, 1000)]
    cost = expected_cost_usd(arms, 1200, np.array([300.0, 50.0]))
    exact = [Fraction(1200, 4) + 300 * Fraction(3, 2), 1200 * Fraction(3) + 50 * Fraction(15)]
    np.testing.assert_allclose(cost, [float(dollars / 10**6) for dollars in exact], rtol=1e-14)


def test_cost_is_linear_in_tokens_and_in_price() -> None:
    arm, dearer = (Arm("a", "p", "a", f * 0.5, f * 2.0, 1000) for f in (1, 3))

    def cost(arm: Arm, sent: float, got: float) -> float:
        return float(expected_cost_usd([arm], sent, np.array([got]))[0])

    assert cost(arm, 700, 90) == pytest.approx(cost(arm, 700, 0) + cost(arm, 0, 90))
    assert cost(arm, 1400, 180) == pytest.approx(2 * cost(arm, 700, 90))
    assert cost(dearer, 700, 90) == pytest.approx(3 * cost(arm, 700, 90))


@pytest.mark.parametrize(("held", "counted"), [(0, 0), (400, 400), (5_000, 1_000)])
def test_no_more_of_the_input_is_cheap_than_there_is(held: int, counted: int) -> None:
    arm = Arm("a", "p", "a", 2.0, 8.0, 10_000, cached_input_usd_per_mtok=0.5)
    other = replace(arm, name="b")
    cost, fresh = expected_cost_usd([arm, other], 1_000, np.zeros(2), {"a": held})
    assert fresh == pytest.approx(1_000 * 2.0 / 1e6)
    assert cost == pytest.approx(((1_000 - counted) * 2.0 + counted * 0.5) / 1e6)


def test_a_prompt_that_is_long_enough_is_expected_to_be_written_but_for_what_is_cached() -> None:
    prices = {"cached_input_usd_per_mtok": 0.2, "cache_write_usd_per_mtok": 2.5}
    arm = Arm("a", "p", "a", 2.0, 8.0, 10_000, **prices)

    def cost_usd(input_tokens: int, held: int = 0) -> float:
        return float(expected_cost_usd([arm], input_tokens, np.zeros(1), {"a": held})[0])

    assert cost_usd(1_023) == pytest.approx(1_023 * 2.0 / 1e6)
    assert cost_usd(1_024) == pytest.approx(1_024 * 2.5 / 1e6)
    assert cost_usd(2_000, 1_500) == pytest.approx((1_500 * 0.2 + 500 * 2.5) / 1e6)
