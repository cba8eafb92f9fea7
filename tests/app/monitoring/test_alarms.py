"""Alarms: raised once and over once, kept over restarts, told to a webhook that may fail."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from app.monitoring import alarms as module
from app.monitoring.alarms import LOOK_EVERY_S, Alarms
from app.monitoring.lookout import Alarm, Lookout
from policy.errors import StoreUnavailable
from storage.log import Log
from storage.sqlite_log import SqliteLog
from tests.app.monitoring.test_metrics import scraped, value
from tests.app.receiver import receiving
from tests.app.running import Provider, Running, eventually, running

NOW_S = 1_700_000_000.0
SLOW = Alarm("latency", "gpt-4o", "warning", "it is slow", "look", NOW_S)
SPENT = Alarm("budget", "", "warning", "90 % is spent", "raise it", NOW_S)


class Sights(Lookout):
    """What a test says there is to see."""

    seen: ClassVar[list[Alarm]] = []

    def __init__(self) -> None: ...

    def usual(self, now_s: float) -> Any:
        return {}

    def found(self, now_s: float, before: Any, were: Any) -> Iterator[Alarm]:
        return iter([replace(alarm, since_s=now_s) for alarm in Sights.seen])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with SqliteLog(tmp_path / "turnpike.db") as made:
        yield made


def watching(log: Log, url: str | None = None, holder: str = "me") -> Alarms:
    return Alarms(Sights(), log, url, holder)


class Costly(Sights):
    """What cannot be looked at for want of memory."""

    def usual(self, now_s: float) -> Any:
        raise MemoryError


def test_a_look_that_memory_does_not_suffice_for_leaves_the_alarms_as_they_were(log: Log) -> None:
    Sights.seen = [SLOW]
    watching(log).round(NOW_S)
    with capture_logs() as told:
        watch = Alarms(Costly(), log, None, "me")
        watch.round(NOW_S + LOOK_EVERY_S)
    assert [line["log_level"] for line in told] == ["error"]
    assert [alarm.key for alarm in watch.open] == [SLOW.key]


def test_an_alarm_has_since_when_it_is_raised_and_goes_when_it_is_over(log: Log) -> None:
    watch = watching(log)
    Sights.seen = [SLOW]
    watch.round(NOW_S)
    watch.round(NOW_S + LOOK_EVERY_S)
    [alarm] = watch.open
    assert (alarm.key, alarm.since_s) == (SLOW.key, NOW_S)
    Sights.seen = [SPENT]
    watch.round(NOW_S + 2 * LOOK_EVERY_S)
    assert [alarm.key for alarm in watch.open] == [SPENT.key]


def test_each_change_is_told_once_in_order_although_the_receiver_fails_first(log: Log) -> None:
    with receiving(500, 0, 404) as receiver:
        watch = watching(log, receiver.url)
        Sights.seen = [SLOW]
        at_s = NOW_S
        while not receiver.taken:
            watch.round(at_s)
            at_s += 0.25
        assert at_s - NOW_S >= 1.0 + 2.0 + 4.0  # it waited twice as long after each failure
        assert receiver.tries == 4
        for _ in range(200):
            watch.round(at_s := at_s + 1.0)
        assert receiver.tries == 4
        Sights.seen = [replace(SPENT, severity="critical")]
        watch.round(at_s := at_s + LOOK_EVERY_S)
        watch.round(at_s + 1.0)
    told = [
        (each["alarm" if "alarm" in each else "name"], each["state"]) for each in receiver.taken
    ]
    assert told == [("latency", "raised"), ("budget", "raised"), ("latency", "over")]
    assert receiver.taken[0]["text"] == "Turnpike: latency raised: gpt-4o: it is slow (look)"
    assert receiver.taken[1]["severity"] == "critical"
    assert len({each["id"] for each in receiver.taken}) == 3


def test_a_clock_that_is_set_back_keeps_no_alarm_from_being_told(log: Log) -> None:
    with receiving(500) as receiver:
        watch = watching(log, receiver.url)
        Sights.seen = [SLOW]
        watch.round(NOW_S)
        watch.round(NOW_S - 3_600.0)
        assert [each["name"] for each in receiver.taken] == ["latency"]


def test_an_alarm_that_becomes_graver_is_told_again(log: Log) -> None:
    with receiving() as receiver:
        watch = watching(log, receiver.url)
        for n, severity in enumerate(("warning", "critical", "critical")):
            Sights.seen = [replace(SPENT, severity=severity)]
            watch.round(NOW_S + n * LOOK_EVERY_S)
    assert [each["severity"] for each in receiver.taken] == ["warning", "critical"]


def test_a_restart_tells_what_was_not_told_and_nothing_twice(log: Log) -> None:
    Sights.seen = [SLOW, SPENT]
    with receiving(200, 500) as receiver:
        first = watching(log, receiver.url)
        first.round(NOW_S)
        first.round(NOW_S + 0.25)
        assert (receiver.tries, len(receiver.taken)) == (2, 1)
        second = watching(log, receiver.url)
        for n in range(20):
            second.round(NOW_S + 60 + n)
    assert [each["name"] for each in receiver.taken] == ["latency", "budget"]
    assert [alarm.since_s for alarm in second.open] == [NOW_S, NOW_S]


def test_of_two_processes_one_tells_and_both_show(log: Log) -> None:
    Sights.seen = [SLOW]
    with receiving() as receiver:
        ours, theirs = (watching(log, receiver.url, holder) for holder in ("a", "b"))
        for n in range(4):
            for watch in (ours, theirs):
                watch.round(NOW_S + n * LOOK_EVERY_S)
        assert [alarm.key for alarm in theirs.open] == [SLOW.key]
    assert len(receiver.taken) == 1


class Hanging:
    """A log that cannot be reached while it `is_away`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away and name != "standing":
            raise StoreUnavailable("the log cannot be reached")
        return getattr(self._log, name)


@pytest.mark.parametrize("kept", [[], [SLOW]])
def test_that_the_log_is_back_is_told_once_by_whoever_looks_then(
    log: Log, kept: list[Alarm]
) -> None:
    Sights.seen, hanging = kept, Hanging(log)
    with receiving() as receiver:
        ours, theirs = (watching(hanging, receiver.url, holder) for holder in ("a", "b"))
        for n, hanging.is_away in enumerate([False, True, False, False]):
            if n == 2:
                ours.stop()
            for watch in (theirs, ours) if n >= 2 else (ours, theirs):
                for _ in range(3):
                    watch.round(NOW_S + n * LOOK_EVERY_S)
    told = [(each["name"], each["state"]) for each in receiver.taken if each["name"] == "log"]
    assert told == [("log", "raised"), ("log", "over")]
    assert [alarm.key for alarm in ours.open] == [alarm.key for alarm in kept]


def test_a_log_that_is_away_since_the_start_is_told_at_once(log: Log) -> None:
    Sights.seen, hanging = [], Hanging(log)
    with receiving() as receiver:
        watch = watching(hanging, receiver.url)
        for n, hanging.is_away in enumerate([True, True, False]):
            watch.round(NOW_S + n * LOOK_EVERY_S)
            assert len(receiver.taken) == (1 if hanging.is_away else 2)
    assert [each["state"] for each in receiver.taken] == ["raised", "over"]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(module, "TELL_EVERY_S", 0.05)
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.1)


def test_whoever_comes_after_one_that_was_stopped_looks_at_once(log: Log) -> None:
    first, second = watching(log, holder="first"), watching(log, holder="second")
    Sights.seen = []
    first.round(NOW_S)
    first.stop()
    Sights.seen = [SLOW]
    second.round(NOW_S)
    assert [alarm.key for alarm in second.open] == [SLOW.key]


@pytest.mark.slow
def test_a_running_service_shows_its_alarms_everywhere_and_no_request_waits(
    tmp_path: Path, provider: Provider, hurried: None
) -> None:
    dials = {"budget_usd": 2e-4, "budget_per": "day", "control_share": 0.0}
    with (
        receiving(500, 500) as receiver,
        running(tmp_path, sandbox_url=provider.url, alarm_webhook=receiver.url, **dials) as service,
    ):
        spend(service)
        assert eventually(lambda: bool(receiver.taken), 30.0)
        [alarm] = service.get("/policy")["alarms"]
        found = scraped(service)
        page = service.client.get("/").text
    assert (alarm["name"], receiver.taken[0]["name"]) == ("budget", "budget")
    assert alarm["since_s"] <= time.time()
    severity = alarm["severity"]
    assert value(found, "alarms", alarm="budget", arm="", severity=severity) == 1
    assert "for this day is spent" in page
    assert "s3cret" not in page


def spend(service: Running) -> None:
    for n in range(200):
        made = service.post("/complete", {"prompt": f"What is {n} + 4?", "max_tokens": 5})
        if made.status_code == 429:
            return
