"""Decisions that died without an end are found without holding up whoever writes."""

import pytest

from storage import abandoning
from storage.log import Log
from storage.sql import Sql, Values
from tests.storage.rounds import DECISION, NOON_S, OUTCOME, but


def test_a_writer_looks_for_what_was_abandoned_from_the_first_of_it_on(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = list[Values]()

    def abandon(db: Sql, between: Values, at_s: float) -> int:
        looked.append(dict(between))
        return abandoning_of(db, between, at_s)

    abandoning_of = abandoning.abandon
    monkeypatch.setattr(abandoning, "abandon", abandon)
    log.decide(but(DECISION, id="settled"))
    log.settle(but(OUTCOME, decision_id="settled"))
    log.decide(but(DECISION, decided_at_s=NOON_S + 20))
    assert [log.abandon(NOON_S + 50, at_s=NOON_S + 200) for _ in range(2)] == [1, 0]
    assert [each["since_s"] for each in looked] == [NOON_S + 20, NOON_S + 50]
