"""Of votes that are one tenant's and too many, each is kept and told of, and none teaches."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import pytest

from app.monitoring.alarms import LOOK_EVERY_S
from app.monitoring.lookout import UNHEARD, Alarm
from app.routing.votes import Votes
from app.settings import Settings
from policy.errors import ConfigError
from policy.turnout import FREE
from storage.records import Voters
from storage.snapshots import digest
from storage.votes import withdrawals
from tests.app.commands.test_forgetting import forgot
from tests.app.commands.test_forgetting import told as forgetting
from tests.app.keyed import Keyed
from tests.app.running import Provider, Running, eventually, running
from tests.storage.rounds import EVAL, HOUR_S, but

FREELY = int(FREE)
ENOUGH = 2 * FREELY


def thumb(keyed: Keyed, **more: Any) -> Any:
    told = keyed.post("/feedback", {"id": keyed.ask()["id"], "thumbs": "up", **more})
    assert told.status_code == 200, told.text
    return told.json


def outvoted(service: Running) -> tuple[Keyed, Keyed]:
    """Return a tenant that rates all it asks, and one that has asked more and rated less."""
    eager, seldom = Keyed(service, "eager"), Keyed(service, "seldom")
    for n in range(80):
        answer = seldom.ask()["id"]
        if n % 20 == 0:
            assert seldom.post("/feedback", {"id": answer, "thumbs": "up"}).json["teaches"]
    return eager, seldom


def learned(service: Running) -> str:
    return digest(service.parts.live.learned.to_arrays())


def rewards_known(service: Running) -> float:
    known = service.parts.live.learned.beliefs.quality.known.values()
    return sum(each.evidence.weight for each in known)


def test_e12_what_one_tenant_says_too_often_is_kept_and_teaches_nothing(service: Running) -> None:
    eager, seldom = outvoted(service)
    told = [thumb(eager)["teaches"] for _ in range(ENOUGH)]
    assert told[:FREELY] == [True] * FREELY
    assert sum(told) == FREELY + 3  # 10 + 4 * 2 * 20 / (80 - 20), rounded up
    answer = eager.ask()["id"]
    before = rewards_known(service)
    first = eager.post("/feedback", {"id": answer, "thumbs": "up"}).json
    assert (first["status"], first["teaches"]) == ("recorded", False)
    operator = Keyed(service, "ops", scopes=("read", "admin"))
    assert "teaches nothing" in operator.get(f"/pages/decisions/{answer}").text
    again = [eager.post("/feedback", {"id": answer, "thumbs": each}).json for each in (
        "up", "down", "neutral", "up",
    )]  # fmt: skip
    assert [(each["status"], each["teaches"]) for each in again] == [
        ("duplicate", False), ("updated", False), ("revoked", False), ("updated", False),
    ]  # fmt: skip
    assert rewards_known(service) == before
    assert thumb(seldom)["teaches"]
    assert rewards_known(service) > before


def test_votes_that_come_at_once_are_counted_one_after_another(service: Running) -> None:
    eager, _ = outvoted(service)
    answers = [eager.ask()["id"] for _ in range(ENOUGH)]
    log, begun, goes_on = service.parts.log, Event(), Event()

    def rate(answer: str) -> bool:
        now_s = time.time()
        return log.rate(answer, "a", 1.0, at_s=now_s, tenant=None, window_s=HOUR_S).teaches

    with ThreadPoolExecutor(ENOUGH) as at_once:
        log._writer.submit(lambda _db: begun.set() or goes_on.wait(30))
        assert begun.wait(10)
        told = at_once.map(rate, answers)
        assert eventually(lambda: log.waiting >= ENOUGH)
        goes_on.set()
        assert sum(told) == FREELY + 3


def test_changing_a_vote_is_not_another_one(service: Running) -> None:
    eager, _ = outvoted(service)
    answer = eager.ask()["id"]
    for n in range(ENOUGH):
        assert service.parts.log.rate(
            answer, "ann", n % 2, at_s=time.time(), tenant="eager", window_s=1e9
        ).teaches
    assert thumb(eager)["teaches"]


def alarmed(service: Running) -> Alarm:
    """Return the alarm that is raised once many votes of a tenant have taught nothing."""
    eager, _ = outvoted(service)
    for _ in range(ENOUGH + UNHEARD):
        thumb(eager)
    service.parts.alarms.stop()
    service.parts.alarms.round(time.time() + LOOK_EVERY_S)
    (alarm,) = service.parts.alarms.open
    return alarm


def test_an_operator_is_told_whose_votes_teach_nothing_and_what_to_do(service: Running) -> None:
    parts, alarm = service.parts, alarmed(service)
    assert (alarm.name, alarm.about, alarm.severity) == ("votes", "eager", "warning")
    assert "of its votes taught nothing" in alarm.says
    assert "./run distrust --tenant eager" in alarm.remedy
    assert "TURNPIKE_TRUSTED_TENANTS" in alarm.remedy
    distrusted = next(withdrawals(parts.log.ask, Voters(tenant="eager"), time.time(), 100))
    assert parts.log.receive("distrust", "withdrawn", time.time(), distrusted).wait()
    parts.alarms.round(time.time() + 3 * LOOK_EVERY_S)
    assert parts.alarms.open == ()


def test_who_is_forgotten_is_in_no_alarm_any_longer(service: Running, tmp_path: Path) -> None:
    parts = service.parts
    assert alarmed(service).about == "eager"
    forgetting(forgot(tmp_path, "--tenant", "eager", "--yes", "--json"))
    looks = count(2)

    def is_over() -> bool:
        parts.alarms.round(time.time() + next(looks) * LOOK_EVERY_S)
        return parts.alarms.open == ()

    assert eventually(is_over)


def test_what_is_withdrawn_makes_no_room_whoever_hears_of_it_late(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, whose = service.parts.log, Voters(tenant="eager")
    eager, _ = outvoted(service)
    for _ in range(ENOUGH):
        thumb(eager)
    some = next(withdrawals(log.ask, whose, time.time(), 100))[:3]
    assert log.receive("w", "distrust", time.time(), [*some, whose]).wait()
    monkeypatch.setattr(type(log), "position", lambda _: 0)
    late = Votes(log, ())
    assert late.are_full("eager", log.ask)
    assert late.unheard["eager"] == ENOUGH - (FREELY + 3)


def test_with_a_token_it_is_the_same(service: Running) -> None:
    eager, _ = outvoted(service)
    for _ in range(ENOUGH):
        thumb(eager)
    answer = eager.ask()
    body = {"id": answer["id"], "thumbs": "up", "feedback_token": answer["feedback_token"]}
    assert service.client.post("/feedback", json=body).json["teaches"] is False


def test_a_restart_counts_on(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        eager, _ = outvoted(service)
        told = [thumb(eager)["teaches"] for _ in range(ENOUGH)]
        before = learned(service)
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert learned(service) == before
        again = Votes(service.parts.log, ())
        assert not told[-1]
        assert again.are_full("eager", service.parts.log.ask)
        assert not again.are_full("seldom", service.parts.log.ask)


def test_imported_evals_take_the_place_of_no_answers(service: Running) -> None:
    eager, _ = outvoted(service)
    told = [thumb(eager)["teaches"] for _ in range(ENOUGH)]
    log = service.parts.log
    log.add_evals([but(EVAL, prompt_sha256=str(n), withdrawn=True) for n in range(300)]).wait()
    with patch("app.routing.votes.RECENT", 300):
        again = Votes(log, ())
    assert not told[-1]
    assert again.are_full("eager", log.ask)


@pytest.mark.parametrize("trusted", ["eager", "default, eager", "*"])
def test_who_is_trusted_is_always_heard(tmp_path: Path, provider: Provider, trusted: str) -> None:
    with running(tmp_path, sandbox_url=provider.url, trusted_tenants=trusted) as service:
        eager, _ = outvoted(service)
        assert all(thumb(eager)["teaches"] for _ in range(ENOUGH))


@pytest.mark.parametrize("given", ["a b", "-x", "default;eager"])
def test_what_is_no_tenant_stops_the_start(given: str) -> None:
    with pytest.raises(ConfigError, match="in it is no tenant: it must be 1 to 64"):
        Settings.load({}, {"trusted_tenants": given})


def test_a_service_without_tenants_hears_every_vote(service: Running) -> None:
    assert all(service.rate(service.ask()["id"])["teaches"] for _ in range(ENOUGH))
