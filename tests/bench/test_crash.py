"""A few kills through the whole bench; and that it would say so if something were lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.crash import Crashed, Kill, doubled, run
from bench.crash_page import lines
from bench.diary import Diary
from bench.processes import started_with
from jobs.witness import Journal
from tests.jobs.test_learned import answered, rated

SEED = 49  # draws all processes at once, then a worker, at any moment


@pytest.mark.slow
def test_what_was_acknowledged_before_kills_is_there_after_them(tmp_path: Path) -> None:
    told: list[str] = []
    crashed = run(2, SEED, tmp_path, told.append)
    assert crashed.broken == []
    assert (crashed.lost, crashed.doubled) == (0, 0)
    assert [each.victim for each in crashed.killed] == ["everything", "worker"]
    assert len(crashed.journal.outcomes) > 20
    assert len(crashed.journal.thumbs) > 10
    page = "\n".join(lines(crashed, SEED))
    assert "| **lost** | **0** |" in page
    assert "bounds the chance of a loss in one kill at 77.6%" in page


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_lives_on_when_the_bench_is_ended_from_outside(
    tmp_path: Path, how: signal.Signals
) -> None:
    mark = f"TURNPIKE_DATABASE={tmp_path / str(SEED) / 'turnpike.db'}".encode()
    asked = ["--seed", str(SEED), "--kept", str(tmp_path), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "bench", "crash", *asked]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as bench:
        try:
            give_up_at = time.monotonic() + 60
            while (alive := len(started_with(mark))) < 4 and time.monotonic() < give_up_at:
                time.sleep(0.1)
            bench.send_signal(how)
            _, said = bench.communicate(timeout=150)
        finally:
            bench.kill()
            left = started_with(mark)
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    assert alive >= 4
    assert b"Aborted!" in said
    assert left == {}


def killed(back_s: float, *, is_fitting: bool = False) -> Kill:
    return Kill("worker", back_s, is_fitting, fits=1, cut_off=2, took_s=30.0)


def made(**changes: object) -> Crashed:
    given: dict = {
        "killed": [killed(1.0), killed(3.0, is_fitting=True)],
        "journal": Journal(frozenset({"a", "b"})),
        "seen": {"thumbs": 3},
        "broken": [],
        "lost": 0,
        "doubled": 0,
        "decisions": 4,
        "judged": 1,
        "promoted": 0,
    }
    return Crashed(**{**given, **changes})


def test_a_page_says_what_was_lost_and_bounds_nothing_then() -> None:
    lossy = made(broken=["I1: the outcome of a was acknowledged and is not there"], lost=1)
    page = "\n".join(lines(lossy, 0))
    assert lossy.is_lossy
    assert "| **lost** | **1** |" in page
    assert "- I1: the outcome of a was acknowledged and is not there" in page
    assert "bounds" not in page
    assert "| the worker that serves | 2 | 1 | 2.0 | 3.0 |" in page
    assert "| requests cut off by a kill | 4 |" in page
    assert "| retrains that were seen to begin | 2 |" in page
    assert "| retrains that came to their end | 1 |" in page
    assert not made().is_lossy


@pytest.mark.parametrize("reward", [1.0, 0.0, None])
def test_a_second_outcome_of_a_decision_and_a_vote_that_is_there_twice_are_doubled(
    reward: float | None,
) -> None:
    once = [
        answered(1, "a", 5),
        answered(2, "b", 5),
        rated(3, "a", 0.5),
        rated(4, "a", reward, previous_reward=0.5),
    ]
    assert doubled(once) == 0
    assert doubled([*once, answered(5, "b", 5)]) == 1
    assert doubled([*once, rated(5, "a", reward, previous_reward=reward)]) == 1


def test_an_answer_that_is_none_is_excused_only_by_a_kill_meanwhile(tmp_path: Path) -> None:
    with Diary(tmp_path / "journal.jsonl") as diary:
        diary.fault(diary.kills, "while nobody was killed")
        before = diary.kills
        diary.kills += 1
        diary.fault(before, "killed since it was asked")
        diary.excused.set()
        diary.fault(diary.kills, "while being killed")
        assert diary.journal.malformed == ("while nobody was killed",)
        assert diary.seen["cut off by a kill"] == 2


def test_a_journal_is_on_the_disk_line_by_line(tmp_path: Path) -> None:
    with Diary(tmp_path / "journal.jsonl") as diary:
        diary.outcome("plain", "a")
        diary.thumb("a", "ann", {"status": "recorded", "revision": 1}, 1.0)
        diary.thumb("b", "ann", {"status": "duplicate", "revision": 0}, None)
        raw = (tmp_path / "journal.jsonl").read_text().splitlines()
        assert len(raw) == 3
        assert diary.journal.outcomes == {"a"}
        assert diary.journal.thumbs == {("a", "ann", 1): 1.0}


def test_an_interrupted_run_goes_on_with_what_was_told_and_forgets_half_a_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    with Diary(path) as diary:
        diary.outcome("plain", "a")
        diary.thumb("a", "ann", {"status": "recorded", "revision": 1}, 1.0)
        diary.fault(diary.kills, "while nobody was killed")
    with path.open("ab") as file:
        file.write(b'{"outcome": "never fl')
    with Diary(path) as diary:
        diary.outcome("streamed", "b")
    with Diary(path) as diary:
        assert diary.journal == Journal(
            frozenset({"a", "b"}), {("a", "ann", 1): 1.0}, ("while nobody was killed",)
        )
        assert diary.seen == {"plain": 1, "streamed": 1, "thumbs": 1}
