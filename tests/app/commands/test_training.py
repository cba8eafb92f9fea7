"""A scheduled retrain is made when it is due, also where the clock was wrong at the last one."""

import io
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.commands import training
from app.commands.evals import import_evals
from app.commands.training import awaits_fold, refolded, retrain
from jobs.retrain import Result
from jobs.retrain import retrain as fit_and_judge
from storage.learnable import LearnableLog
from storage.records import PolicySource
from tests.app.commands.test_cli import turnpike
from tests.app.running import BESIDE, Running, evals_table, eventually
from tests.storage.rounds import RETRAIN, but
from tests.storage.test_handover import NOBODY

HOUR_S = 3_600.0


@pytest.mark.parametrize(
    ("hours_ago", "is_made"), [(0.1, False), (0.9, True), (-0.1, True), (-8_760.0, True)]
)
def test_a_scheduled_retrain_is_made_unless_one_has_just_been(
    service: Running, hours_ago: float, is_made: bool
) -> None:
    log, at_s = service.parts.log, time.time() - hours_ago * HOUR_S
    log.record_retrain(but(RETRAIN, id="last", started_at_s=at_s, ended_at_s=at_s)).wait()
    retrain(service.parts.settings, "schedule")
    assert eventually(lambda: len(log.retrains()) == 1 + is_made)


@pytest.mark.slow
def test_a_retrain_during_which_another_policy_was_adopted_comes_to_nothing_and_is_no_failure(
    service: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def meanwhile(log: LearnableLog, *more: Any) -> Result:
        result = fit_and_judge(log, *more)
        assert result.retrain.promoted
        first = service.parts.log.policy_version(1)
        assert service.parts.log.adopt(replace(first, version=2, source="rollback")).wait()
        return result

    import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv"))
    monkeypatch.setattr("jobs.retrain.retrain", meanwhile)
    retrain(service.parts.settings, "manual")
    assert "policy 2 was adopted meanwhile: nothing to do" in capsys.readouterr().out
    assert service.parts.log.retrains() == []


@pytest.mark.parametrize("reason", ["forget", "withdraw", "distrust"])
def test_a_log_that_awaits_a_fold_awaits_it_whatever_else_is_adopted(
    service: Running, reason: PolicySource
) -> None:
    log, settings, now_s = service.parts.log, service.parts.settings, time.time()
    assert not awaits_fold(log, reason)
    # The clock of whoever takes a parcel may be ahead of that of who folds.
    log.receive("parcel", reason, now_s + HOUR_S, []).wait()
    first = log.policy_version(1)
    for n, other in enumerate(("catalogue", "retrain", "rollback"), start=2):
        later_s = now_s + n * HOUR_S
        log.adopt(replace(first, version=n, created_at_s=later_s, source=other)).wait()
    assert awaits_fold(log, reason)
    assert refolded(settings, log, reason) == 5
    assert not awaits_fold(log, reason)


class Terminal(io.StringIO):
    """A terminal, of which everything is kept that was ever written on it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("reason", ["forget", "distrust"])
def test_a_fold_shows_on_a_terminal_how_far_it_has_come(
    service: Running, reason: PolicySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, settings, terminal = service.parts.log, service.parts.settings, Terminal()
    for _ in range(4):
        service.ask()
    monkeypatch.setattr(training, "SHOWN_EVERY", 1)
    monkeypatch.setattr(sys, "stderr", terminal)
    refolded(settings, log, reason)
    shown = [int(percent) for percent in re.findall(r"(\d+)%", terminal.getvalue())]
    assert shown[0] == 0
    assert shown[-1] == 100
    assert len(set(shown)) > 3


def test_what_a_retrain_of_roots_makes_is_the_user_of_the_services(tmp_path: Path) -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(tmp_path, user, -1)
    assert "there is no log at" in turnpike(tmp_path, "retrain").stderr
    assert {each.stat().st_uid for each in tmp_path.rglob("*")} == {user}


def test_a_link_in_the_place_of_the_lock_empties_no_other_file(tmp_path: Path) -> None:
    theirs, beside = tmp_path / "theirs", tmp_path / BESIDE
    theirs.write_text("kept")
    beside.mkdir(parents=True)
    (beside / "retrain.lock").symlink_to(theirs)
    turnpike(tmp_path, "retrain")
    assert theirs.read_text() == "kept"
