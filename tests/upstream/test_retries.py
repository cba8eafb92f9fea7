"""The retry budget: a fifth of all requests, and a burst."""

from upstream.retries import BURST, SHARE, Retries


def test_a_long_outage_is_paid_with_a_fifth_of_the_requests() -> None:
    retries, further = Retries(), 0
    for _ in range(1_000):
        retries.earn()
        while retries.can_pay:
            retries.spend()
            further += 1
    assert SHARE * 1_000 - 1 <= further <= SHARE * 1_000 + BURST


def test_a_quiet_time_saves_no_more_than_a_burst() -> None:
    retries = Retries()
    for _ in range(10_000):
        retries.earn()
    assert retries.left == BURST


def test_a_call_that_had_to_be_made_leaves_no_debt() -> None:
    retries = Retries(left=0.0)
    for _ in range(100):
        retries.spend()
    for _ in range(5):
        retries.earn()
    assert retries.can_pay
