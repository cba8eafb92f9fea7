"""Requests are added up: each on the line it belongs to, and to the sums of each rule."""

from dataclasses import replace

import pytest

from jobs.requests import requests
from jobs.tally import ALL, FIRST, MOST_TASKS, OTHER, Counting, Rule, Tally, most_usd
from policy.types import Arm
from storage.spending import Spending
from tests.jobs.spent import BUSY_S, after, failed, row
from tests.storage.rounds import DECISION, but

DEAR = Arm("dear", "p", "dear", 10.0, 20.0, 8_000, cached_input_usd_per_mtok=1.0)


def counted(*rows: Spending, dear: Arm = DEAR) -> Counting:
    counting = Counting([Rule("dear"), Rule()], {"dear": dear}, {"dear": 0.5})
    for request in requests(rows, BUSY_S):
        counting.count(request)
    return counting


def tally(*rows: Spending, dear: Arm = DEAR) -> Tally:
    [(_, made)] = counted(*rows, dear=dear).tallies.items()
    return made


def test_every_request_has_its_line() -> None:
    made = tally(
        row("plain"),
        row("pinned", 1, kind="pinned", cost_usd=0.03),
        failed("a", 2, cost_usd=0.004),
        after("b", "a", 3),
        row("gone", 4, status="client_gone", cost_usd=0.005),
        row("hit", 5, kind="cached", cache="hit", cost_usd=0.0),
    )
    lines = {name: (line.requests, pytest.approx(line.usd)) for name, line in made.lines.items()}
    assert lines == {
        "asked": (4, 0.043),
        "pinned": (1, 0.03),
        "fallbacks": (1, 0.004),
        "not delivered": (1, 0.005),
        "stored answers": (1, 0.0),
    }


def test_an_answer_elsewhere_is_set_against_what_was_predicted_of_the_baseline() -> None:
    made = tally(row("a"), row("b", 1, task="maths"))
    sums = made.rule("always dear")
    for kind, name, n in ((*ALL, 2), ("task", "support", 1), ("task", "maths", 1)):
        group = sums.of(kind, name)
        assert (group.requests, group.elsewhere, group.hits) == (n, n, 0)
        assert group.predicted == pytest.approx(n * 0.01)
        assert group.spent == pytest.approx(n * 0.002)
        assert group.reach == pytest.approx(n * 0.9 * 0.01)
    assert sums.of("arm", "cheap").spent == pytest.approx(0.004)


def test_a_bill_of_the_baseline_tells_by_the_odds() -> None:
    sums = tally(row("a", arm="dear", cost_usd=0.012)).rule("always dear")
    whole, cheap, dear = sums.of(*ALL), sums.of("arm", "cheap"), sums.of("arm", "dear")
    assert (whole.hits, whole.elsewhere, whole.known) == (1, 0, 0.0)
    assert whole.weight_billed == pytest.approx(0.9 / 0.1 * 0.012)
    assert cheap.weight_predicted == pytest.approx(0.9 / 0.1 * 0.01)
    assert cheap.requests == 0
    assert (dear.requests, dear.spent, dear.elsewhere) == (1, 0.012, 0)


def test_a_call_that_failed_before_the_baseline_answered_is_a_loss_that_is_known() -> None:
    sums = tally(failed("a", cost_usd=0.003), after("b", "a", arm="dear", cost_usd=0.02))
    whole = sums.rule("always dear").of(*ALL)
    assert (whole.hits, whole.elsewhere) == (0, 0)
    assert whole.known == pytest.approx(-0.003)


def test_a_baseline_that_could_not_serve_is_counted_alike() -> None:
    made = tally(row("a", eligible=("cheap",), propensities=(1.0,), predicted_usd=(0.001,)))
    comparison = made.rule("always dear")
    assert (comparison.no_such_choice.requests, comparison.no_such_choice.usd) == (1, 0.002)
    assert comparison.of(*ALL).requests == 0


def test_the_word_count_rule_takes_the_arm_of_the_prompts_length() -> None:
    made = tally(row("short", words=10), row("long", 1, words=9_000))
    sums = made.rule("word count").of(*ALL)
    # The short one was answered by the rule's own arm, and so told what that costs.
    assert (sums.hits, sums.elsewhere) == (1, 1)
    assert sums.predicted == pytest.approx(0.01)


def test_what_an_arm_that_did_not_look_best_was_expected_to_cost_more_is_told() -> None:
    # 0.8 - 0.001 / 0.01 = 0.7 looks better than 0.9 - 0.01 / 0.01 = -0.1.
    made = tally(row("a"), row("b", 1, arm="dear"))
    assert made.line("exploration").requests == 1
    assert made.line("exploration").usd == pytest.approx(0.009)


def test_an_arm_that_may_win_no_draw_yet_is_none_that_looks_best() -> None:
    untried = {
        "eligible": ("cheap", "dear", *(f"untried{i}" for i in range(15))),
        "propensities": (0.9, 0.097, *(0.0002,) * 15),
        "quality": (0.8, 0.9, *(0.9,) * 15),
        "predicted_usd": (0.001, 0.01, *(0.0001,) * 15),
    }
    made = tally(row("a", **untried), row("b", 1, arm="dear", **untried))
    assert made.line("exploration").requests == 1
    assert made.line("exploration").usd == pytest.approx(0.009)


def test_what_was_left_to_no_draw_explored_nothing() -> None:
    fixed = row("fixed", arm="dear", propensities=(0.0, 1.0))
    alone = row(
        "alone", 1, eligible=("cheap",), propensities=(1.0,), quality=(0.8,), predicted_usd=(0.1,)
    )
    assert "exploration" not in tally(fixed, alone).lines


def test_what_was_explored_counts_for_no_more_than_is_usual_of_an_arm() -> None:
    made = tally(row("a", arm="dear", predicted_usd=(0.001, 200.0)))
    assert made.line("exploration").usd == pytest.approx(0.5 - 0.001)
    # Here the arm that looks best is the one whose prediction counts for less than it says.
    dearer = row("b", predicted_usd=(0.6, 30.0), willingness_to_pay_usd=1e6)
    assert tally(dearer).line("exploration").usd == pytest.approx(0.6 - 0.5)


def test_a_conversation_would_have_been_in_the_baselines_cache_too() -> None:
    warm = 1_000 * (10.0 - 1.0) / 1e6
    made = tally(row("a", cached_by_arm={"cheap": 1_000}, predicted_usd=(0.001, 0.05)))
    assert made.rule("always dear").of(*ALL).predicted == pytest.approx(0.05 - warm)
    writes = replace(DEAR, cache_write_usd_per_mtok=12.5)
    made = tally(row("a", cached_by_arm={"cheap": 1_024}, predicted_usd=(0.001, 0.05)), dear=writes)
    warm = 1_024 * (12.5 - 1.0) / 1e6
    assert made.rule("always dear").of(*ALL).predicted == pytest.approx(0.05 - warm)
    own = tally(row("a", cached_by_arm={"dear": 1_000}, predicted_usd=(0.001, 0.05)))
    assert own.rule("always dear").of(*ALL).predicted == pytest.approx(0.05)


def test_a_stored_answer_is_worth_what_it_was_expected_to_cost_at_first() -> None:
    hit = {"kind": "cached", "cache": "hit", "cost_usd": 0.0}
    first = {"first_eligible": ("cheap", "dear"), "first_predicted_usd": (0.001, 0.01)}
    made = tally(row("a", **hit, **first), row("forgotten", 1, **hit))
    assert made.rule("always dear").cached.usd == pytest.approx(0.01)
    assert made.line("stored answers").requests == 2


def test_days_and_tenants_are_kept_apart_and_add_up() -> None:
    day = 86_400.0
    counting = counted(row("a"), row("b", tenant="other"), row("c", day), row("d", day + 1))
    assert sorted(
        (tenant, made.line("asked").requests) for (tenant, _), made in counting.tallies.items()
    ) == [("acme", 1), ("acme", 2), ("other", 1)]
    whole = Tally()
    for made in counting.tallies.values():
        whole.add(made)
    assert whole.line("asked").requests == 4
    assert whole.rule("always dear").of(*ALL).requests == 4


def test_a_client_that_invents_tasks_does_not_fill_the_report() -> None:
    made = tally(*(row(f"d{n}", n / 10, task=f"task-{n}") for n in range(MOST_TASKS + 50)))
    names = [name for kind, name in made.rule("always dear").sums if kind == "task"]
    assert len(names) == MOST_TASKS + 1
    assert made.rule("always dear").of("task", OTHER).requests == 50


def test_a_prediction_from_before_anything_was_known_does_not_drown_the_rest() -> None:
    sums = tally(row("a", predicted_usd=(0.001, 200.0)), row("b", 1)).rule("always dear")
    assert sums.of(*ALL).predicted == pytest.approx(0.5 + 0.01)
    usual = [but(DECISION, cost_usd_predicted=(0.001, usd)) for usd in (0.01, 0.02, 900.0)]
    assert most_usd(usual) == {"small": pytest.approx(0.01), "large": pytest.approx(0.2)}


def test_a_long_prompt_counts_whole_once_answers_have_been_seen() -> None:
    many = [row(f"d{n}", n / 10) for n in range(FIRST)]
    long = {"predicted_usd": (0.02, 1.4)}  # as dear as 140 of the others: a document among chats
    elsewhere, there = row("a", 50, **long), row("b", 60, arm="dear", cost_usd=1.4, **long)
    made = tally(*many, elsewhere, there)
    sums = made.rule("always dear").of(*ALL)
    assert sums.predicted == pytest.approx(FIRST * 0.01 + 1.4)
    assert sums.weight_predicted == pytest.approx(9.0 * 1.4)
    assert made.line("exploration").usd == pytest.approx(1.4 - 0.02)
