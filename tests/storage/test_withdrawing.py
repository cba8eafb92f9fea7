"""Evals by the file they came from: withdrawn they stay in the log, and do not count."""

from dataclasses import replace

import pytest

from storage.events import EvalEvent
from storage.log import Log
from storage.records import Withdrawal
from storage.withdrawing import Batch, batches
from tests.storage.rounds import EVAL, NOON_S

FIRST, SECOND = "a1" * 32, "b2" * 32


@pytest.fixture
def imported(log: Log) -> Log:
    """A log with two files: of the first, one prompt stands in two rows."""
    first = replace(EVAL, batch=FIRST)
    rows = [first, replace(first, batch=f"{FIRST}.2"), replace(first, arm="another")]
    log.add_evals([*rows, replace(first, batch=SECOND, at_s=NOON_S + 60)]).wait()
    return log


def withdrawn(log: Log, at_s: float, batch: str, now: bool = True) -> None:
    log.receive(f"{at_s}", "withdraw", at_s, [Withdrawal(batch=batch, withdrawn=now)]).wait()


def test_every_file_is_listed_with_what_it_holds(imported: Log) -> None:
    first = Batch(batch=FIRST, at_s=EVAL.at_s, scores=3, prompts=1, arms=2, withdrawn=False)
    second = replace(first, batch=SECOND, at_s=NOON_S + 60, scores=1, arms=1)
    assert batches(imported.ask) == sorted([first, second], key=lambda each: each.at_s)
    assert batches(imported.ask, "A1a1") == [first]
    assert batches(imported.ask, "c") == []


def test_a_file_that_is_withdrawn_teaches_nothing_until_that_is_taken_back(imported: Log) -> None:
    assert imported.received_at_s("withdraw") == 0.0
    for n, now in enumerate((True, False)):
        withdrawn(imported, NOON_S + n, FIRST, now)
        assert imported.received_at_s("withdraw") == NOON_S + n
        events = [each for each in imported.events() if isinstance(each, EvalEvent)]
        assert [each.teaches for each in events] == [not now] * 3 + [True]
        assert imported.counts().evals == (1 if now else 4)
        assert [each.withdrawn for each in batches(imported.ask, FIRST)] == [now]


def test_the_rest_of_a_file_that_comes_after_it_was_withdrawn_is_withdrawn_too(log: Log) -> None:
    first, second = replace(EVAL, batch=FIRST), replace(EVAL, batch=SECOND, score=0.25)
    rest = [replace(first, arm="another"), replace(first, batch=f"{FIRST}.2")]
    log.add_evals([first, second]).wait()
    withdrawn(log, NOON_S, FIRST)
    assert log.add_evals([first, *rest]).wait() == len(rest)
    withdrawn(log, NOON_S + 1, SECOND)
    withdrawn(log, NOON_S + 2, SECOND, now=False)
    log.add_evals([replace(second, arm="another")]).wait()
    taught = [each.score for each in log.events() if isinstance(each, EvalEvent) and each.teaches]
    assert taught == [second.score, second.score]
