"""A worker whose log has stopped for good makes room for one that can write."""

import os
from pathlib import Path

import pytest

from app.routing.goals import CONTROL_SHARE
from jobs.invariants import broken
from jobs.witness import Witness
from policy.exploration import Control
from storage.sqlite_reader import SqliteReader
from tests.app.processes.test_serve import Served, served
from tests.app.running import SUM, eventually
from tests.app.traced import attached, can_trace

FAILS = ("-o", os.devnull, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO")


def asked(service: Served) -> str | None:
    """Return the id of an answer, None where none came."""
    try:
        status, answer = service.request("POST", "/complete", {"prompt": SUM}, within_s=30)
    except OSError:
        return None
    return answer["id"] if status == 200 else None


def workers(service: Served) -> set[int]:
    master, *found = sorted(pid for pid, name in service.pids().items() if "gunicorn" in name)
    return set(found) - {master}


@pytest.mark.slow
def test_when_nothing_can_be_recorded_any_more_another_worker_takes_over(tmp_path: Path) -> None:
    if not can_trace():
        return
    with served(tmp_path) as service:
        before = workers(service)
        acknowledged = {asked(service), asked(service)}
        with attached(*before, *FAILS):
            assert asked(service) is None
        assert eventually(lambda: not before & workers(service), 60)
        assert eventually(lambda: asked(service) is not None, 60)
        service.process.terminate()
        assert service.ended() == 0
    with SqliteReader(service.database) as log:
        there = {each.decision.id for each in log.decisions() if each.outcome is not None}
        assert acknowledged <= there
        assert broken(log, Witness(control=Control(CONTROL_SHARE, "gpt-4o"))) == []
