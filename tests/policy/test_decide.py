"""A verdict holds all that must be logged of a decision, and can be reached again from its id."""

from dataclasses import fields, replace

import numpy as np
import pytest

from policy.baselines import baseline, best
from policy.belief import Belief
from policy.decide import DRAWS_KEPT, RULES, Beliefs, Question, Verdict, decide, rule, seeded
from policy.eligibility import Demand
from policy.errors import BudgetExceeded, ConfigError, NoEligibleArm
from policy.exploration import BURST, FIRST_SHARE, Allowance, Control
from policy.hyper import Hyper
from policy.pacer import QualityFloor, control_of
from policy.tokens import expected_output_tokens, log_tokens, longest_output_tokens
from policy.types import Arm
from tests.policy.worlds import GROUPS, PRIOR, Rows, contexts, learned, rows

NAMES = ("a", "b", "c")
ARMS = [Arm(name, "p", name, i + 1.0, 4 * i + 2.0, 8_000) for i, name in enumerate(NAMES)]
HYPER = Hyper(explored_share=1.0)
TOKENS = Belief(HYPER.tokens_prior(GROUPS))
BELIEFS = Beliefs(learned(PRIOR, rows(np.random.default_rng(0), 30)), TOKENS, HYPER)
CONTEXTS = contexts(np.random.default_rng(1), 40)
FULL = Allowance(BURST)
EVERY_RULE = [*RULES[:-1], "fixed:b"]


PLAIN = Demand(500)


def asked(i: int = 0, demand: Demand = PLAIN, dollars: float = 0.01) -> Question:
    return Question(CONTEXTS[i], demand, dollars, words=150)


def same(one: Verdict, other: Verdict) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Verdict)
    )


@pytest.mark.parametrize("policy", EVERY_RULE)
def test_a_decision_can_be_made_again_from_its_id(policy: str) -> None:
    for i in range(len(CONTEXTS)):
        one, other = (
            decide(ARMS, asked(i), BELIEFS, seeded(f"d{i}"), policy=policy, allowance=FULL)
            for _ in range(2)
        )
        assert same(one, other)


def test_two_ids_are_two_streams_of_numbers() -> None:
    drawn = np.stack([seeded(f"d{i}").random(500) for i in range(20)])
    correlation = np.abs(np.corrcoef(drawn) - np.eye(20))
    assert correlation.max() < 4.5 / np.sqrt(500)


@pytest.mark.parametrize("policy", EVERY_RULE)
def test_the_arm_taken_is_one_that_could_be_taken_and_its_chance_is_the_logged_one(
    policy: str,
) -> None:
    for i in range(len(CONTEXTS)):
        verdict = decide(ARMS, asked(i), BELIEFS, seeded(f"d{i}"), policy=policy, allowance=FULL)
        assert verdict.policy == policy
        assert verdict.arm == verdict.eligible[verdict.chosen]
        assert verdict.propensity == verdict.propensities[verdict.chosen] > 0
        assert verdict.propensities.sum() == pytest.approx(1.0)


def test_what_is_logged_of_quality_and_cost_is_what_the_beliefs_say() -> None:
    verdict = decide(ARMS, asked(), BELIEFS, seeded("x"))
    said = BELIEFS.quality.predict(CONTEXTS[0], NAMES)
    np.testing.assert_array_equal(verdict.quality, said.mean)
    np.testing.assert_array_equal(verdict.quality_sd, said.sd)
    tokens = expected_output_tokens(TOKENS, CONTEXTS[0], NAMES)
    by_hand = [(500 * (i + 1) + n * (4 * i + 2)) / 1e6 for i, n in enumerate(tokens)]
    np.testing.assert_allclose(verdict.cost_usd, by_hand)
    np.testing.assert_array_equal(verdict.doubt, np.sqrt(said.noise / (1.0 + said.weight)))
    assert verdict.drawn.shape == verdict.drawn_usd.shape == (DRAWS_KEPT, len(NAMES))
    off = (verdict.drawn - said.mean) / said.sd
    assert np.abs(off.mean(axis=0)).max() < 4 / np.sqrt(DRAWS_KEPT)


@pytest.mark.parametrize("policy", ["thompson", "greedy", "uniform"])
def test_who_asks_not_to_explore_gets_the_arm_that_looks_best_and_costs_no_allowance(
    policy: str,
) -> None:
    for i in range(len(CONTEXTS)):
        question = replace(asked(i), explore=False)
        verdict = decide(ARMS, question, BELIEFS, seeded(f"d{i}"), policy=policy, allowance=FULL)
        assert verdict.policy == "greedy"
        assert verdict.chosen == best(verdict.quality, verdict.cost_usd / 0.01)
        assert verdict.propensity == 1.0
        assert (verdict.explored, verdict.allowance) == (0.0, FULL)


def test_without_an_allowance_thompson_is_certain_and_logs_that_it_was() -> None:
    beliefs = replace(BELIEFS, hyper=replace(HYPER, explored_share=0.0, free_trials=0.0))
    for i in range(len(CONTEXTS)):
        verdict = decide(ARMS, asked(i), beliefs, seeded(f"d{i}"))
        assert verdict.chosen == best(verdict.quality, verdict.cost_usd / 0.01)
        assert (verdict.propensity, verdict.explored) == (1.0, 0.0)


def test_the_explored_mass_is_all_that_is_not_on_the_arm_that_looks_best() -> None:
    masses, beliefs = [], replace(BELIEFS, hyper=replace(HYPER, free_trials=0.0))
    for i in range(len(CONTEXTS)):
        verdict = decide(ARMS, asked(i), beliefs, seeded(f"d{i}"), allowance=Allowance(2.0))
        looks_best = best(verdict.quality, verdict.cost_usd / 0.01)
        others = [k for k in range(3) if k != looks_best]
        assert verdict.explored == pytest.approx(verdict.propensities[others].sum())
        assert verdict.allowance == Allowance(3.0)  # what is spent is booked by the caller
        masses.append(verdict.explored)
    assert max(masses) > 0.1


def test_what_may_not_be_explored_is_not_given_to_an_arm_that_is_not_compared_yet() -> None:
    """Forty cheap arms that nobody has tried look best, but sixty known ones are enough for now."""
    prices = [(3.0, 15.0)] * 60 + [(0.1, 0.4)] * 40
    arms = [Arm(f"a{i}", "p", f"a{i}", *usd, 8_000) for i, usd in enumerate(prices)]
    told = contexts(np.random.default_rng(6), 600).reshape(60, 10, -1)
    known = [(arms[i].name, x, 0.6, 1.0) for i in range(60) for x in told[i]]
    beliefs = replace(BELIEFS, quality=learned(PRIOR, known), hyper=Hyper())
    verdict = decide(arms, asked(dollars=0.1), beliefs, seeded("x"))
    assert best(verdict.quality, verdict.cost_usd / 0.1) >= 60
    assert verdict.propensities[60:].sum() < beliefs.hyper.floor
    looks_best = best(verdict.quality[:60], verdict.cost_usd[:60] / 0.1)
    assert verdict.propensities[looks_best] > 0.8
    sober = decide(arms, replace(asked(dollars=0.1), explore=False), beliefs, seeded("x"))
    assert (sober.chosen, sober.propensity) == (looks_best, 1.0)


def test_arms_that_do_not_fit_are_named_and_the_others_decided_between() -> None:
    small = [replace(ARMS[0], context_window=100), *ARMS[1:]]
    verdict = decide(small, asked(), BELIEFS, seeded("x"))
    assert verdict.eligible == ("b", "c")
    assert verdict.ineligible == {"a": "the prompt has about 500 tokens, its window is 100"}
    assert verdict.propensities.shape == verdict.quality.shape == verdict.cost_usd.shape == (2,)


def test_an_arm_that_does_not_fit_changes_nothing_for_those_that_do() -> None:
    small = [*ARMS[:2], replace(ARMS[2], context_window=100)]
    with_it, without = (decide(arms, asked(), BELIEFS, seeded("x")) for arms in (small, ARMS[:2]))
    assert same(replace(with_it, ineligible={}), without)


def test_a_limit_in_dollars_removes_the_arms_expected_to_cost_more() -> None:
    dearest_first = ARMS[::-1]
    free = decide(dearest_first, asked(), BELIEFS, seeded("x"))
    limit = float(free.cost_usd[1])
    question = asked(demand=Demand(500, max_cost_usd=limit))
    capped = decide(dearest_first, question, BELIEFS, seeded("x"))
    assert capped.eligible == ("b", "a")
    assert list(capped.ineligible) == ["c"]
    np.testing.assert_array_equal(capped.cost_usd, free.cost_usd[1:])


@pytest.mark.parametrize("demand", [Demand(9_000), Demand(500, max_cost_usd=0.0)])
def test_with_no_arm_left_every_arm_has_its_reason(demand: Demand) -> None:
    with pytest.raises(NoEligibleArm) as raised:
        decide(ARMS, asked(demand=demand), BELIEFS, seeded("x"))
    assert sorted(raised.value.reasons) == list(NAMES)


def test_a_new_price_moves_the_very_next_decision() -> None:
    cheap = [replace(arm, input_usd_per_mtok=0.0, output_usd_per_mtok=0.0) for arm in ARMS]
    for i, name in enumerate(NAMES):
        dear = [arm if arm.name != name else cheap[i] for arm in ARMS]
        question = replace(asked(dollars=1e-9), explore=False)
        assert decide(dear, question, BELIEFS, seeded("x")).arm == name


def test_the_arm_of_the_shortest_answers_is_found_though_its_tokens_are_the_dearest() -> None:
    """At a price that only the cheapest arm passes, on one that nobody has asked so far."""
    wordy, terse = Arm("wordy", "p", "w", 1.0, 2.0, 8_000), Arm("terse", "p", "t", 1.0, 5.0, 8_000)
    long = {"wordy": 1_000, "terse": 100}
    for seed in range(10):
        beliefs, taken = replace(BELIEFS, quality=Belief(PRIOR)), []
        for i in range(80):
            question = asked(i % len(CONTEXTS), Demand(20), dollars=1e-9)
            verdict = decide([wordy, terse], question, beliefs, seeded(f"{seed}-{i}"))
            told = log_tokens(long[verdict.arm])
            tokens = beliefs.tokens.update(verdict.arm, question.context, told)
            beliefs = replace(beliefs, tokens=tokens)
            taken.append(verdict.arm)
        assert taken[-20:].count("terse") >= 19


@pytest.mark.parametrize("name", ["thomson", "", "fixed", "fixed:", "greedy:a"])
def test_a_rule_nobody_knows_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ConfigError, match="thompson, greedy, uniform, word_count, fixed:<arm>"):
        rule(name, BELIEFS)


def test_a_control_goes_to_its_arm_whatever_looks_best_and_the_odds_say_so() -> None:
    control = Control(0.1, "c")
    verdicts = [
        decide(ARMS, asked(i % 40), BELIEFS, seeded(f"c{i}"), control=control) for i in range(400)
    ]
    for verdict in verdicts:
        assert verdict.propensities[verdict.eligible.index("c")] >= 0.1
        assert verdict.propensities.sum() == pytest.approx(1.0)
    chosen = sum(verdict.arm == "c" for verdict in verdicts)
    expected = sum(v.propensities[v.eligible.index("c")] for v in verdicts)
    assert abs(chosen - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize(("bad", "share"), [(3, FIRST_SHARE), (300, 0.01)])
def test_what_a_floor_is_held_against_takes_half_until_enough_of_it_is_known(
    bad: int, share: float
) -> None:
    control = control_of(QualityFloor(0.98, "c"), Control(0.01))
    told: Rows = [("a", x, 1.0, 1.0) for x in contexts(np.random.default_rng(2), 200)]
    told += [("c", x, 0.0, 1.0) for x in contexts(np.random.default_rng(3), bad)]
    beliefs = replace(BELIEFS, quality=learned(PRIOR, told))
    verdict = decide(ARMS[::2], asked(), beliefs, seeded("x"), control=control)
    assert share <= verdict.propensities[verdict.eligible.index("c")] < share + 0.05


def test_no_control_where_nothing_may_be_tried_or_its_arm_may_not_answer() -> None:
    control, sober = Control(0.5), replace(asked(), explore=False)
    assert decide(ARMS, sober, BELIEFS, seeded("x"), control=control).propensity == 1.0
    cheap = [arm for arm in ARMS if arm.name != baseline(ARMS)]
    named = Control(0.5, baseline(ARMS))
    with_it, without = (
        decide(cheap, asked(), BELIEFS, seeded("x"), control=each) for each in (named, None)
    )
    assert with_it.propensities.tolist() == without.propensities.tolist()


def test_a_control_that_names_no_arm_goes_to_the_dearest() -> None:
    verdict = decide(ARMS, asked(), BELIEFS, seeded("x"), control=Control(0.3))
    dearest = max(ARMS, key=lambda arm: arm.output_usd_per_mtok).name
    assert verdict.propensities[verdict.eligible.index(dearest)] >= 0.3


@pytest.mark.parametrize("most", [None, 100])
def test_several_answers_at_once_are_expected_and_reserved_as_often(most: int | None) -> None:
    demand = Demand(0, output_tokens=most, left_usd=9.0)
    one, four = (
        decide(ARMS, asked(demand=replace(demand, choices=n)), BELIEFS, seeded("x")) for n in (1, 4)
    )
    np.testing.assert_allclose(four.cost_usd, 4 * one.cost_usd)
    np.testing.assert_allclose(four.reserve_usd, 4 * one.reserve_usd)
    tight = asked(demand=replace(demand, choices=4, left_usd=float(3.5 * one.reserve_usd.min())))
    with pytest.raises(BudgetExceeded):
        decide(ARMS, tight, BELIEFS, seeded("x"))


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("most", [None, 4_000])
def test_the_longest_answer_is_reserved_and_half_as_much_input_again(
    most: int | None, is_alone: bool
) -> None:
    """The mean where no limit is asked for and no other call is under way."""
    question = asked(demand=Demand(500, output_tokens=most, left_usd=9.0, is_alone=is_alone))
    verdict = decide(ARMS, question, BELIEFS, seeded("x"))
    is_mean = most is None and is_alone
    tokens_of = expected_output_tokens if is_mean else longest_output_tokens
    tokens = tokens_of(TOKENS, CONTEXTS[0], NAMES, most)
    by_hand = [(750 * (i + 1) + n * (4 * i + 2)) / 1e6 for i, n in enumerate(tokens)]
    np.testing.assert_allclose(verdict.reserve_usd, by_hand)
    it = verdict.chosen
    assert verdict.hold.expected_usd == verdict.cost_usd[it] < verdict.hold.reserved_usd
    assert verdict.hold.reserved_usd == pytest.approx(by_hand[it])


def test_answers_that_nobody_rates_use_up_the_free_trials_of_their_arm() -> None:
    liked: Rows = [("a", x, 1.0, 1.0) for x in contexts(np.random.default_rng(2), 400)]
    answers = contexts(np.random.default_rng(3), 4_000)
    tokens = TOKENS.update_all(["b"] * len(answers), answers, np.full(len(answers), 5.0))
    hyper = replace(HYPER, explored_share=0.0)
    beliefs = Beliefs(learned(PRIOR, liked), tokens, hyper)
    verdict = decide(ARMS, asked(dollars=0.003), beliefs, seeded("x"))
    assert best(verdict.quality, verdict.cost_usd / 0.003) == 0
    assert verdict.propensities[1] == 0.0 < verdict.propensities[2]


def test_a_control_that_costs_nothing_leaves_the_whole_allowance_to_the_other_requests() -> None:
    beliefs = replace(BELIEFS, hyper=Hyper(explored_share=0.02, free_trials=0.0))
    explored = []
    for i in range(len(CONTEXTS)):
        sober = decide(ARMS, replace(asked(i), explore=False), beliefs, seeded(f"d{i}"))
        control, allowance = Control(0.5, sober.arm), Allowance(0.03)
        verdict = decide(
            ARMS, asked(i), beliefs, seeded(f"d{i}"), allowance=allowance, control=control
        )
        explored.append(verdict.explored)
    assert max(explored) == pytest.approx(0.03 + 0.02)
