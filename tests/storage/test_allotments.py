"""Pieces of a shared budget never add up to more than it, whoever takes them and when."""

import dataclasses
import random

import pytest

from policy.books import Elsewhere
from policy.types import HOUR_S
from storage import allotments
from storage.allotments import Allotment, Wish
from storage.log import Log
from tests.storage.conftest import OpenLog
from tests.storage.test_log_threads import in_parallel

WISH = Wish(budget="service", process="ann", span=7, usd=2.0, limit_usd=10.0, rate_hz=3.0)


def wish(**changes: object) -> Wish:
    return dataclasses.replace(WISH, **changes)  # type: ignore[arg-type]


def test_a_wish_is_granted_as_far_as_others_leave_something(log: Log) -> None:
    assert log.allot(wish()).wait() == Allotment(2.0, Elsewhere())
    theirs = Elsewhere(taken_usd=2.0, rate_hz=3.0)
    assert log.allot(wish(process="bob", usd=9.0, rate_hz=1.0)).wait() == Allotment(8.0, theirs)
    assert log.allot(wish(usd=3.0)).wait() == Allotment(2.0, Elsewhere(taken_usd=8.0, rate_hz=1.0))


def test_what_is_given_back_is_there_for_others(log: Log) -> None:
    log.allot(wish(usd=10.0)).wait()
    assert log.allot(wish(process="bob")).wait().usd == 0.0
    log.allot(wish(usd=1.0)).wait()
    assert log.allot(wish(process="bob", usd=10.0)).wait().usd == 9.0


def test_what_was_spent_beyond_a_piece_is_not_there_for_others(log: Log) -> None:
    log.allot(wish()).wait()
    assert log.allot(wish(process="bob", usd=9.5, spent_usd=9.5)).wait().usd == 8.0
    assert log.allot(wish()).wait().usd == 0.5


def test_each_span_and_each_budget_is_its_own(log: Log) -> None:
    log.allot(wish(usd=10.0)).wait()
    assert log.allot(wish(process="bob", span=8)).wait().usd == 2.0
    assert log.allot(wish(process="bob", budget="a key")).wait().usd == 2.0


def test_a_piece_is_forgotten_two_days_after_it_was_last_heard_of(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = "SELECT process FROM allotments WHERE budget = 'service' ORDER BY process"

    def at(hour: int, process: str, budget: str = "service") -> list[str]:
        monkeypatch.setattr(allotments, "NOW", f"SELECT {hour * HOUR_S} AS now_s")
        log.allot(wish(process=process, budget=budget)).wait()
        return [row["process"] for row in log.ask(processes, {})]

    at(100, "ann")
    at(101, "bob")
    assert at(148, "cid") == ["ann", "bob", "cid"]
    assert at(149, "cid", budget="a key") == ["ann", "bob", "cid"]
    assert at(149, "cid") == ["bob", "cid"]


@pytest.mark.parametrize("span", [9, 7 * 24])
def test_who_has_a_wrong_clock_or_counts_in_hours_deletes_nothing_of_today(
    log: Log, span: int
) -> None:
    log.allot(wish(usd=9.0)).wait()
    log.allot(wish(process="skewed", span=span)).wait()
    assert log.allot(wish(process="bob")).wait().usd == 1.0


def test_what_was_spent_before_anybody_shared_counts(log: Log) -> None:
    assert log.allot(wish(usd=9.0, before_usd=4.0)).wait() == Allotment(
        6.0, Elsewhere(4.0, 4.0, 4.0)
    )
    then = log.allot(wish(process="bob", before_usd=4.0)).wait().elsewhere
    assert then == Elsewhere(taken_usd=10.0, spent_usd=4.0, gone_usd=4.0, rate_hz=3.0)


def test_what_was_spent_without_a_budget_later_in_the_day_counts_too(log: Log) -> None:
    log.allot(wish(usd=1.0, spent_usd=1.0, before_usd=0.5)).wait()
    noon = log.allot(wish(process="bob", usd=9.0, before_usd=4.0)).wait()
    assert noon == Allotment(6.0, Elsewhere(4.0, 4.0, 4.0, rate_hz=3.0))
    log.allot(wish(process="bob", usd=1.0, spent_usd=1.0, before_usd=4.0)).wait()
    for _ in range(2):
        evening = log.allot(wish(process="cid", usd=9.0, before_usd=8.0)).wait()
        assert evening == Allotment(2.0, Elsewhere(8.0, 8.0, 8.0, rate_hz=6.0))


def test_what_others_took_and_have_not_spent_covers_what_the_log_knows_of(log: Log) -> None:
    log.allot(wish(usd=5.0)).wait()
    assert log.allot(wish(process="bob", before_usd=4.0)).wait().elsewhere.taken_usd == 5.0
    log.allot(wish(usd=1.0, spent_usd=1.0)).wait()
    assert log.allot(wish(process="bob", before_usd=4.0)).wait().elsewhere.taken_usd == 4.0


def test_what_was_spent_before_is_kept_of_each_span(log: Log) -> None:
    log.allot(wish(before_usd=4.0)).wait()
    log.allot(wish(process="bob", span=8, before_usd=3.0)).wait()
    assert log.allot(wish()).wait().elsewhere.taken_usd == 4.0


def test_of_who_is_heard_of_only_what_is_spent_is_gone_of_others_all_they_took(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.allot(wish(usd=3.0, spent_usd=0.5)).wait()
    log.allot(wish(process="old", span=6, usd=3.0, spent_usd=2.0)).wait()
    heard = log.allot(wish(process="bob", spent_usd=0.25)).wait().elsewhere
    assert heard == Elsewhere(taken_usd=3.0, spent_usd=0.5, gone_usd=0.5, rate_hz=6.0)
    monkeypatch.setattr(allotments, "FRESH_S", -1.0)
    dead = log.allot(wish(process="bob")).wait().elsewhere
    assert dead == Elsewhere(taken_usd=3.0, spent_usd=0.5, gone_usd=3.0, rate_hz=0.0)


def test_it_is_still_known_after_a_restart(open_log: OpenLog) -> None:
    with open_log() as log:
        log.allot(wish(usd=6.0)).wait()
    with open_log() as log:
        assert log.allot(wish(process="ann again", usd=9.0)).wait().usd == 4.0


@pytest.mark.parametrize("seed", range(3))
def test_many_takers_never_have_more_than_there_is(log: Log, seed: int) -> None:
    rng = random.Random(seed)
    wishes = [(f"p{rng.randrange(5)}", rng.uniform(0, 6)) for _ in range(200)]
    held: dict[str, float] = {}
    over: list[float] = []

    def take(i: int) -> None:
        process, usd = wishes[i]
        got = log.allot(wish(process=process, usd=usd)).wait()
        held[process] = got.usd
        taken_usd = got.usd + got.elsewhere.taken_usd
        over.extend([taken_usd] * (taken_usd > 10.0 + 1e-9))

    in_parallel(take, len(wishes))
    assert over == []
