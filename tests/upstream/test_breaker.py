"""When a breaker opens, for how long, and what closes it; every moment is given."""

import pytest

from policy.errors import UpstreamBusy, UpstreamError, UpstreamTimeout, UpstreamUnauthorised
from upstream.breaker import Breaker
from upstream.refusals import GONE

BROKEN = UpstreamError("it broke", arm="a", http_status=500)


def failing(breaker: Breaker, *moments_s: float, error: UpstreamError = BROKEN) -> Breaker:
    for moment_s in moments_s:
        breaker.fail(error, begun_s=moment_s, now_s=moment_s)
    return breaker


def answering(breaker: Breaker, *moments_s: float) -> Breaker:
    for moment_s in moments_s:
        breaker.answer(begun_s=moment_s, now_s=moment_s)
        breaker.succeed()
    return breaker


def test_two_failures_are_bad_luck_and_three_in_a_row_are_not() -> None:
    breaker = failing(Breaker(), 1, 2)
    assert breaker.state(2) == "closed"
    failing(answering(breaker, 3), 4, 5)
    assert breaker.state(5) == "closed"
    assert failing(breaker, 6).state(6) == "open"
    assert breaker.why == "3 calls in a row failed"


def test_half_of_the_last_twenty_calls_is_too_many() -> None:
    breaker = Breaker()
    for moment_s in range(0, 18, 2):
        answering(failing(breaker, moment_s), moment_s + 1)
    assert breaker.state(18) == "closed"
    assert failing(breaker, 18).state(18) == "open"
    assert breaker.why == "10 of the last 19 calls failed"


def test_it_is_tried_out_after_five_seconds_then_ten_then_fifteen() -> None:
    breaker = failing(Breaker(), 0, 0, 0)
    opened_s = 0.0
    for wait_s in (5, 10, 15, 15):
        assert breaker.state(opened_s + wait_s - 0.1) == "open"
        opened_s += wait_s
        assert breaker.state(opened_s) == "half-open"
        failing(breaker, opened_s)


def test_a_trial_that_answers_closes_it_at_its_first_content() -> None:
    breaker = failing(Breaker(), 0, 0, 0)
    breaker.answer(begun_s=5, now_s=6)
    assert breaker.state(6) == "closed"


def test_one_failure_after_a_trial_opens_it_again_for_longer() -> None:
    breaker = failing(Breaker(), 0, 0, 0)
    for _ in range(7):
        breaker.fail(BROKEN, begun_s=-1, now_s=0)
    answering(breaker, 5)
    assert failing(breaker, 6).state(15.9) == "open"
    assert breaker.state(16) == "half-open"


def test_after_a_calm_minute_it_begins_with_five_seconds_again() -> None:
    breaker = answering(failing(Breaker(), 0, 0, 0, 5, 15), 30)
    failing(answering(breaker, *range(40, 60)), 91, 92, 93)
    assert (breaker.state(97.9), breaker.state(98)) == ("open", "half-open")


def test_an_answer_to_a_call_from_before_proves_nothing() -> None:
    breaker = failing(Breaker(), 10, 10, 10)
    breaker.answer(begun_s=9, now_s=11)
    assert breaker.state(11) == "open"


def test_the_calls_that_were_under_way_bring_the_same_news_only_once() -> None:
    breaker = failing(Breaker(), 10, 10, 10)
    for _ in range(60):
        breaker.fail(BROKEN, begun_s=9, now_s=12)
    assert breaker.until_s == 15


def test_an_outage_of_days_is_counted_like_one_of_minutes() -> None:
    breaker = failing(Breaker(), *range(0, 1_000_000, 20))
    assert breaker.until_s == 999_980 + 15


@pytest.mark.parametrize(
    ("error", "wait_s"),
    [
        (UpstreamUnauthorised("bad key", arm="a", http_status=401), 60),
        (UpstreamUnauthorised("no key in the environment", arm="a"), 60),
        (UpstreamError("no credit", arm="a", http_status=402), 60),
        (UpstreamError("no such model", arm="a", http_status=404), 60),
        (UpstreamError("no such model", arm="a", http_status=400, code=GONE), 60),
        (UpstreamBusy("slow down", arm="a", http_status=429), 5),
        (UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=120), 120),
        (UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=0), 5),
        (UpstreamError("draining", arm="a", http_status=503, retry_after_s=20), 20),
    ],
)
def test_some_failures_open_it_at_once(error: UpstreamError, wait_s: float) -> None:
    breaker = failing(Breaker(), 0, error=error)
    assert (breaker.state(wait_s - 0.1), breaker.state(wait_s)) == ("open", "half-open")


def test_what_is_forbidden_opens_it_like_any_other_failure() -> None:
    forbidden = UpstreamUnauthorised("not for you", arm="a", http_status=403)
    assert failing(Breaker(), 0, 0, error=forbidden).state(0) == "closed"
    breaker = failing(Breaker(), 0, 0, 0, error=forbidden)
    assert (breaker.state(4.9), breaker.state(5)) == ("open", "half-open")


def test_only_a_moment_that_the_provider_named_is_waited_for_whatever_happens() -> None:
    told = UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=7)
    assert failing(Breaker(), 0, error=told).waits
    assert not failing(Breaker(), 0, error=UpstreamBusy("slow down", arm="a")).waits
    assert not failing(Breaker(), 0, 0, 0, error=UpstreamTimeout("late", arm="a")).waits


def test_a_call_made_in_need_while_it_is_open_does_not_open_it_sooner() -> None:
    told = UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=120)
    breaker = failing(failing(Breaker(), 0, error=told), 10)
    assert (breaker.state(119.9), breaker.state(120)) == ("open", "half-open")


def test_what_a_provider_had_named_is_over_once_it_answers() -> None:
    told = UpstreamBusy("slow down", arm="a", http_status=429, retry_after_s=120)
    breaker = answering(failing(Breaker(), 0, error=told), 1)
    assert (breaker.state(1), failing(breaker, 70, 70, 70).until_s) == ("closed", 75)


def test_when_the_retry_budget_is_spent_one_failure_is_enough() -> None:
    breaker = Breaker()
    breaker.fail(BROKEN, begun_s=0, now_s=0, at_once=True)
    assert breaker.state(0) == "open"
    assert breaker.why == "a call failed while the retry budget was spent"
    assert failing(breaker, 6).why == "it failed once more"
