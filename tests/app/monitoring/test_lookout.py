"""What is found in the log, of the arms, the budget and the ratings, each with a remedy."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
import pytest

from app.figures import moment
from app.mode import beside_log
from app.monitoring.lookout import LATELY_S, Alarm, Lookout, Usual
from app.processes import keeper
from app.routing.treasury import SERVICE
from app.routing.votes import Votes
from jobs.failures import follow
from policy.pacer import SECONDS
from storage import allotments
from storage.allotments import Wish
from tests.app.faulty import broken, faulty, good
from tests.app.running import Provider, Running, eventually, running
from tests.storage.rounds import DECISION, OUTCOME, RETRAIN, but

HOUR_S = 3_600.0
AVERAGE = np.zeros(64)
AVERAGE[-1] = 1.0
DECIDED = but(DECISION, context=AVERAGE, feature_version=0)


def lookout(service: Running) -> Lookout:
    parts = service.parts
    arms, votes = (lambda: parts.catalogue().arms), Votes(parts.log, ())
    return Lookout(parts.settings, arms, parts.log, parts.live, votes, parts.router.health)


def found(service: Running, were: Any = ()) -> dict[tuple[str, str], Alarm]:
    looks, now_s = lookout(service), time.time()
    return {alarm.key: alarm for alarm in looks.found(now_s, looks.usual(now_s), set(were))}


def answers(
    service: Running,
    n: int,
    hours_ago: float,
    name: str = "a",
    task: str | None = None,
    **more: Any,
) -> None:
    """Let an arm have answered so often so long ago."""
    at_s, log = time.time() - hours_ago * HOUR_S, service.parts.log
    for i in range(n):
        identity = f"{name}-{hours_ago}-{i}"
        log.decide(but(DECIDED, id=identity, decided_at_s=at_s, task=task))
        settled = log.settle(but(OUTCOME, decision_id=identity, at_s=at_s, arm="gpt-4o", **more))
    settled.wait()


def test_nothing_is_wrong_with_a_service_that_has_just_begun(service: Running) -> None:
    service.ask()
    assert found(service) == {}


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("errors", {}, {"status": "error"}),
        ("errors", {}, {"status": "continued"}),
        ("refusals", {}, {"status": "filtered"}),
        ("latency", {"latency_s": 1.0}, {"latency_s": 5.0}),
        ("length", {"output_tokens": 100}, {"output_tokens": 300}),
        ("length", {"output_tokens": 300}, {"output_tokens": 100}),
    ],
)
def test_an_arm_that_is_not_as_usual_is_found_without_a_rating(
    service: Running, name: str, before: dict[str, Any], now: dict[str, Any]
) -> None:
    answers(service, 150, 30.0, **before)
    assert found(service) == {}
    answers(service, 40, 0.1, **{**before, **now})
    alarms = found(service)
    assert set(alarms) == {(name, "gpt-4o")}
    alarm = alarms[name, "gpt-4o"]
    assert "before" in alarm.says
    assert alarm.remedy
    assert alarm.since_s == pytest.approx(time.time(), abs=30)


def test_a_log_that_is_not_at_its_path_is_found_before_anything_is_written(
    service: Running,
) -> None:
    path = service.parts.settings.database
    path.rename(path.with_name("away"))
    alarm = next(lookout(service).found(time.time(), Usual({}, {}), set()))
    path.with_name("away").rename(path)
    assert "was deleted, moved or replaced" in alarm.says
    assert alarm.remedy.startswith("stop, put the log (or a backup) back at its path, without -wal")
    assert found(service) == {}


def test_what_was_an_hour_ago_is_usual_by_now(service: Running) -> None:
    answers(service, 150, 30.0)
    answers(service, 150, 1.0 + LATELY_S / HOUR_S, "b", status="error")
    answers(service, 40, 0.1, "c")
    assert found(service) == {}


def test_ratings_that_stop_are_found_and_ratings_that_never_came(service: Running) -> None:
    answers(service, 499, 3.0)
    assert found(service) == {}
    answers(service, 1, 3.0, "b")
    assert "none of 500 answers" in found(service)["feedback", ""].says
    for i in range(100):
        service.parts.log.rate(
            f"a-3.0-{i}", "r", 1.0, at_s=time.time() - 3 * HOUR_S, tenant="acme", window_s=1e9
        )
    assert found(service) == {}
    answers(service, 99, 0.5, "c")
    assert found(service) == {}  # nineteen are missing, but it may be a pause
    answers(service, 1, 0.4, "d")
    alarm = found(service)["feedback", ""]
    assert "100 answers since the last rating, where 20 ratings" in alarm.says


def test_a_batch_that_nobody_rates_is_no_sign_that_ratings_have_stopped(service: Running) -> None:
    answers(service, 100, 3.0, task="support")
    for i in range(20):
        service.parts.log.rate(
            f"a-3.0-{i}", "r", 1.0, at_s=time.time() - 3 * HOUR_S, tenant="acme", window_s=1e9
        )
    answers(service, 300, 0.5, "night", task="batch")
    assert found(service) == {}
    answers(service, 99, 0.4, "b", task="support")
    assert found(service) == {}  # twenty are missing, but it may be a pause
    answers(service, 1, 0.4, "c", task="support")
    assert "100 answers since the last rating, where 20" in found(service)["feedback", ""].says


def test_a_batch_that_nobody_rates_hides_no_ratings_that_have_stopped(service: Running) -> None:
    answers(service, 100, 3.0, task="support")
    answers(service, 2_000, 4.0, "night", task="batch")
    for i in range(20):
        service.parts.log.rate(
            f"a-3.0-{i}", "r", 1.0, at_s=time.time() - 3 * HOUR_S, tenant="acme", window_s=1e9
        )
    answers(service, 100, 0.5, "b", task="support")
    assert "100 answers since the last rating, where 20" in found(service)["feedback", ""].says


def test_ratings_of_a_tenant_that_is_full_have_not_stopped(service: Running) -> None:
    rate = partial(service.parts.log.rate, rater="r", reward=1.0, tenant="acme", window_s=1e9)
    answers(service, 100, 3.0)
    for i in range(20):
        rate(f"a-3.0-{i}", at_s=time.time() - 3 * HOUR_S)
    service.parts.log.limit_votes(lambda *_: True)
    answers(service, 100, 0.5, "b")
    assert not rate("b-0.5-0", at_s=time.time()).teaches
    assert found(service) == {}


def test_ratings_that_stopped_long_ago_are_missed_until_one_comes(service: Running) -> None:
    answers(service, 100, 9 * 24.0)
    rate = partial(service.parts.log.rate, rater="r", reward=1.0, tenant="acme", window_s=1e9)
    for i in range(20):
        rate(f"a-216.0-{i}", at_s=time.time() - 8 * 24 * HOUR_S)
    answers(service, 100, 0.5, "b")
    assert "100 answers since the last rating, where 20" in found(service)["feedback", ""].says
    rate("b-0.5-0", at_s=time.time())
    assert found(service) == {}


def test_a_retrain_that_is_long_ago_is_found(service: Running) -> None:
    ended_s = time.time() - 4 * HOUR_S
    service.parts.log.record_retrain(but(RETRAIN, started_at_s=ended_s, ended_at_s=ended_s)).wait()
    assert found(service)["retrain", ""].says == "the last retrain was 4.0 h ago"
    service.parts.log.record_retrain(
        but(RETRAIN, id="r2", started_at_s=time.time(), ended_at_s=time.time())
    ).wait()
    assert found(service) == {}


def test_a_service_that_had_been_stopped_has_an_interval_to_make_up_for_a_retrain(
    service: Running,
) -> None:
    ended_s, now_s = time.time() - 48 * HOUR_S, time.time()
    service.parts.log.record_retrain(but(RETRAIN, started_at_s=ended_s, ended_at_s=ended_s)).wait()
    stood = [("retrain", "")]  # before the restart, which has not ended it
    for up_s, were, alarms in ((60.0, [], []), (60.0, stood, stood), (2 * HOUR_S, [], stood)):
        looks = replace(lookout(service), since_s=now_s - up_s)
        assert [alarm.key for alarm in looks.found(now_s, Usual({}, {}), were)] == alarms


def test_a_retrain_that_is_dated_ahead_is_found_and_hides_no_older_one(service: Running) -> None:
    def made(name: str, hours_ago: float) -> None:
        at_s = time.time() - hours_ago * HOUR_S
        record = but(RETRAIN, id=name, started_at_s=at_s, ended_at_s=at_s)
        service.parts.log.record_retrain(record).wait()

    made("ahead", -20.0)
    made("last", -21.0)
    assert found(service)["retrain", ""].says == "the last retrain is dated 21.0 h ahead of now"
    made("old", 4.0)
    assert found(service)["retrain", ""].says == "the last retrain was 4.0 h ago"
    made("new", -0.001)
    assert found(service) == {}


def test_a_budget_that_is_nearly_spent_is_found(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url, budget_usd=2e-4, budget_per="day") as service:
        assert found(service) == {}
        for n in range(200):
            made = service.post("/complete", {"prompt": f"What is {n} + 4?", "max_tokens": 5})
            if made.status_code == 429 or ("budget", "") in found(service):
                break
        alarm = found(service)["budget", ""]
    assert "of the $0.0002 for this day is spent" in alarm.says


@pytest.mark.parametrize("per", ["hour", "day"])
def test_a_budget_that_is_spent_says_until_when_requests_are_refused(
    tmp_path: Path, provider: Provider, per: Literal["hour", "day"]
) -> None:
    dials = {"sandbox_url": provider.url, "budget_per": per}
    with running(tmp_path, sandbox_url=provider.url) as service:
        spent_usd = service.ask()["cost_usd"]
    alarms = []
    for share in (1.0, 0.95):
        with running(tmp_path, budget_usd=spent_usd / share, **dials) as service:
            alarms.append(found(service)["budget", ""])
    spent, nearly = alarms
    until = moment((time.time() // SECONDS[per] + 1) * SECONDS[per])
    assert (spent.severity, nearly.severity) == ("critical", "warning")
    assert f"is refused (429) until the next {per}, {until} UTC" in spent.remedy
    assert "let it be" in nearly.remedy


def test_a_budget_that_others_have_spent_is_found(
    tmp_path: Path, provider: Provider, postgres_url: str
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    dials |= {"budget_usd": 2e-4}
    with running(tmp_path, **dials) as a, running(tmp_path, **dials) as b:
        ask = ({"prompt": f"What is {n} + 4?", "max_tokens": 5} for n in range(1_000))
        for minutes in range(1, 5):  # each time the idle one gives back a part of its piece
            assert any(a.post("/complete", each).status_code == 429 for each in ask)
            for each in (b, a):
                each.parts.live.share(time.time() + 60 * minutes)
        assert b.parts.live.pacer.books.spent_usd == 0.0
        assert found(b)["budget", ""].says.endswith("of the $0.0002 for this day is spent")


def test_what_is_kept_of_a_budget_by_processes_that_were_killed_is_said(
    tmp_path: Path, provider: Provider, postgres_url: str
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, budget_usd=50.0, **dials) as service:
        service.ask()
        spent_usd = service.parts.log.spend_usd(0.0)
        span, who = service.parts.live.pacer.books.window, {"budget": SERVICE, "process": "killed"}
        piece = Wish(**who, span=span, usd=45.0, limit_usd=50.0, rate_hz=1.0, spent_usd=0.5)
        service.parts.log.allot(piece).wait()
        with patch.object(allotments, "FRESH_S", -1.0):
            service.parts.live.share(time.time() + 60)
        goal = service.get("/policy")["goal"]
        assert goal["spent_usd"] == pytest.approx(spent_usd + 0.5)
        assert goal["left_usd"] == pytest.approx(50.0 - 45.0 - spent_usd)
        says = found(service)["budget", ""].says
    with (
        patch.object(allotments, "FRESH_S", -1.0),
        patch.object(keeper, "EVERY_S", 60.0),
        running(tmp_path, budget_usd=50.0, **dials) as service,
    ):
        assert ("budget", "") in found(service)  # as soon as it has started
    assert says.startswith("1% of the $50 for this day is spent, and 89% is kept by processes")


def test_no_arm_that_can_be_asked_is_found(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": broken}) as made:
        for n in range(6):
            made.service.post("/complete", {"prompt": f"hi {n}"})
        alarm = found(made.service)["outage", ""]
    assert alarm.severity == "critical"
    assert "calls in a row failed" in alarm.says


def test_an_outage_is_over_when_an_arm_answers_and_not_when_it_may_be_tried(tmp_path: Path) -> None:
    now_s, plays = [0.0], [broken]
    with faulty(tmp_path, {"a": lambda t: plays[0](t)}, clock=lambda: now_s[0]) as made:
        for _ in range(3):
            made.service.post("/complete", {"prompt": "hi"})
        assert ("outage", "") in found(made.service)
        now_s[0] += LATELY_S
        assert ("outage", "") in found(made.service, [("outage", "")])
        plays[0] = good
        made.service.ask()
        assert ("outage", "") not in found(made.service, [("outage", "")])


def test_a_restart_ends_no_outage(tmp_path: Path) -> None:
    plays = [broken]
    with faulty(tmp_path, {"a": lambda t: plays[0](t)}) as made:
        assert ("outage", "") not in found(made.service)
        says = "no arm answers: a: not answered yet"
        assert found(made.service, [("outage", "")])["outage", ""].says == says
        made.service.post("/complete", {"prompt": "hi"})
        assert ("outage", "") in found(made.service, [("outage", "")])
        plays[0] = good
        made.service.ask()
        assert ("outage", "") not in found(made.service, [("outage", "")])


def test_one_arm_that_lives_is_no_outage(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": good}) as made:
        for n in range(6):
            made.service.post("/complete", {"prompt": f"hi {n}", "models": ["a"]})
        assert ("outage", "") not in found(made.service)


def test_an_arm_whose_ratings_no_longer_fit_is_found(service: Running) -> None:
    for n in range(90):
        made = service.ask(f"What is {n} + 4?", models=["gpt-4o"])
        service.rate(made["id"], "up" if n < 45 else "down")
    alarm = found(service)["drift", "gpt-4o"]
    assert alarm.since_s == service.learned.changed_at_s("gpt-4o")[-1]


def test_a_job_that_has_failed_is_found_until_it_comes_to_its_end(service: Running) -> None:
    data, log = beside_log(service.parts.settings), service.parts.log
    follow(data, log, "retrain", "it was not done after 2 s")
    assert eventually(lambda: ("jobs", "retrain") in found(service), 30)
    assert found(service)["jobs", "retrain"].says == "it has failed: it was not done after 2 s"
    follow(data, log, "prune", "it ended with code 1")
    assert eventually(lambda: set(found(service)) == {("jobs", "prune"), ("jobs", "retrain")}, 30)
    follow(data, log, "report", None)
    follow(data, log, "retrain", None)
    assert eventually(lambda: set(found(service)) == {("jobs", "prune")}, 30)
    follow(data, log, "prune", None)
    assert eventually(lambda: found(service) == {}, 30)
