"""What every log does, whatever it is stored in."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from policy.errors import FeedbackClosed, InvalidInput, UnknownDecision
from storage.event_rows import page
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent, PolicyEvent
from storage.log import Log
from storage.recorder import HandoverRow
from storage.records import Rating
from storage.rows import Row
from tests.storage.conftest import OpenLog
from tests.storage.rounds import (
    ATTEMPT,
    DECISION,
    EVAL,
    HOUR_S,
    NOON_S,
    OUTCOME,
    POLICY,
    RETRAIN,
    but,
    rows,
)


def rate(log: Log, reward: float | None, rater: str = "ann", **changes: object) -> Rating:
    given = {"at_s": NOON_S + 60, "tenant": "acme", "window_s": HOUR_S, **changes}
    return log.rate("d", rater, reward, **given)  # type: ignore[arg-type]


def feedback(log: Log) -> list[FeedbackEvent]:
    return [event for event in log.events() if isinstance(event, FeedbackEvent)]


def test_a_decision_is_read_back_as_it_was_written(log: Log) -> None:
    log.decide(DECISION).wait()
    read = log.decision("d", "acme")
    assert rows([read.decision]) == rows([DECISION])
    assert read.decision.context.tolist() == DECISION.context.tolist()
    assert (read.outcome, read.reward) == (None, None)


def test_everything_of_a_round_survives_a_restart(open_log: OpenLog) -> None:
    with open_log() as log:
        log.decide(DECISION)
        log.attempt(ATTEMPT)
        assert log.settle(OUTCOME).wait() == 1
        rate(log, 1.0)
    with open_log() as log:
        read = log.decision("d")
        assert read.outcome == but(OUTCOME, seq=1)
        assert read.reward == 1.0
        assert log.attempts("d") == [ATTEMPT]


def test_another_tenant_cannot_tell_a_decision_from_none(log: Log) -> None:
    log.decide(DECISION).wait()
    for missing, tenant in (("d", "rival"), ("nope", "acme")):
        with pytest.raises(UnknownDecision):
            log.decision(missing, tenant)
        with pytest.raises(UnknownDecision):
            log.rate(missing, "ann", 1.0, at_s=NOON_S, tenant=tenant, window_s=HOUR_S)


def test_an_id_cannot_be_decided_twice(log: Log) -> None:
    log.decide(DECISION).wait()
    with pytest.raises(InvalidInput, match="recorded already"):
        log.decide(but(DECISION, arm="large")).wait()
    assert log.decision("d").decision.arm == "small"


def test_a_decision_is_settled_once(log: Log) -> None:
    log.decide(DECISION)
    log.settle(OUTCOME).wait()
    with pytest.raises(InvalidInput, match="recorded already"):
        log.settle(but(OUTCOME, status="error")).wait()
    assert [event.seq for event in log.events()] == [1]


def test_nothing_is_settled_without_its_decision(log: Log) -> None:
    for ticket in (log.settle(OUTCOME), log.attempt(ATTEMPT)):
        with pytest.raises(UnknownDecision):
            ticket.wait()


def test_the_same_thumb_again_changes_nothing(log: Log) -> None:
    log.decide(DECISION)
    assert rate(log, 1.0).status == "recorded"
    assert [rate(log, 1.0).status for _ in range(3)] == ["duplicate"] * 3
    assert len(feedback(log)) == 1


def test_a_comment_after_the_thumb_is_kept(log: Log) -> None:
    log.decide(DECISION)
    rate(log, 1.0)
    assert rate(log, 1.0, comment="spot on").status == "updated"
    assert rate(log, 1.0, comment="spot on").status == "duplicate"


def test_a_changed_thumb_replaces_and_a_withdrawn_one_leaves_nothing(log: Log) -> None:
    log.decide(DECISION)
    given = [rate(log, reward) for reward in (1.0, 0.0, None, None, 0.5)]
    assert [(one.status, one.revision) for one in given] == [
        ("recorded", 1),
        ("updated", 2),
        ("revoked", 3),
        ("duplicate", 3),
        ("updated", 4),
    ]
    assert [(event.previous_reward, event.reward) for event in feedback(log)] == [
        (None, 1.0),
        (1.0, 0.0),
        (0.0, None),
        (None, 0.5),
    ]
    assert log.decision("d").reward == 0.5


def test_withdrawing_what_was_never_given_is_no_event(log: Log) -> None:
    log.decide(DECISION)
    nothing = Rating(decision_id="d", status="duplicate", revision=0, reward=None, teaches=True)
    assert rate(log, None) == nothing
    assert log.position() == 0


def test_each_rater_has_one_vote(log: Log) -> None:
    log.decide(DECISION)
    for rater, reward in (("ann", 0.0), ("bob", 1.0), ("ann", 1.0), ("eve", 0.25)):
        rate(log, reward, rater)
    assert log.decision("d").reward == pytest.approx((1.0 + 1.0 + 0.25) / 3)
    assert log.counts().rated == 1


def test_feedback_closes_with_its_window(log: Log) -> None:
    log.decide(DECISION)
    rate(log, 1.0, at_s=NOON_S + HOUR_S)
    with pytest.raises(FeedbackClosed, match="3601 s after"):
        rate(log, 0.0, at_s=NOON_S + HOUR_S + 1)


@pytest.mark.parametrize("reward", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_reward_outside_0_to_1_is_refused(log: Log, reward: float) -> None:
    log.decide(DECISION)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        rate(log, reward)


def test_feedback_credits_the_arm_that_answered(log: Log) -> None:
    log.decide(DECISION)
    log.settle(but(OUTCOME, arm="large"))
    rate(log, 1.0)
    assert [(event.arm, event.excluded) for event in feedback(log)] == [("large", False)]


def test_a_revision_takes_back_from_the_arm_the_first_one_credited(log: Log) -> None:
    log.decide(DECISION)
    rate(log, 1.0)
    log.settle(but(OUTCOME, arm="large", cache="hit"))
    rate(log, 0.0)
    assert [(event.arm, event.excluded) for event in feedback(log)] == [("small", False)] * 2


@pytest.mark.parametrize(
    ("changes", "excluded"),
    [
        ({}, False),
        ({"cache": "hit"}, True),
        ({"cache": "stale"}, True),
        ({"status": "error", "output_tokens": 0}, True),
        ({"status": "error", "output_tokens": 9, "ttft_s": None}, True),
        ({"status": "client_gone", "output_tokens": 0}, True),
        ({"status": "client_gone", "output_tokens": 9}, False),
    ],
)
def test_only_a_delivered_answer_of_an_arm_teaches(
    log: Log, changes: dict[str, object], excluded: bool
) -> None:
    log.decide(DECISION)
    log.settle(but(OUTCOME, **changes))
    rate(log, 1.0)
    assert [event.excluded for event in feedback(log)] == [excluded]


def test_a_stored_answer_teaches_nothing_even_if_it_is_rated_before_its_end(log: Log) -> None:
    log.decide(but(DECISION, kind="cached"))
    rate(log, 1.0)
    log.settle(but(OUTCOME, cache="hit"))
    assert [event.excluded for event in feedback(log)] == [True]


def test_events_of_every_kind_come_in_one_order_without_gaps(log: Log) -> None:
    log.adopt(POLICY)
    log.decide(DECISION)
    log.add_evals([EVAL, but(EVAL, arm="small")])
    log.settle(OUTCOME).wait()
    rate(log, 1.0)
    events = list(log.events())
    kinds = [PolicyEvent, EvalEvent, EvalEvent, OutcomeEvent, FeedbackEvent]
    assert [type(event) for event in events] == kinds
    assert [event.seq for event in events] == [1, 2, 3, 4, 5] == list(range(1, log.position() + 1))
    assert [event.seq for event in log.events(1, 4)] == [2, 3, 4]
    assert [event.seq for event in log.events(4, 99)] == [5]


def test_nothing_is_asked_for_once_a_page_is_whole(log: Log) -> None:
    asked: list[str] = []

    def ask(sql: str, values: Mapping[str, Any]) -> Sequence[Row]:
        asked.append(sql)
        return log.ask(sql, values)

    log.decide(DECISION)
    log.settle(OUTCOME)
    rate(log, 1.0)
    assert [type(event) for event in page(ask, 0, 1)] == [OutcomeEvent]
    assert len(asked) == 1
    assert [type(event) for event in page(ask, 0, 2)] == [OutcomeEvent, FeedbackEvent]
    assert len(asked) == 3


def test_an_event_carries_what_the_fold_needs(log: Log) -> None:
    log.adopt(POLICY)
    log.decide(DECISION)
    log.settle(OUTCOME)
    rate(log, 1.0)
    policy, outcome, rated = log.events()
    assert isinstance(policy, PolicyEvent)
    assert (policy.version, policy.hyper) == (1, POLICY.hyper)
    for event in (outcome, rated):
        assert isinstance(event, OutcomeEvent | FeedbackEvent)
        assert event.context.tolist() == DECISION.context.tolist()
        assert (event.sketch, event.feature_version) == (DECISION.sketch, 1)


def test_a_refused_event_leaves_no_gap(log: Log) -> None:
    log.decide(DECISION)
    log.settle(OUTCOME)
    with pytest.raises(InvalidInput):
        log.settle(OUTCOME).wait()
    rate(log, 1.0)
    assert [event.seq for event in log.events()] == [1, 2]


def test_more_events_than_a_page_come_in_order(log: Log) -> None:
    log.add_evals([but(EVAL, arm=f"arm-{i}") for i in range(2345)]).wait()
    assert [event.seq for event in log.events()] == list(range(1, 2346))


def test_an_evaluation_counts_once(log: Log) -> None:
    batch = [EVAL, EVAL, but(EVAL, arm="small")]
    assert log.add_evals(batch).wait() == 2
    assert log.add_evals(batch).wait() == 0
    assert log.add_evals([but(EVAL, batch="next")]).wait() == 1
    assert log.position() == 3


def test_policy_versions_only_rise(log: Log) -> None:
    assert log.latest_policy() is None
    log.adopt(POLICY).wait()
    log.adopt(but(POLICY, version=4, space=b"\x00npz")).wait()
    for version in (4, 3, 0):
        with pytest.raises(InvalidInput, match="give 5 or more"):
            log.adopt(but(POLICY, version=version)).wait()
    assert log.latest_policy() == but(POLICY, version=4, space=b"\x00npz", seq=2)
    assert log.policy_version(1) == but(POLICY, seq=1)
    with pytest.raises(InvalidInput, match="no policy version 2"):
        log.policy_version(2)


def test_retrains_come_newest_first_although_the_clock_was_ahead_at_one(log: Log) -> None:
    for n, at in enumerate([NOON_S, NOON_S + 1, NOON_S + 9e8, NOON_S + 2]):
        log.record_retrain(but(RETRAIN, id=f"{n}", started_at_s=at, report={"upto_seq": n})).wait()
    assert [retrain.id for retrain in log.retrains(limit=3)] == ["3", "2", "1"]
    assert log.retrains()[-1] == but(RETRAIN, id="0", report={"upto_seq": 0})


def test_decisions_come_newest_first_and_page_by_page(log: Log) -> None:
    for i in range(1203):
        ticket = log.decide(but(DECISION, id=f"d{i:04}", decided_at_s=NOON_S + i // 3))
    ticket.wait()
    everything = [round_.decision.id for round_ in log.decisions()]
    assert everything == [f"d{i:04}" for i in reversed(range(1203))]
    assert [one.decision.id for one in log.decisions(limit=501)] == everything[:501]
    between = log.decisions(since_s=NOON_S + 1, until_s=NOON_S + 2)
    assert [one.decision.id for one in between] == ["d0005", "d0004", "d0003"]
    assert [one.id for one in log.recent(2)] == ["d1201", "d1202"]


def test_decisions_can_be_narrowed_to_a_tenant_or_to_rated_ones(log: Log) -> None:
    log.decide(DECISION)
    log.decide(but(DECISION, id="e", tenant="rival"))
    rate(log, 0.0)
    assert [one.decision.id for one in log.decisions(rated_only=True)] == ["d"]
    assert [one.decision.id for one in log.decisions(tenant="rival")] == ["e"]
    rate(log, None)
    assert list(log.decisions(rated_only=True)) == []


def test_a_rating_that_credits_no_arm_makes_no_decision_a_rated_one(log: Log) -> None:
    log.decide(DECISION)
    rate(log, 1.0, "ann")  # amid a stream that broke off afterwards, and another arm went on
    log.settle(but(OUTCOME, status="continued"))
    rate(log, 0.0, "bob")
    assert [one.reward for one in log.decisions(rated_only=True)] == [1.0]
    assert log.decision("d").reward == 0.5
    rate(log, None, "ann")
    assert list(log.decisions(rated_only=True)) == []
    assert [one.reward for one in log.decisions()] == [0.0]


def test_counts_and_spend_add_up(log: Log) -> None:
    for i in range(4):
        log.decide(but(DECISION, id=f"d{i}", tenant="acme" if i else "rival"))
        log.settle(but(OUTCOME, decision_id=f"d{i}", at_s=NOON_S + i, cost_usd=0.5)).wait()
    log.rate("d1", "ann", 1.0, at_s=NOON_S + 60, tenant="acme", window_s=HOUR_S)
    for identity, at_s, upto_seq in (("r1", NOON_S + 1e8, 1), ("r2", NOON_S, log.position())):
        # The clock was years ahead, and was then set right: what came when is told by `seq`.
        record = but(RETRAIN, id=identity, started_at_s=at_s, report={"upto_seq": upto_seq})
        log.record_retrain(record).wait()
    for i in range(5):  # who wavers has one vote all the same
        log.rate("d2", "ann", i % 2, at_s=NOON_S + 40 + i, tenant="acme", window_s=HOUR_S)
    counts = log.counts()
    assert (counts.decisions, counts.outcomes, counts.rated) == (4, 4, 2)
    assert counts.feedback_since_retrain == 1
    log.rate("d2", "bob", 1.0, at_s=NOON_S + 50, tenant="acme", window_s=HOUR_S)
    assert log.counts().feedback_since_retrain == 2
    assert log.spend_usd(NOON_S + 1) == 1.5


def test_a_decision_without_an_end_is_abandoned_at_its_estimated_cost(log: Log) -> None:
    log.decide(DECISION)
    log.decide(but(DECISION, id="answered"))
    log.attempt(but(ATTEMPT, decision_id="answered", status="ok", cost_usd=0.5))
    log.decide(but(DECISION, id="settled"))
    log.settle(but(OUTCOME, decision_id="settled"))
    log.decide(but(DECISION, id="unpriced", policy="word_count", cost_usd_predicted=()))
    log.decide(but(DECISION, id="again", kind="cached"))
    log.decide(but(DECISION, id="young", decided_at_s=NOON_S + 100))
    assert log.abandon(NOON_S + 50, at_s=NOON_S + 200) == 4
    assert log.abandon(NOON_S + 50, at_s=NOON_S + 201) == 0
    lost, answered, again = (log.decision(one).outcome for one in ("d", "answered", "again"))
    assert lost is not None
    assert answered is not None
    assert again is not None
    assert (again.cost_usd, again.attempts) == (0.0, 0)
    assert (lost.status, lost.cost_usd, lost.attempts) == ("abandoned", 0.001, 0)
    assert (answered.cost_usd, answered.attempts) == (0.5, 1)
    assert log.decision("young").outcome is None


def test_feedback_on_an_abandoned_decision_is_taken(log: Log) -> None:
    log.decide(DECISION)
    log.abandon(NOON_S + 50, at_s=NOON_S + 50)
    assert rate(log, 1.0).status == "recorded"


def test_what_is_handed_over_is_recorded_once_and_whole(log: Log) -> None:
    given: list[HandoverRow] = [EVAL, but(POLICY, version=2), but(RETRAIN, promoted=True)]
    assert log.receive("h", "retrain", NOON_S, given).wait() is True
    assert log.receive("h", "retrain", NOON_S, given).wait() is False
    stale: list[HandoverRow] = [but(EVAL, batch="c"), but(POLICY, version=2)]
    with pytest.raises(InvalidInput):
        log.receive("i", "retrain", NOON_S, stale).wait()
    assert log.position() == 2
    assert log.receive("i", "evals", NOON_S, [but(EVAL, batch="c")]).wait() is True


def test_a_subscriber_is_told_before_the_writer_goes_on(log: Log) -> None:
    log.decide(DECISION).wait()
    told: list[Event] = []
    log.subscribe(told.extend)
    log.settle(OUTCOME).wait()
    assert [event.seq for event in told] == [1]
    rate(log, 1.0)
    assert [event.seq for event in told] == [1, 2]


def test_a_subscriber_catches_up_from_where_it_stands(log: Log) -> None:
    log.add_evals([but(EVAL, arm=f"arm-{i}") for i in range(5)]).wait()
    late: list[int] = []
    log.subscribe(lambda events: late.extend(event.seq for event in events), after_seq=3)
    assert late == [4, 5]
    log.add_evals([EVAL]).wait()
    assert late == [4, 5, 6]


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "😀", "'; DROP TABLE x; --"])
def test_any_text_is_kept_or_replaced_but_never_fails(log: Log, text: str) -> None:
    log.decide(but(DECISION, task=text))
    rate(log, 1.0, rater=text, comment=text)
    kept = text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert log.decision("d").decision.task == kept
    assert feedback(log)[0].rater == kept
    with pytest.raises(UnknownDecision):
        log.decision(text, text)
