"""Decisions become requests again: who followed whom, what was spent, what was delivered."""

from dataclasses import replace

from jobs.requests import MARGIN_S, busy_s, requests
from policy.types import Timeouts
from tests.jobs.spent import BUSY_S, after, failed, row
from tests.jobs.test_report import ARMS


def test_a_decision_that_answered_is_a_request_of_its_own() -> None:
    [one, other] = requests([row("a"), row("b", 1, cost_usd=0.5)], BUSY_S)
    assert (one.first.id, one.spent_usd, one.failed_usd) == ("a", 0.002, 0.0)
    assert (other.spent_usd, other.is_delivered) == (0.5, True)


def test_decisions_that_follow_failures_are_one_request_with_all_that_was_paid() -> None:
    rows = [
        failed("a", cost_usd=0.25),
        row("other", 1),
        after("b", "a", 2, status="timeout", cost_usd=0.5),
        after("c", "b", 3, arm="dear", cost_usd=1.0),
    ]
    _, made = requests(rows, BUSY_S)
    assert (made.first.id, made.last.id, made.last.arm) == ("a", "c", "dear")
    assert (made.spent_usd, made.failed_usd, made.is_delivered) == (1.75, 0.75, True)


def test_a_stream_that_another_arm_went_on_with_is_one_request() -> None:
    [made] = requests([row("a", status="continued"), after("b", "a")], BUSY_S)
    assert made.is_delivered
    assert made.first.id == "a"


def test_what_nobody_went_on_with_was_not_delivered() -> None:
    rows = [failed("a"), row("b", 1, status="client_gone"), row("c", 2 * BUSY_S)]
    made = {each.first.id: each.is_delivered for each in requests(rows, BUSY_S)}
    assert made == {"a": False, "b": False, "c": True}


def test_what_failed_long_ago_is_not_waited_for() -> None:
    late = BUSY_S + 1
    given = [failed("a"), failed("b", late), after("c", "a", late + 1)]
    made = [(each.first.id, each.last.id) for each in requests(given, BUSY_S)]
    assert made == [("a", "a"), ("c", "c"), ("b", "b")]


def test_a_stored_answer_asked_nobody_and_an_old_one_that_stood_in_is_no_answer_of_an_arm() -> None:
    rows = [
        row("hit", kind="cached", cache="hit"),
        failed("a", 1),
        row("stale", 2, kind="cached", cache="stale", retry_of="a"),
    ]
    hit, stale = requests(rows, BUSY_S)
    assert hit.is_hit
    assert (stale.is_hit, stale.is_delivered, stale.first.id) == (False, False, "a")


def test_a_request_lasts_as_long_as_the_catalogue_lets_its_calls_last() -> None:
    hours = replace(ARMS[0], timeouts=Timeouts(total_s=7_200.0))
    assert busy_s([hours, ARMS[1]]) == 7_200.0 + MARGIN_S
    given = [failed("a", cost_usd=0.25), row("b", 7_000), after("c", "a", 7_201)]
    made = {each.last.id: each.spent_usd for each in requests(given, busy_s([hours]))}
    assert made == {"b": 0.002, "c": 0.252}
