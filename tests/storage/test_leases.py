"""A lease has one holder at a time, and whoever has lost it writes nothing under it."""

import time

import pytest

from policy.errors import InvalidInput
from storage.leases import Fenced, fenced
from storage.log import Log
from storage.recorder import HandoverRow
from storage.records import Fence
from tests.storage.conftest import OpenLog
from tests.storage.rounds import EVAL, NOON_S, POLICY


def test_one_at_a_time_and_each_with_a_higher_token(log: Log) -> None:
    assert log.lease("retrain", "ann", 60.0) == 1
    assert log.lease("retrain", "bob", 60.0) is None
    assert log.lease("another", "bob", 60.0) == 1
    log.give_back(Fence(name="retrain", token=1))
    assert log.lease("retrain", "bob", 60.0) == 2


def test_a_lease_can_be_kept_and_is_not_given_back_by_another(log: Log) -> None:
    assert log.lease("retrain", "ann", 60.0) == 1
    assert log.lease("retrain", "ann", 60.0) == 1
    log.give_back(Fence(name="retrain", token=7))
    assert log.lease("retrain", "bob", 60.0) is None


def test_a_lease_ends_by_the_clock_of_the_store(log: Log) -> None:
    assert log.lease("retrain", "ann", 0.05) == 1
    time.sleep(0.2)
    assert log.lease("retrain", "bob", 60.0) == 2
    assert log.lease("retrain", "ann", 60.0) is None


def test_a_lease_of_before_the_clock_was_set_back_holds_up_nobody(log: Log) -> None:
    assert log.lease("retrain", "ann", 60.0 + 3 * 3_600.0) == 1  # as of a clock three hours ahead
    assert log.lease("retrain", "bob", 60.0) == 2
    assert log.lease("retrain", "eve", 60.0) is None


def test_what_was_made_under_a_lease_that_is_lost_is_void(log: Log) -> None:
    def given(token: int) -> list[HandoverRow]:
        return [Fence(name="retrain", token=token), POLICY, EVAL]

    log.lease("retrain", "ann", 0.0)
    log.lease("retrain", "bob", 60.0)
    with pytest.raises(InvalidInput, match="token 1 is shown, and 2 counts"):
        log.receive("late", "retrain", NOON_S, given(1)).wait()
    assert (log.latest_policy(), log.position()) == (None, 0)
    assert log.receive("mine", "retrain", NOON_S, given(2)).wait() is True
    assert log.position() == 2
    assert fenced(log.ask) == [Fenced(name="retrain", token=2, counted=2, holder="bob")]


def test_a_lease_outlives_its_holder(open_log: OpenLog) -> None:
    with open_log() as log:
        log.lease("retrain", "ann", 60.0)
    with open_log() as log:
        assert log.lease("retrain", "bob", 60.0) is None
