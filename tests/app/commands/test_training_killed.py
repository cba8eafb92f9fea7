"""A retrain that is killed at any step of what it writes leaves the old policy or the new one."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from app.commands.evals import import_evals
from app.commands.training import retrain
from storage.handover import pending
from tests.app.processes.test_serve import environment
from tests.app.routing.test_live import folded, learn
from tests.app.running import BESIDE, Provider, evals_table, eventually, running
from tests.app.traced import can_trace

ROOT = Path(__file__).parents[3]
STEPS = [("rename", 1), ("fdatasync", 1)]
"""The parcel with the policy, and what it writes to a log that nobody else holds."""


def killed_at(call: str, n: int, folder: Path) -> bool:
    """Return whether a retrain was killed when it entered its nth call of this name."""
    traced = ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", f"trace={call}"]
    inject = f"inject={call}:signal=KILL:when={n}"
    command = [*traced, "-e", inject, sys.executable, "-m", "app", "retrain"]
    environ = environment(folder, 1, TURNPIKE_SANDBOX_URL="http://127.0.0.1:1")
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    return ended.returncode != 0


def is_empty(handover: Path) -> bool:
    return pending(handover) == []


@pytest.mark.slow
def test_j3_whatever_it_was_writing_the_policy_is_the_old_or_the_new_one(
    tmp_path: Path, provider: Provider
) -> None:
    if not can_trace():
        return
    whole = tmp_path / "whole"
    (whole / "sandbox").mkdir(parents=True)
    with running(whole / "sandbox", sandbox_url=provider.url) as service:
        learn(service)
        import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv"))
    found = []
    for call, n in STEPS:
        folder = tmp_path / f"{call}-{n}"
        shutil.copytree(whole, folder)
        assert killed_at(call, n, folder)
        with running(folder / "sandbox", sandbox_url=provider.url) as service:
            assert eventually(partial(is_empty, folder / "sandbox" / BESIDE / "handover"))
            found.append(service.learned.policy_version)
            assert service.digest == folded(service)
            assert list((folder / "sandbox" / BESIDE / "handover").glob("rejected/*")) == []
    assert set(found) <= {1, 2}
    assert found[0] == 1
    first = tmp_path / "{}-{}".format(*STEPS[0])
    with running(first / "sandbox", sandbox_url=provider.url) as service:
        retrain(service.parts.settings, "manual")
        assert service.learned.policy_version == 2
        assert service.digest == folded(service)
