"""The calls of many decisions at once are those of each."""

from storage.calls import calls
from storage.log import Log
from tests.storage.rounds import ATTEMPT, DECISION, NOON_S, but


def test_calls_between_two_moments_are_those_of_each_decision(log: Log) -> None:
    for n in range(4):
        log.decide(but(DECISION, id=f"d{n}", decided_at_s=NOON_S + n)).wait()
        for call in range(n):
            log.attempt(but(ATTEMPT, decision_id=f"d{n}", n=call + 1)).wait()
    found = calls(log.ask, NOON_S, NOON_S + 2)
    assert found == {f"d{n}": log.attempts(f"d{n}") for n in (1, 2)}
    assert calls(log.ask, NOON_S + 4, NOON_S + 9) == {}
