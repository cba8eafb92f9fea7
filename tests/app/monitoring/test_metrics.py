"""What Prometheus is shown: counted where the log is written, added up over workers, few labels."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.monitoring.lookout import Alarm
from app.monitoring.metrics import SHARED
from policy.errors import StoreUnavailable
from tests.app.faulty import broken, faulty, good
from tests.app.running import Running, running

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(page: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def scraped(service: Running) -> Samples:
    response = service.client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain; version=0.0.4")
    return samples(response.text)


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"turnpike_{name}", frozenset(labels.items())]


def total(found: Samples, name: str, **labels: str) -> float:
    """Return the sum over all that have at least these labels."""
    wanted = set(labels.items())
    return sum(
        each
        for (metric, told), each in found.items()
        if metric == f"turnpike_{name}" and wanted <= set(told)
    )


def test_everything_of_a_request_is_counted_as_the_log_has_it(service: Running) -> None:
    answers = [service.ask(f"What is {n} + 4?") for n in range(5)]
    service.rate(answers[0]["id"], "up")
    service.rate(answers[0]["id"], "down")
    service.rate(answers[1]["id"], "neutral")
    found = scraped(service)
    arms = service.parts.traffic.now().by("arm")
    for name, arm in arms.items():
        assert value(found, "decisions_total", arm=name, kind="routed") == arm.requests
        assert value(found, "attempts_total", arm=name, status="ok") == arm.requests
        assert value(found, "attempt_seconds_count", arm=name) == arm.requests
        assert value(found, "ttft_seconds_count", arm=name) == arm.requests
        assert value(found, "cost_usd_total", arm=name) == pytest.approx(arm.cost_usd)
    for direction in ("input", "output"):
        told = sum(answer["usage"][f"{direction}_tokens"] for answer in answers)
        assert total(found, "tokens_total", direction=direction) == told
    assert value(found, "outcomes_total", status="ok", cache="miss") == 5
    assert value(found, "feedback_total", status="recorded", thumbs="up") == 1
    assert value(found, "feedback_total", status="updated", thumbs="down") == 1
    assert value(found, "feedback_total", status="duplicate", thumbs="none") == 1
    assert value(found, "requests_total", endpoint="turnpike.complete", status="200") == 5
    assert value(found, "request_seconds_count", endpoint="turnpike.complete") == 5


def test_a_stored_answer_counts_as_a_hit_and_calls_nobody(service: Running) -> None:
    for _ in range(2):
        service.ask("What is 5 + 4?", cache="use")
    found = scraped(service)
    assert value(found, "outcomes_total", status="ok", cache="hit") == 1
    assert total(found, "decisions_total", kind="cached") == 1
    assert total(found, "attempts_total") == 1


def test_a_failover_counts_both_calls_and_the_fallback(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": good}) as made:
        made.service.ask("hi", models=["a"], fallbacks=["b"])
        found = scraped(made.service)
    assert value(found, "attempts_total", arm="a", status="error") == 1
    assert value(found, "attempts_total", arm="b", status="ok") == 1
    assert value(found, "decisions_total", arm="b", kind="fallback") == 1


def test_an_arm_that_is_left_alone_shows(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": broken, "b": good}) as made:
        for n in range(4):
            made.service.ask(f"hi {n}", models=["a"], fallbacks=["b"])
        found = scraped(made.service)
    assert value(found, "breaker_state", arm="a") == 2
    assert value(found, "breaker_state", arm="b") == 0


def test_the_price_of_a_dollar_and_the_queue_show(service: Running) -> None:
    service.rate(service.ask()["id"])
    found = scraped(service)
    assert value(found, "willingness_to_pay_usd") == 0.01
    assert value(found, "policy_version") == 1
    assert value(found, "log_queue_depth") == 0
    assert value(found, "learning_lag_events") == 0
    assert isnan(value(found, "budget_left_usd"))
    assert isnan(value(found, "retrain_age_seconds"))


def test_a_store_that_cannot_be_asked_hides_no_metric_and_its_alarm_least(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Any:
        raise StoreUnavailable("the log cannot be read")

    service.ask()
    for name in ("position", "retrains"):
        monkeypatch.setattr(service.parts.log, name, away)
    service.parts.alarms.open = (Alarm("log", "", "critical", "it is away", "bring it", 0.0),)
    found = scraped(service)
    assert value(found, "alarms", alarm="log", arm="", severity="critical") == 1
    assert total(found, "decisions_total") == 1
    assert isnan(value(found, "learning_lag_events"))
    assert isnan(value(found, "retrain_age_seconds"))


def test_what_is_left_of_a_budget_shows(tmp_path: Path, provider: object) -> None:
    url = provider.url  # type: ignore[attr-defined]
    with running(tmp_path, sandbox_url=url, budget_usd=5.0, budget_per="day") as service:
        spent = service.ask()["cost_usd"]
        left = value(scraped(service), "budget_left_usd")
    assert left == pytest.approx(5.0 - spent)


def test_nothing_that_a_client_sends_becomes_a_label(service: Running) -> None:
    for n in range(5):
        service.client.get(f"/no/such/page/{n}")
        service.post("/complete", {"prompt": "hi", "models": [f"stranger-{n}"]})
        service.post("/complete", {"prompt": "hi", "task": f"task-{n}", "session": f"s-{n}"})
        service.client.open(f"/complete?{n}", method="DELETE")
        service.client.get(f"/decisions/{n}")
    told: dict[str, set[str]] = {}
    for _, labels in scraped(service):
        for name, word in labels:
            told.setdefault(name, set()).add(word)
    assert told["arm"] <= set(service.parts.catalogue().arms)
    assert told["endpoint"] <= {*service.client.application.view_functions, "unknown"}
    assert told["status"] <= {"200", "400", "404", "405", "ok"}
    assert set(told) == {"arm", "endpoint", "status", "kind", "direction", "cache", "le"}


def test_the_metrics_need_the_key_where_there_is_one(tmp_path: Path, provider: object) -> None:
    key = "0123456789abcdef"
    url = provider.url  # type: ignore[attr-defined]
    with running(tmp_path, sandbox_url=url, api_key=key) as service:
        assert service.client.get("/metrics").status_code == 401
        told = service.client.get("/metrics", headers={"authorization": f"Bearer {key}"})
        found = samples(told.text)
    assert value(found, "requests_total", endpoint="operating.metrics", status="401") == 1


WORKER = dedent(
    """
    import sys
    from app.monitoring.metrics import Metrics
    metrics = Metrics()
    metrics.requested("e", 200, 0.1)
    metrics.gauge("depth", "d", "livesum").set(5)
    print("counted", flush=True)
    sys.stdin.read()
    """
)
READER = (
    "import sys; from app.monitoring.metrics import Metrics; "
    "sys.stdout.buffer.write(Metrics().page())"
)
FORGETTER = "import sys; from app.monitoring.metrics import forget; forget(int(sys.argv[1]))"


@pytest.mark.slow
def test_several_workers_are_added_up_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    shared = {**os.environ, SHARED: str(tmp_path)}

    def python(code: str, *arguments: object) -> str:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(
            command, env=shared, check=True, capture_output=True, text=True
        ).stdout

    with ExitStack() as ending:
        workers = [ending.enter_context(_worker(shared)) for _ in range(2)]
        both = samples(python(READER))
        workers[0].send_signal(signal.SIGKILL)
        workers[0].wait()
        python(FORGETTER, workers[0].pid)
        one = samples(python(READER))
        workers[1].communicate()
    assert value(both, "requests_total", endpoint="e", status="200") == 2
    assert value(both, "request_seconds_count", endpoint="e") == 2
    assert value(both, "depth") == 10
    assert value(one, "requests_total", endpoint="e", status="200") == 2
    assert value(one, "depth") == 5


def _worker(environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Return a process that has counted, and waits."""
    pipe = subprocess.PIPE
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environ, stdin=pipe, stdout=pipe)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"counted\n"
    return worker
