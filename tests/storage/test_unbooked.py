"""What rows cost that wait in the spool counts once: there, or in the log that has them."""

from pathlib import Path

import pytest

from storage.log import Log
from storage.spool import Spare, Spool, Spooling
from storage.sqlite_log import SqliteLog
from storage.unbooked import Unbooked
from tests.storage.rounds import ATTEMPT, DECISION, NOON_S, OUTCOME, but

PREDICTED_USD = DECISION.cost_usd_predicted[0]


def test_what_waits_counts_for_its_key_until_the_log_has_it(log: Log) -> None:
    log.decide(but(DECISION, id="known", key_id="k")).wait()
    ends = [but(OUTCOME, decision_id="known", cost_usd=1.0), but(OUTCOME, cost_usd=2.0)]
    waiting = [Spare.of(each, 0) for each in (*ends, but(DECISION, key_id="l"))]
    unbooked = Unbooked(waiting, log.ask)
    assert [unbooked.usd(NOON_S, key) for key in (None, "k", "l", "m")] == [3.0, 1.0, 2.0, 0.0]
    assert [unbooked.usd(NOON_S, None, arm) for arm in (OUTCOME.arm, "other")] == [3.0, 0.0]
    assert unbooked.usd(NOON_S + 3, None) == 0.0
    log.settle(ends[0]).wait()
    assert [unbooked.usd(NOON_S, key) for key in (None, "k", "l")] == [2.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("status", "usd"), [("timeout", 0.5 + PREDICTED_USD), ("ok", 0.5), (None, PREDICTED_USD)]
)
def test_a_decision_without_an_end_costs_what_it_does_once_it_is_given_up(
    log: Log, status: str | None, usd: float
) -> None:
    waiting = [Spare.of(DECISION, 0)]
    if status is not None:
        tried = [but(ATTEMPT, status=status, cost_usd=0.5), but(ATTEMPT, decision_id="e")]
        waiting += [Spare.of(each, 0) for each in tried]
    assert Unbooked(waiting, log.ask).usd(NOON_S, None) == pytest.approx(usd)


def test_it_is_read_from_the_spool_of_the_process_before(tmp_path: Path) -> None:
    path, spooling = tmp_path / "turnpike.db", Spooling(65_536)
    SqliteLog(path).close()
    before = Spool.beside(path, spooling)
    before.keep("the disk is full", [Spare.of(DECISION, 0), Spare.of(OUTCOME, 0)])
    before.close()
    with SqliteLog(path, spooling=spooling) as log:
        unbooked = log.unbooked()
        assert unbooked.usd(NOON_S, None) == OUTCOME.cost_usd
        log.bring_back()
        assert (unbooked.usd(NOON_S, None), log.spend_usd(NOON_S)) == (0.0, OUTCOME.cost_usd)
