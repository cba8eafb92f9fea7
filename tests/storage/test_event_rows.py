"""What a stretch of the log says of time: only what teaches lets any pass."""

from storage.events import FeedbackEvent, OutcomeEvent
from storage.log import Log
from tests.storage.rounds import DECISION, EVAL, NOON_S, OUTCOME, but

TAUGHT = {"status": "error"}, {"cache": "hit"}, {"usage_estimated": True}, {}


def test_the_newest_moment_is_that_of_an_event_that_teaches(log: Log) -> None:
    log.add_evals([but(EVAL, at_s=NOON_S + 900)]).wait()
    for n, more in enumerate(TAUGHT):
        log.decide(but(DECISION, id=f"d{n}")).wait()
        log.settle(but(OUTCOME, decision_id=f"d{n}", at_s=NOON_S + 100 - n, **more)).wait()
    log.rate("d3", "ann", 1.0, at_s=NOON_S + 50, tenant="acme", window_s=1e6)
    log.rate("d1", "ann", 1.0, at_s=NOON_S + 60, tenant="acme", window_s=1e6)  # of a stored answer
    for low in range(7):
        for high in range(low, 8):
            teaching = [
                event.at_s
                for event in log.events(low, high)
                if isinstance(event, OutcomeEvent | FeedbackEvent) and event.teaches
            ]
            assert log.newest_lesson_s(low, high) == max(teaching, default=0.0)
    assert log.newest_lesson_s(0, 7) == NOON_S + 97
    assert log.newest_lesson_s(6, 7) == 0.0


def test_whether_a_rating_is_the_first_of_its_answer_is_told(log: Log) -> None:
    log.decide(DECISION).wait()
    log.settle(OUTCOME).wait()
    given = (("ann", 1.0), ("ben", 0.0), ("ann", 0.5), ("ann", None), ("ann", 1.0), ("ben", None))
    for n, (rater, reward) in enumerate(given):
        log.rate(DECISION.id, rater, reward, at_s=NOON_S + n, tenant="acme", window_s=1e6)
    told = [event.is_first for event in log.events() if isinstance(event, FeedbackEvent)]
    assert told == [True, False, True, False, False, False]
