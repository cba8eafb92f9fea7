"""What the gauges show is how things stand now, also of what is not there any more."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.monitoring.lookout import Alarm
from app.monitoring.metrics import SHARED
from tests.app.monitoring.test_metrics import Samples, scraped, value
from tests.app.running import Provider, Running, catalogue, eventually, running

MODEL = {"model": "openai/gpt-4o"}
NOISY = Alarm("errors", "small", "warning", "many", "look", 0.0)
LABELS = {"alarm": "errors", "arm": "small", "severity": "warning"}


def seen(service: Running, alarms: Sequence[Alarm]) -> Samples:
    """Return what is shown while these alarms are open, and nobody looks for others."""
    service.parts.alarms.stop()
    service.parts.alarms.open = tuple(alarms)
    return scraped(service)


def test_an_arm_that_has_left_the_catalogue_is_shown_no_more(
    tmp_path: Path, provider: Provider
) -> None:
    path = catalogue(tmp_path, provider.url, {"small": MODEL, "large": MODEL})
    with running(tmp_path, arms=path) as service:
        arms = {dict(labels)["arm"] for name, labels in scraped(service) if "breaker" in name}
        catalogue(tmp_path, provider.url, {"large": MODEL})
        assert eventually(lambda: len(service.parts.catalogue().arms) == 1)
        found = scraped(service)
    assert arms == {"small", "large"}
    for name in ("breaker_state", "calls_under_way"):
        assert value(found, name, arm="large") == 0
        assert (f"turnpike_{name}", frozenset({("arm", "small")})) not in found


def test_an_alarm_that_is_over_is_shown_no_more(service: Running) -> None:
    assert value(seen(service, [NOISY]), "alarms", **LABELS) == 1
    assert not any(name == "turnpike_alarms" for name, _ in seen(service, []))


def worker(shared: Path, folder: Path, *states: str) -> "subprocess.Popen[str]":
    """Return one of several workers, which shows each of these states and then waits."""
    command = [sys.executable, "-W", "error::UserWarning", "-m", __name__, str(folder), *states]
    pipe = subprocess.PIPE
    environ = {**os.environ, SHARED: str(shared)}
    return subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe)


def main(folder: Path, states: Sequence[str]) -> None:
    arms = catalogue(folder, "http://127.0.0.1:9/v1", {"small": MODEL})
    with running(folder, arms) as service:
        for state in states:
            alarms = [NOISY] if state == "open" else []
            print(value(seen(service, alarms), "alarms", **LABELS), flush=True)
        sys.stdin.read()


@pytest.mark.slow
def test_an_alarm_that_is_over_is_0_whichever_worker_is_asked(tmp_path: Path) -> None:
    """Each of several workers shows it; the last one that is asked tells how things stand."""
    folders = [tmp_path / name for name in ("shared", "a", "b")]
    for folder in folders:
        folder.mkdir()
    shared, *own = folders
    with worker(shared, own[0], "open", "over", "open") as first:
        assert first.stdout is not None
        told = [first.stdout.readline() for _ in range(3)]
        with worker(shared, own[1], "over") as second:
            told += second.communicate()[0].splitlines(keepends=True)
        first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert told == ["1.0\n", "0.0\n", "1.0\n", "0.0\n"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
