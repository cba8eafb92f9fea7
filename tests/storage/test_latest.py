"""The newest result of each kind takes the place of the last, and of two only one does."""

import time

import pytest

from storage.latest import Latest
from storage.log import Log
from tests.storage.rounds import NOON_S


def made(version: int, at_s: float = NOON_S, **body: object) -> Latest:
    return Latest(name="report", at_s=at_s, version=version, body=body)


def test_there_is_none_before_the_first(log: Log) -> None:
    assert log.latest("report") is None


def test_a_result_is_read_back_and_replaced(log: Log) -> None:
    assert log.replace(made(1, days=[1, 2], name="a")).wait() is True
    assert log.latest("report") == made(1, days=[1, 2], name="a")
    assert log.replace(made(2, days=[])).wait() is True
    assert log.latest("report") == made(2, days=[])
    assert log.latest("alarms") is None


def test_of_two_who_replace_the_same_one_only_one_does(log: Log) -> None:
    log.replace(made(1)).wait()
    assert log.replace(made(2, by="first")).wait() is True
    assert log.replace(made(2, by="second")).wait() is False
    found = log.latest("report")
    assert found is not None
    assert found.body == {"by": "first"}


def test_what_is_handed_over_takes_the_place_of_what_is_older(log: Log) -> None:
    log.receive("h1", "report", NOON_S, [made(1, NOON_S, n=1)]).wait()
    log.receive("h2", "report", NOON_S, [made(1, NOON_S + 5, n=2)]).wait()
    log.receive("h3", "report", NOON_S, [made(1, NOON_S - 5, n=3)]).wait()
    assert log.latest("report") == made(1, NOON_S + 5, n=2)


def test_what_has_seen_the_last_one_replaces_it_also_when_the_clock_was_ahead(log: Log) -> None:
    log.receive("h1", "report", NOON_S, [made(1, NOON_S + 1e8, n=1)]).wait()
    log.receive("h2", "report", NOON_S, [made(2, NOON_S, n=2)]).wait()
    log.receive("h3", "report", NOON_S, [made(1, NOON_S + 1e8, n=3)]).wait()
    assert log.latest("report") == made(2, NOON_S, n=2)


@pytest.mark.parametrize("erased", ["forget", "distrust"])
def test_what_was_begun_before_somebody_was_forgotten_or_distrusted_is_not_taken(
    log: Log, erased: str
) -> None:
    begun_s = time.time() - 60.0
    log.receive("f", erased, begun_s + 5, []).wait()
    log.receive("h1", "report", begun_s + 9, [made(1, begun_s, acme="told")]).wait()
    assert log.latest("report") is None
    log.receive("h2", "report", begun_s + 9, [made(1, begun_s + 6)]).wait()
    assert log.latest("report") == made(1, begun_s + 6)


def test_somebody_forgotten_while_the_clock_was_ahead_keeps_no_later_report_away(log: Log) -> None:
    log.receive("f", "forget", time.time() + 1e7, []).wait()
    log.receive("h", "report", time.time(), [made(1, time.time() - 5, n=1)]).wait()
    assert log.latest("report") is not None
