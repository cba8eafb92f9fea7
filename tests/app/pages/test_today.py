"""What the page of today says of the requests lately, and of what has changed."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.figures import NONE
from app.pages.today import changes, concerns, today
from jobs.retrain import Decided, by_evidence, by_value, retrain
from tests.app.faulty import broken, faulty, good
from tests.app.running import Provider, Running, running
from tests.jobs.test_retrain import EVEN
from tests.storage.rounds import RETRAIN, but


def test_a_request_that_needed_two_fallbacks_is_one_request_that_a_fallback_answered(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"a": broken, "b": broken, "c": good}) as made:
        made.service.ask("hi", models=["a"], fallbacks=["b", "c"])
        made.service.ask("ho", models=["c"])
        shown = today(made.service.parts, None, "24h", time.time())
    assert (shown["total"].requests, shown["total"].decisions) == (2, 4)
    assert shown["fallbacks"] == 0.5


def test_where_it_goes_counts_what_was_asked_and_no_stored_answer(service: Running) -> None:
    asked = [service.ask(cache="use", models=["gpt-4o"]) for _ in range(4)]
    service.ask(models=["glm-4-plus"])
    assert [each["cache"] for each in asked] == ["miss", "hit", "hit", "hit"]
    shown = today(service.parts, None, "24h", time.time())
    assert [row["share"] for row in shown["arms"]] == [0.5, 0.5]
    [dear] = [row["sums"] for row in shown["arms"] if row["arm"] == "gpt-4o"]
    assert dear.cost_usd / dear.decisions == pytest.approx(asked[0]["cost_usd"])
    assert shown["cached"] == 0.6


def test_what_was_not_delivered_is_no_answer_and_is_told(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": good}) as made:
        for asked in ({"models": ["a"]}, {"models": ["a"], "fallbacks": ["b"]}, {"models": ["b"]}):
            made.service.post("/complete", {"prompt": "hi", **asked})
        shown = today(made.service.parts, None, "24h", time.time())
        text = made.service.client.get("/").text
    told = {row["arm"]: (row["answers"].decisions, row["sums"].decisions) for row in shown["arms"]}
    assert told == {"a": (0, 2), "b": (2, 2)}
    assert shown["undelivered"] == pytest.approx(1 / 3)
    assert text.count('<small class="sub">2 not delivered</small>') == 1
    assert "<dt>Not delivered</dt><dd>33.3 %</dd>" in text
    prices = re.findall('data-label="An answer costs">(.+?)</td>', text)
    assert sorted(prices)[1] == NONE


def test_requests_that_were_refused_are_told_to_whoever_sees_all(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url, budget_usd=2e-4) as service:
        service.ask(max_tokens=5)
        said = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
        asked = [service.post("/complete", {"prompt": f"hi {n}"}) for n in range(2)]
        asked.append(service.post("/v1/chat/completions", said))
        text = service.client.get("/").text
        theirs = today(service.parts, "default", "24h", time.time())
    assert [answer.status_code for answer in asked] == [429, 429, 429]
    assert "<dt>Refused since the start</dt><dd>3 <small>with 429</small></dd>" in text
    assert "<dt>Not delivered</dt><dd>0.0 %</dd>" in text
    assert theirs["refused"] == 0


def test_where_nothing_was_refused_nothing_is_said_of_it(service: Running) -> None:
    service.ask()
    assert "Refused" not in service.client.get("/").text


@pytest.mark.parametrize(
    "decided", [by_value(EVEN), by_evidence(4.0, None), by_evidence(0.3, None)]
)
def test_what_came_of_a_retrain_is_said_without_figures(service: Running, decided: Decided) -> None:
    record = but(RETRAIN, promoted=decided.promoted, reason=decided.reason, report=decided.report)
    service.parts.log.record_retrain(record).wait()
    [said] = [change for change in changes(service.parts) if "atings" in change.says]
    assert not any(sign.isdigit() for sign in said.says)


def test_a_retrain_that_came_too_early_says_what_is_missing(service: Running) -> None:
    service.parts.log.record_retrain(retrain(service.parts.log, "manual", time.time).retrain).wait()
    assert "Not enough feedback yet: 0 rated" in changes(service.parts)[0].says


def test_what_is_shown_of_a_report_says_how_old_it_is(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.rate(service.ask()["id"], "up")
    made = service.parts.reports.of("7d", None)
    for age_s, told in ((720.0, 2), (5.0, 0)):
        aged = made | {"age_s": age_s}
        aged["rules"][0]["total"] |= {"why_not": None, "saved_usd": 1.0, "saved_share": None}
        aged["rules"][0]["total"] |= {"low_usd": 0.5, "high_usd": 2.0}
        monkeypatch.setattr(service.parts.reports, "lately", lambda *_, aged=aged: aged)
        assert service.client.get("/?span=7d").text.count(", made 12 min ago</span>") == told


def test_what_is_rated_by_many_is_told_as_ratings_per_request(service: Running) -> None:
    asked = service.ask()["id"]
    for rater in ("ann", "bob", "eve"):
        service.post("/feedback", {"id": asked, "thumbs": "up", "rater": rater})
    text = service.client.get("/").text
    assert "<dt>Ratings per request</dt><dd>3.00</dd>" in text
    assert ", from 3 ratings</span>" in text
    assert ", from 1 rated answer</span>" in service.client.get("/?span=7d").text


def test_an_arm_whose_breaker_lets_one_call_through_is_on_trial(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, arm = service.parts.router.health, next(iter(service.parts.catalogue().arms.values()))
    usual = health.standing(arm)
    for state, told in (("open", "left alone"), ("half-open", "on trial")):
        standing = replace(usual, state=state)
        monkeypatch.setattr(health, "standing", lambda _, standing=standing: standing)
        assert f"{arm.name} is {told}" in [each.what for each in concerns(service.parts, None)]
