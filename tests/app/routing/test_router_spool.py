"""While the log cannot be written: answers go on and say where they are recorded, thumbs do not."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.monitoring.doctor import examine
from tests.app.faulty import STREAMED, endless, faulty, good
from tests.app.routing.test_live import folded
from tests.app.running import SUM, Provider, Running, eventually, running

CHAT = {"model": "auto", "messages": [{"role": "user", "content": SUM}]}
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _nobody_waits_for_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.writer.LOCK_WITHIN_S", 0.0)
    monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.01)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock, as a tool does that somebody has opened the log with."""
    stranger = sqlite3.connect(database, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        stranger.execute("COMMIT")
        stranger.close()


def durable(service: Running, path: str, body: object) -> str:
    response = service.post(path, body)
    assert response.status_code == 200, response.text
    return response.headers["x-turnpike-durable"]


def test_answers_go_on_and_are_in_the_log_once_it_can_be_written(service: Running) -> None:
    database = service.parts.settings.database
    assert durable(service, "/complete", {"prompt": SUM}) == "log"
    with locked(database):
        answer = service.post("/complete", {"prompt": SUM})
        assert answer.headers["x-turnpike-durable"] == "spool"
        for path, body in (("/complete", {"prompt": SUM}), ("/v1/chat/completions", CHAT)):
            assert durable(service, path, body) == "spool"
            stream = service.post(path, {**body, "stream": True})
            assert stream.headers["x-turnpike-durable"] == "spool"
            assert stream.text.endswith(": durable=spool\n\ndata: [DONE]\n\n")
        status, error = service.refused("/feedback", {"id": answer.json["id"], "thumbs": "up"})
        assert (status, error["code"]) == (503, "store_unavailable")
        store = service.get("/policy")["store"]
        assert store["away_since_s"] > 0
        assert "another program holds the lock" in store["why"]
        assert store["waiting"] == 15
        settings = service.parts.settings.model_copy(update={"sandbox": "off"})
        assert any(each.about == "spool" for each in examine(settings))
        assert service.get("/policy")["counts"]["outcomes"] == 1
    assert eventually(lambda: service.get("/policy")["store"]["waiting"] == 0, 20)
    assert service.get("/policy")["counts"]["outcomes"] == 6
    assert service.rate(answer.json["id"])["status"] == "recorded"
    assert service.digest == folded(service)
    assert durable(service, "/complete", {"prompt": SUM}) == "log"


def test_a_stream_tells_at_its_end_that_only_its_beginning_is_in_the_log(service: Running) -> None:
    database = service.parts.settings.database
    response = service.client.post(
        "/complete", json={"prompt": SUM, "stream": True}, buffered=False
    )
    pieces = response.iter_encoded()
    told = next(pieces)
    assert response.headers["x-turnpike-durable"] == "log"
    with locked(database):
        told += b"".join(pieces)
        response.close()
    assert told.endswith(b": durable=spool\n\ndata: [DONE]\n\n")


def test_what_waits_is_in_the_log_after_another_start(tmp_path: Path, provider: Provider) -> None:
    database = tmp_path / "turnpike.db"
    with running(tmp_path, sandbox_url=provider.url) as service, locked(database):
        identity = service.ask()["id"]
        service.parts.close()
    with running(tmp_path, sandbox_url=provider.url) as service:
        found = service.get(f"/decisions/{identity}")
        assert found["outcome"]["status"] == "ok"
        assert service.digest == folded(service)


@pytest.mark.parametrize(("without_log", "status"), [("refuse", 503), ("serve", 200)])
def test_when_nothing_can_be_recorded_the_setting_decides(
    tmp_path: Path, provider: Provider, without_log: str, status: int
) -> None:
    dials = {"spool_bytes": 65_536, "without_log": without_log, "sandbox_url": provider.url}
    with running(tmp_path, **dials) as service, locked(service.parts.settings.database):
        seen = [service.post("/complete", {"prompt": SUM}) for _ in range(60)]
        assert {each.status_code for each in seen} == {200, status}
        assert seen[0].headers["x-turnpike-durable"] == "spool"
        store = service.get("/policy")["store"]
        if status == 200:
            assert seen[-1].headers["x-turnpike-durable"] == "none"
            recorded = [each.headers["x-turnpike-durable"] for each in seen].count("spool")
            # What is smaller than the rows that found no room may find some.
            assert store["unrecorded"] >= 3 * (len(seen) - recorded - 2)
            assert store["waiting"] + store["unrecorded"] == 3 * len(seen)
        else:
            assert seen[-1].json["error"]["code"] == "store_unavailable"
            assert store["unrecorded"] == 0


def test_a_stream_that_cannot_be_recorded_is_refused_and_holds_nothing(
    tmp_path: Path, provider: Provider
) -> None:
    dials = {"spool_bytes": 65_536, "sandbox_url": provider.url, "budget_usd": 5.0}
    with running(tmp_path, **dials) as service, locked(service.parts.settings.database):
        for n in range(60):
            service.post("/complete", {"prompt": f"What is {n} + 4?"})
        status, error = service.refused("/complete", {"prompt": SUM, "stream": True})
        assert (status, error["code"]) == (503, "store_unavailable")
        books = service.parts.live.pacer.books
        assert (books.reserved_usd, books.expected_usd) == (pytest.approx(0), pytest.approx(0))
        assert {arm["health"]["under_way"] for arm in service.get("/policy")["arms"]} == {0}


def test_the_provider_of_a_stream_that_cannot_be_recorded_is_hung_up_on(tmp_path: Path) -> None:
    with (
        faulty(tmp_path, {"a": endless, "b": good}) as made,
        locked(made.service.parts.settings.database),
    ):
        for n in range(60):
            made.service.post("/complete", {"prompt": f"What is {n} + 4?", "models": ["b"]})
        status, error = made.service.refused("/complete", {**STREAMED, "models": ["a"]})
        assert (status, error["code"], made.asked[-1]) == (503, "store_unavailable", "a")
        assert made.seen.closed_early.wait(2)


def test_a_log_that_is_deleted_while_it_is_written_is_an_alarm_and_what_comes_waits(
    service: Running,
) -> None:
    assert durable(service, "/complete", {"prompt": SUM}) == "log"
    service.parts.settings.database.unlink()
    unready = service.client.get("/readyz")
    assert (unready.status_code, "was deleted, moved" in unready.text) == (503, True)
    assert durable(service, "/complete", {"prompt": SUM}) == "spool"
    service.parts.alarms.round(time.time() + 60)
    [alarm] = [each for each in service.parts.alarms.open if each.name == "log"]
    assert "was deleted, moved or replaced" in alarm.says
    assert alarm.remedy.startswith("stop, put the log (or a backup) back")


def test_a_log_that_is_locked_is_an_alarm_that_says_since_when_it_cannot_be_written(
    service: Running,
) -> None:
    with locked(service.parts.settings.database):
        assert durable(service, "/complete", {"prompt": SUM}) == "spool"
        service.parts.alarms.round(time.time() + 60)
        [alarm] = service.parts.alarms.open
        assert alarm.says == f"the log cannot be written: {service.parts.log.standing.why}"
        assert alarm.remedy.startswith("make room on its disk, or bring its server back")
        assert alarm.since_s == service.parts.log.standing.away_since_s
