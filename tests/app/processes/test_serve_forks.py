"""What a worker opens it has opened itself: nothing of it comes from the process that forked it."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from tests.app.processes.test_serve import served
from tests.app.running import SUM


def opened(pid: int) -> set[str]:
    """Return what a process has open: files by name, sockets by number."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(descriptor))
    return found


@pytest.mark.slow
def test_h7_the_log_and_connections_to_providers_are_opened_by_the_worker(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        assert service.request("POST", "/complete", {"prompt": SUM})[0] == 200
        master, worker = sorted(p for p, name in service.pids().items() if "gunicorn" in name)
        sockets = {each for each in opened(master) if each.startswith("socket:")}
        assert str(service.database) in opened(worker)
        assert not any(str(tmp_path) in each for each in opened(master))
        assert len(sockets) == 1  # the one that clients connect to
        assert sockets < opened(worker)
        service.process.terminate()
        assert service.ended() == 0
