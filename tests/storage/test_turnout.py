"""What is counted of each tenant's answers and votes, and what one too many leaves in the log."""

from unittest.mock import patch

import pytest

from storage import feed
from storage.events import Event, FeedbackEvent
from storage.log import Log
from storage.records import CacheUse, OutcomeStatus, Rating
from storage.turnout import position_before, turned_out
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME, but


def answered(
    log: Log, name: str, tenant: str, status: OutcomeStatus = "ok", cache: CacheUse = "miss"
) -> None:
    log.decide(but(DECISION, id=name, tenant=tenant))
    log.settle(but(OUTCOME, decision_id=name, status=status, cache=cache)).wait()


def rate(log: Log, name: str, reward: float | None) -> Rating:
    return log.rate(name, "ann", reward, at_s=NOON_S, tenant=None, window_s=HOUR_S)


def test_answers_of_models_and_first_votes_are_counted_by_tenant(log: Log) -> None:
    answered(log, "a", "acme")
    answered(log, "b", "acme", cache="exact")
    answered(log, "c", "rival", status="error")
    answered(log, "d", "rival")
    before = log.position()
    for name, reward in (("a", 1.0), ("a", 0.0), ("a", None), ("a", 1.0), ("b", 1.0), ("d", 0.5)):
        rate(log, name, reward)
    assert turned_out(log.ask, 0, log.position()) == (
        {"acme": 1, "rival": 1},
        {"acme": 1, "rival": 1},
    )
    assert turned_out(log.ask, before, log.position()) == ({}, {"acme": 1, "rival": 1})
    assert [position_before(log.ask, n, before) for n in (0, 3, 4)] == [before, 1, 0]
    assert turned_out(log.ask, 0, before) == ({"acme": 1, "rival": 1}, {})


def test_what_is_one_too_many_stays_so_and_what_taught_still_does(log: Log) -> None:
    for name in ("a", "b", "c"):
        answered(log, name, "rival" if name == "c" else "acme")
    assert rate(log, "a", 1.0).teaches
    log.limit_votes(lambda tenant, _: tenant == "acme")
    told = [rate(log, "b", reward) for reward in (None, 1.0, 0.0, None, 1.0)]
    assert [(each.status, each.teaches) for each in told] == [
        ("duplicate", False), ("recorded", False), ("updated", False), ("revoked", False),
        ("updated", False),
    ]  # fmt: skip
    assert (rate(log, "a", 0.0).teaches, rate(log, "c", 1.0).teaches) == (True, True)
    log.limit_votes(lambda *_: False)
    assert not rate(log, "b", 0.0).teaches
    votes = [event for event in log.events() if isinstance(event, FeedbackEvent)]
    assert [event.teaches for event in votes] == [True, *[False] * 4, True, True, False]
    assert [event.revision for event in votes] == [1, 1, 2, 3, 4, 2, 1, 5]
    assert log.decision("b").reward == 0.0
    assert log.counts().rated == 2
    assert [log.lookups.ratings(name)[0].excluded for name in "abc"] == [False, True, False]


@pytest.mark.parametrize("followers", [1, 3])
def test_who_is_told_alike_is_told_from_one_reading(log: Log, followers: int) -> None:
    told: list[list[Event]] = [[] for _ in range(followers)]
    for each in told:
        log.subscribe(each.extend)
    with patch.object(feed, "page", wraps=feed.page) as read:
        answered(log, "a", "acme")
    assert read.call_count == 1
    assert [[event.seq for event in each] for each in told] == [[1]] * followers
