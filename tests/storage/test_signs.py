"""What is known of answers without ratings, whatever the log is stored in."""

import pytest

from storage.log import Log
from storage.signs import Rated, rated, shares, signs, since
from tests.storage.rounds import ATTEMPT, DECISION, NOON_S, OUTCOME, but


def answered(
    log: Log, identity: str, at_s: float = 0.0, task: str | None = None, **more: object
) -> None:
    log.decide(but(DECISION, id=identity, decided_at_s=NOON_S + at_s, task=task))
    log.settle(but(OUTCOME, decision_id=identity, at_s=NOON_S + at_s, **more)).wait()


def test_answers_are_summed_by_arm(log: Log) -> None:
    answered(log, "a", latency_s=1.0, output_tokens=10)
    answered(log, "b", 1, latency_s=3.0, output_tokens=30)
    answered(log, "c", 2, status="timeout", latency_s=99.0)
    answered(log, "d", 3, status="filtered")
    answered(log, "e", 4, arm="large", status="error")
    answered(log, "hit", 5, cache="hit", latency_s=0.0)
    answered(log, "late", 60)
    found = signs(log.ask, NOON_S, NOON_S + 60)
    small = found["small"]
    assert (small.errors.n, small.errors.total) == (4, 1)
    assert (small.refusals.n, small.refusals.total) == (4, 1)
    assert (small.latency_s.n, small.latency_s.mean) == (2, 2.0)
    assert small.latency_s.variance == pytest.approx(1.0)
    assert (small.tokens.mean, small.tokens.variance) == (20.0, pytest.approx(100.0))
    assert found["large"].errors.mean == 1.0
    assert found["large"].tokens.n == 0


def test_calls_that_were_given_up_or_whose_request_was_wrong_say_nothing(log: Log) -> None:
    answered(log, "whole")
    answered(log, "left", 1, status="client_gone")
    for n, status in enumerate(("busy", "rejected")):
        log.attempt(but(ATTEMPT, decision_id="whole", n=2 + n, status="rejected"))
        answered(log, status, 2 + n, status="error")
        log.attempt(but(ATTEMPT, decision_id=status, status=status)).wait()
    errors = signs(log.ask, NOON_S, NOON_S + 60)["small"].errors
    assert (errors.n, errors.total) == (2, 1)


def test_the_last_rating_is_known_and_answers_since_are_counted(log: Log) -> None:
    assert rated(log.ask) == Rated(None, 0)
    for n in range(4):
        answered(log, f"d{n}", n * 10)
    assert rated(log.ask) == Rated(None, 4)
    log.rate("d0", "r", 1.0, at_s=NOON_S + 15, tenant="acme", window_s=1e9)
    assert rated(log.ask) == Rated(NOON_S + 15, 2)
    assert shares(log.ask, 60.0) == {None: 0.5}
    assert shares(log.ask, 9.0) == {}


def test_a_rating_that_was_withdrawn_has_not_come(log: Log) -> None:
    answered(log, "d0")
    for rater, reward, after_s in (("ann", 1.0, 1), ("bot", 0.0, 2), ("bot", None, 9)):
        log.rate("d0", rater, reward, at_s=NOON_S + after_s, tenant="acme", window_s=1e9)
    assert rated(log.ask).last_at_s == NOON_S + 1
    log.rate("d0", "ann", None, at_s=NOON_S + 10, tenant="acme", window_s=1e9)
    assert rated(log.ask).last_at_s is None


def test_only_answers_that_were_asked_and_delivered_count_and_ratings_of_those(log: Log) -> None:
    answered(log, "whole")
    answered(log, "filtered", 1, status="filtered")
    answered(log, "hit", 2, cache="hit")
    answered(log, "failed", 3, status="error", output_tokens=0)
    answered(log, "gone", 4, status="client_gone", output_tokens=0)
    for n, each in enumerate(("whole", "hit", "failed")):
        log.rate(each, "r", 1.0, at_s=NOON_S + n / 2, tenant="acme", window_s=1e9)
    assert rated(log.ask) == Rated(NOON_S, 1)
    assert shares(log.ask, 60.0) == {None: 1.0}
    assert since(log.ask, NOON_S) == {None: 1}


def test_what_is_rated_of_a_task_and_what_came_since_is_told_of_each(log: Log) -> None:
    assert shares(log.ask, 60.0) == {}
    for n in range(4):
        answered(log, f"chat-{n}", n, "chat")
        answered(log, f"batch-{n}", n, "batch")
    log.rate("chat-0", "ann", 1.0, at_s=NOON_S + 5, tenant="acme", window_s=1e9)
    log.rate("chat-0", "bob", 0.0, at_s=NOON_S + 5, tenant="acme", window_s=1e9)
    for n in range(6):
        answered(log, f"night-{n}", 10 + n, "batch")
    answered(log, "chat-late", 20, "chat")
    assert shares(log.ask, 60.0) == {"chat": 0.5}
    assert since(log.ask, NOON_S + 5) == {"batch": 6, "chat": 1}
