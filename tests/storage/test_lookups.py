"""What people ask of a log: sums add up by hand, and what is looked up is found in order."""

import pytest

from storage.log import Log
from storage.search import DecisionFilter, DecisionMark
from tests.storage.rounds import ATTEMPT, DECISION, HOUR_S, NOON_S, OUTCOME, but

STEP_S = 300.0


def ask(log: Log, i: int, arm: str = "small", **more: object) -> None:
    """Record a decision a minute after the one before, and its outcome where it has a status."""
    outcome = {name: more.pop(name) for name in ("status", "cost_usd") if name in more}
    at_s = NOON_S + 60 * i
    log.decide(but(DECISION, id=f"d{i}", arm=arm, decided_at_s=at_s, **more))
    if "status" in outcome:
        log.settle(but(OUTCOME, decision_id=f"d{i}", arm=arm, at_s=at_s + 2, **outcome)).wait()


def rate(log: Log, i: int, reward: float | None, rater: str = "ann", comment: str = "") -> None:
    log.rate(
        f"d{i}", rater, reward, at_s=NOON_S + HOUR_S, tenant="acme", window_s=9e9, comment=comment
    )


@pytest.fixture
def asked(log: Log) -> Log:
    ask(log, 0, status="ok", cost_usd=0.002)
    ask(log, 1, status="ok", cost_usd=0.001)
    ask(log, 2, arm="large", status="ok", cost_usd=0.010, task="maths")
    ask(log, 3, status="error", cost_usd=0.0, task=None)
    ask(log, 4, arm="large", kind="fallback", retry_of="d3", status="filtered", cost_usd=0.01)
    ask(log, 5)
    ask(log, 6, status="ok", cost_usd=0.004, tenant="other")
    rate(log, 0, 1.0)
    rate(log, 1, 0.0, comment="wrong <b>sum</b>")
    rate(log, 2, 0.75)
    return log


def found(log: Log, n: int = 50, before: DecisionMark | None = None, **sought: object) -> list[str]:
    given = DecisionFilter(**sought)  # type: ignore[arg-type]
    return [each.id for each in log.lookups.find(given, before or DecisionMark(), n).decisions]


def total(log: Log, name: str, after: int = 0, **where: object) -> float:
    rows = log.lookups.traffic(after, log.position(), STEP_S)
    chosen = [row for row in rows if all(getattr(row, k) == v for k, v in where.items())]
    return sum(getattr(row, name) for row in chosen)


def test_sums_add_up_by_hand(asked: Log) -> None:
    assert total(asked, "decisions") == 6
    assert total(asked, "requests") == 5
    assert total(asked, "cost_usd") == pytest.approx(0.027)
    assert total(asked, "cost_usd", arm="large") == pytest.approx(0.02)
    assert total(asked, "cost_usd", tenant="other") == pytest.approx(0.004)
    assert total(asked, "decisions", kind="fallback") == 1
    assert total(asked, "decisions", status="error") == 1
    assert (total(asked, "rated"), total(asked, "reward")) == (3, 1.75)
    assert total(asked, "square") == pytest.approx(1 + 0.75**2)
    assert total(asked, "reward", task="maths") == 0.75


def test_what_the_provider_called_wrong_is_told_from_other_errors(asked: Log) -> None:
    asked.attempt(but(ATTEMPT, decision_id="d3", status="rejected")).wait()
    assert total(asked, "decisions", status="error") == 0
    assert total(asked, "decisions", status="rejected") == 1


def test_sums_of_pieces_are_the_sums_of_the_whole(asked: Log) -> None:
    rate(asked, 0, 0.5)
    rate(asked, 1, None)
    middle = asked.position() - 4
    for name in ("decisions", "cost_usd", "rated", "reward", "square"):
        first = sum(getattr(row, name) for row in asked.lookups.traffic(0, middle, STEP_S))
        assert first + total(asked, name, after=middle) == pytest.approx(total(asked, name))


def test_a_revised_thumb_counts_as_what_it_changes(asked: Log) -> None:
    before = asked.position()
    rate(asked, 0, 0.5)
    assert total(asked, "rated", after=before) == 0
    assert total(asked, "reward", after=before) == -0.5
    rate(asked, 1, None)
    assert (total(asked, "rated"), total(asked, "reward")) == (2, 1.25)


def test_each_event_stands_at_the_step_in_which_it_happened(log: Log) -> None:
    for i, at_s in enumerate((NOON_S, NOON_S + STEP_S - 0.01, NOON_S + STEP_S)):
        log.decide(but(DECISION, id=f"d{i}", decided_at_s=at_s))
        log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=at_s)).wait()
    rows = log.lookups.traffic(0, log.position(), STEP_S)
    assert sorted((row.start_s, row.decisions) for row in rows) == [
        (NOON_S, 2),
        (NOON_S + STEP_S, 1),
    ]


def test_the_first_outcome_since_a_moment(asked: Log) -> None:
    assert asked.lookups.first_since(NOON_S) == 1
    assert asked.lookups.first_since(NOON_S + 61) == 2
    assert asked.lookups.first_since(NOON_S + HOUR_S) is None


@pytest.mark.parametrize(
    ("sought", "ids"),
    [
        ({}, ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]),
        ({"tenant": "acme"}, ["d5", "d4", "d3", "d2", "d1", "d0"]),
        ({"arm": "large"}, ["d4", "d2"]),
        ({"task": "maths"}, ["d2"]),
        ({"kind": "fallback"}, ["d4"]),
        ({"rated": "up"}, ["d2", "d0"]),
        ({"rated": "down"}, ["d1"]),
        ({"rated": "rated"}, ["d2", "d1", "d0"]),
        ({"rated": "unrated"}, ["d6", "d5", "d4", "d3"]),
        ({"ending": "failed"}, ["d3"]),
        ({"ending": "filtered"}, ["d4"]),
        ({"ending": "open"}, ["d5"]),
        ({"ending": "answered", "arm": "large"}, ["d2"]),
        ({"least_usd": 0.004}, ["d6", "d4", "d2"]),
        ({"least_usd": 0.004, "rated": "up"}, ["d2"]),
    ],
)
def test_decisions_are_found_by_what_is_known_of_them(
    asked: Log, sought: dict[str, object], ids: list[str]
) -> None:
    assert found(asked, **sought) == ids


@pytest.mark.parametrize("strange", ["a\0b", "\0", "\ud800"])
def test_what_no_store_can_keep_is_looked_for_as_it_would_have_been_kept(
    asked: Log, strange: str
) -> None:
    assert [found(asked, **{name: strange}) for name in ("tenant", "arm", "task")] == [[], [], []]
    assert found(asked, before=DecisionMark(NOON_S + 61, strange)) == ["d1", "d0"]
    ask(asked, 7, task=strange, status="ok")
    assert found(asked, task=strange) == ["d7"]


def test_pages_follow_each_other_without_gap_or_repeat(asked: Log) -> None:
    mark, seen = DecisionMark(), []
    while mark is not None:
        page = asked.lookups.find(DecisionFilter(), mark, 3)
        seen += [each.id for each in page.decisions]
        mark = page.go_on
    assert seen == ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]


def test_a_rare_kind_is_looked_for_a_piece_at_a_time(
    asked: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.search.LOOKED_AT", 3)
    first = asked.lookups.find(DecisionFilter(rated="down"), DecisionMark(), 10)
    assert ([each.id for each in first.decisions], first.go_on) == (
        [],
        DecisionMark(NOON_S + 240, "d4"),
    )
    assert found(asked, rated="down", before=first.go_on) == ["d1"]


def test_what_is_listed_is_what_was_recorded(asked: Log) -> None:
    [each] = asked.lookups.find(DecisionFilter(rated="down"), DecisionMark(), 1).decisions
    assert (each.status, each.cost_usd, each.latency_s, each.reward) == ("ok", 0.001, 1.5, 0.0)
    assert each.eligible == DECISION.eligible
    assert each.quality == DECISION.quality


def test_which_decisions_the_log_lacks(asked: Log) -> None:
    assert asked.lookups.lacks(["d0", "d7", "d5", "'"]) == ["d7", "'"]
    assert asked.lookups.lacks([]) == []


def test_retries_and_ratings_of_a_decision(asked: Log) -> None:
    asked.attempt(but(ATTEMPT, decision_id="d3")).wait()
    assert asked.lookups.retries("d3") == ["d4"]
    assert asked.lookups.retries("d0") == []
    rate(asked, 1, 1.0, rater="bob")
    assert asked.lookups.ratings_since(0) == 4
    assert asked.lookups.ratings_since(asked.position()) == 0
    told = [(each.rater, each.reward, each.comment) for each in asked.lookups.ratings("d1")]
    assert told == [("ann", 0.0, "wrong <b>sum</b>"), ("bob", 1.0, "")]
