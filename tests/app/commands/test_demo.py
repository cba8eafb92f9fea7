"""The demo: the table it ends with, and a service that refuses what it asks."""

import os
import signal
import socket
import threading
import time

import pytest

from app.commands.demo import DemoRun, Results, as_data, demo, table
from app.settings import Settings
from policy.errors import ConfigError
from policy.types import Arm
from tests.app.keyed import Keyed
from tests.app.running import Running, eventually
from tests.app.serving import served
from tests.upstream.test_reach import plain, saying


@pytest.mark.parametrize("scopes", [("complete", "read"), ("read",)])
def test_where_every_request_fails_that_is_said_and_nothing_compared(
    service: Running, scopes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    key = Keyed(service, scopes=scopes).key
    with served(service) as url:
        settings = Settings.load({}, {"bind": url.removeprefix("http://")})
        assert demo(settings, 4, 1.0, 0, key=key) == 1
    told = capsys.readouterr()
    assert "a request failed: POST /" in told.err
    assert told.err.endswith("every request failed, so there is nothing to compare\n")
    assert told.out == ""


@pytest.mark.parametrize(
    "answer", [b"", b'{"detail": "Not Found"}', b'{"error": "away"}', b"[]", b"<html>", None]
)
def test_what_is_no_service_of_ours_is_told_as_such(answer: bytes | None) -> None:
    said = b"SSH-2.0-OpenSSH_9\r\n"
    if answer is not None:
        said = plain("200 OK", "Connection: close").replace(b"th: 0", b"th: %d" % len(answer))
    with saying(said + (answer or b"")) as (other, _):
        bind = other.base_url.removeprefix("http://").removesuffix("/v1")
        with pytest.raises(ConfigError, match=f"something else than Turnpike answers at {bind};"):
            demo(Settings.load({}, {"bind": bind}), 4, 1.0, 0)


def test_who_interrupts_it_does_not_wait_for_prompts_that_were_not_sent(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def interrupted(*one: object) -> None:
        asked.append(one)
        if one[-1] == 40:  # its seed: by then all of them wait for a caller
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

    monkeypatch.setattr("app.commands.demo._one", interrupted)
    with served(service) as url:
        settings = Settings.load({}, {"bind": url.removeprefix("http://")})
        with pytest.raises(KeyboardInterrupt):
            demo(settings, 400, 1.0, 0)
    assert len(asked) < 300


def test_who_interrupts_it_does_not_wait_for_a_service_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = {"sandbox": True}
    monkeypatch.setattr("app.commands.demo.ServiceClient.get", lambda _self, _path: policy)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bind = f"127.0.0.1:{silent.getsockname()[1]}"
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        started, others = time.monotonic(), threading.enumerate()
        with pytest.raises(KeyboardInterrupt):
            demo(Settings.load({}, {"bind": bind}), 40, 1.0, 0)
        left = [each for each in threading.enumerate() if each not in others]
        left = [each for each in left if "ThreadPool" in each.name]
        assert eventually(lambda: not any(each.is_alive() for each in left))
    assert time.monotonic() - started < 15.0


@pytest.mark.parametrize("name", ["small", "the_best_of_all_models_of_the_european_region_2026"])
def test_the_columns_of_the_table_stand_under_each_other_whatever_the_arms_are_called(
    name: str,
) -> None:
    arms = {each: Arm(each, "p", each, 1.0, 1.0, 8_000) for each in (name, "other")}
    run = DemoRun(always={each: Results(3, 0.5, 4) for each in arms})
    run.turnpike.add(True, 0.1)
    run.lately.add(True, 0.1)
    _, heading, *rows, _, _ = table(run, arms)
    assert len({len(row) for row in rows}) == 1
    assert 0 <= len(heading) - len(rows[0]) <= 2
    assert any(row.startswith(f"always {name} ") for row in rows)
    assert all(row.endswith("%") for row in rows)


def test_of_a_half_in_which_nothing_was_answered_no_figure_is_told() -> None:
    arms = {"only": Arm("only", "p", "only", 1.0, 1.0, 8_000)}
    run = DemoRun(always={"only": Results(3, 0.5, 4)}, turnpike=Results(3, 0.5, 4))
    always, whole, half = list(table(run, arms))[2:5]
    assert " ".join(half.split()) == "Turnpike, second half nothing was answered"
    assert len(always) == len(whole) == len(half)
    told = {name: way["satisfaction"] for name, way in as_data(run)["ways"].items()}
    assert told == {"only": 0.75, "turnpike": 0.75, "turnpike second half": None}
