"""Votes by whose they are: those that count are found, and withdrawn however old they are."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice

import pytest

from app.monitoring.reporting import NAME
from storage.events import FeedbackEvent
from storage.latest import Latest
from storage.log import Log
from storage.records import Voters
from storage.rows import Row
from storage.sql import Values
from storage.states import SavedState
from storage.votes import Cast, cast, taken_back, withdrawals
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME, POLICY

YEAR_S = 365 * 24 * HOUR_S
VOTES = (("a", "ann", 1.0), ("a", "ben", 0.5), ("b", "ann", 0.0), ("c", "ann", 1.0))


@pytest.fixture
def rated(log: Log) -> Log:
    """A log with two decisions of a tenant, of which a key asked for one, and one of another."""
    for identity, tenant, key_id in (("a", "acme", "k1"), ("b", "acme", None), ("c", "zoo", None)):
        log.decide(replace(DECISION, id=identity, tenant=tenant, key_id=key_id)).wait()
        log.settle(replace(OUTCOME, decision_id=identity)).wait()
    for n, (identity, rater, reward) in enumerate(VOTES):
        vote(log, identity, rater, reward, n * HOUR_S)
    vote(log, "b", "ben", 1.0, HOUR_S)
    vote(log, "b", "ben", None, HOUR_S)
    return log


def vote(log: Log, identity: str, rater: str, reward: float | None, after_s: float) -> None:
    log.rate(identity, rater, reward, at_s=NOON_S + after_s, tenant=None, window_s=YEAR_S)


@pytest.mark.parametrize(
    ("whose", "found"),
    [
        (Voters(), ["a ann", "a ben", "b ann", "c ann"]),
        (Voters(tenant="acme"), ["a ann", "a ben", "b ann"]),
        (Voters(tenant="acme", rater="ann"), ["a ann", "b ann"]),
        (Voters(key_id="k1"), ["a ann", "a ben"]),
        (Voters(rater="ann", since_s=NOON_S + HOUR_S), ["b ann", "c ann"]),
        (Voters(rater="eve"), []),
    ],
    ids=str,
)
def test_votes_that_count_are_found_by_whose_they_are(
    rated: Log, whose: Voters, found: list[str]
) -> None:
    pieces = list(withdrawals(rated.ask, whose, NOON_S, most=1))
    assert [len(piece) for piece in pieces] == [1] * len(found)
    assert [f"{each.decision_id} {each.rater}" for piece in pieces for each in piece] == found
    said = [reward for identity, rater, reward in VOTES if f"{identity} {rater}" in found]
    assert cast(rated.ask, whose) == Cast(votes=len(said), mean=sum(said) / max(1, len(said)))


def test_what_is_rated_while_votes_are_looked_for_does_not_keep_that_from_its_end(
    rated: Log,
) -> None:
    more = count()

    def asking(query: str, values: Values) -> list[Row]:
        found = list(rated.ask(query, values))
        vote(rated, "c", f"bot {next(more)}", 0.0, HOUR_S)
        return found

    pieces = [len(piece) for piece in islice(withdrawals(asking, Voters(), NOON_S, most=3), 9)]
    assert pieces == [3, 2]


def test_a_report_that_counts_what_is_withdrawn_is_made_anew(rated: Log) -> None:
    log, made = rated, Latest(name=NAME, at_s=NOON_S, version=1, body={})
    log.receive("r", "report", NOON_S, [made]).wait()
    assert log.latest(NAME) == made
    [piece] = withdrawals(log.ask, Voters(tenant="acme"), NOON_S, most=9)
    log.receive("v", "distrust", NOON_S, piece).wait()
    assert log.latest(NAME) is None


def test_a_vote_that_is_withdrawn_after_years_is_revised_once_and_may_be_given_again(
    rated: Log, open_log: Callable[[], Log]
) -> None:
    whose, late_s = Voters(tenant="acme", rater="ann"), NOON_S + 3 * YEAR_S
    [piece] = withdrawals(rated.ask, whose, late_s, most=9)
    for n in range(2):  # handed over twice, by two who did not know of one another
        rated.receive(f"votes {n}", "distrust", late_s, piece).wait()
    assert cast(rated.ask, whose) == Cast(votes=0, mean=0.0)
    assert cast(rated.ask, Voters()).votes == 2
    taken = [
        (each.decision_id, each.reward, each.previous_reward)
        for each in rated.events()
        if isinstance(each, FeedbackEvent) and each.at_s == late_s
    ]
    assert taken == [("a", None, 1.0), ("b", None, 0.0)]
    vote(rated, "a", "ann", 0.25, HOUR_S)
    assert cast(rated.ask, whose) == Cast(votes=1, mean=0.25)


def test_what_was_taken_back_is_as_if_never_given_and_whoever_rated_next_was_the_first(
    rated: Log,
) -> None:
    whose = Voters(rater="ann", tenant="acme")
    rated.adopt(POLICY).wait()
    state = SavedState(policy_version=POLICY.version, upto_seq=1, content=b"x")
    rated.receive("s", "retrain", NOON_S, [state]).wait()
    late_s, later = NOON_S + YEAR_S, replace(whose, since_s=NOON_S + HOUR_S)
    [piece] = withdrawals(rated.ask, later, late_s, most=9)
    assert rated.receive("v", "distrust", NOON_S, piece).wait()
    assert (taken_back(rated.ask, whose), taken_back(rated.ask, Voters())) == (1, 2)
    assert taken_back(rated.ask, Voters(since_s=NOON_S + 2 * HOUR_S)) == 1
    assert rated.receive("g", "distrust", NOON_S, [whose]).wait()
    assert rated.saved_state(POLICY.version) is None
    assert (taken_back(rated.ask, whose), taken_back(rated.ask, Voters())) == (0, 1)
    vote(rated, "b", "ann", 0.75, HOUR_S)
    votes = [each for each in rated.events() if isinstance(each, FeedbackEvent)]
    told = [(v.decision_id, v.rater, v.reward, v.teaches, v.is_first) for v in votes]
    assert told == [
        ("a", "ann", 1.0, True, True),
        ("a", "ben", 0.5, True, False),
        ("b", "ann", 0.0, False, True),
        ("c", "ann", 1.0, True, True),
        ("b", "ben", 1.0, True, True),
        ("b", "ben", None, True, True),
        ("b", "ann", None, False, True),
        ("b", "ann", 0.75, True, False),
    ]
    newest_s = max(each.at_s for each in votes if each.teaches)
    assert rated.newest_lesson_s(votes[0].seq - 1, votes[-1].seq) == newest_s
