"""Many seeds give what each gives alone, and a finished seed is not played again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.options import Options
from bench.replay import play
from bench.runs import Run, _code, finish
from tests.bench.worlds import easy

TABLE = easy(40)


@pytest.mark.slow
def test_an_interrupted_run_plays_only_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(TABLE, Options(), tmp_path)
    first = run.results(range(3))
    (run.folder / "seed1.npz").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    capsys.readouterr()
    again = run.results(range(3))
    assert "1 of 1: easy, thompson, seed 1; 0 s left" in capsys.readouterr().err
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.arms, other.arms)
        assert one.retrains == other.retrains
    assert {name: (run.folder / name).stat().st_mtime_ns for name in times} == times


@pytest.mark.slow
def test_what_was_kept_and_is_cut_short_is_played_again(tmp_path: Path) -> None:
    run = Run(easy(20), Options(policy="uniform"), tmp_path)
    whole = run.results([0])[0]
    [kept] = run.folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:-30])
    np.testing.assert_array_equal(run.results([0])[0].arms, whole.arms)


def test_many_runs_share_the_cores_and_are_told_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [Run(easy(n), Options(policy="uniform"), tmp_path) for n in (20, 30)]
    finish((run, seed) for run in runs for seed in range(2))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "playing 4 streams"
    assert len(told) == 5
    assert told[-1].startswith("4 of 4: easy, uniform, seed ")
    assert [[run.has(seed) for seed in range(3)] for run in runs] == [[True, True, False]] * 2
    assert [len(run.results([1])[0].rows) for run in runs] == [20, 30]


@pytest.mark.slow
def test_a_worker_plays_what_one_process_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runs.FEW_ROUNDS", 0)
    options = Options(feedback=0.5)
    found = Run(TABLE, options, tmp_path).results(range(4))[3]
    alone = play(TABLE, TABLE.sketches("text"), options, 3)
    np.testing.assert_array_equal(found.arms, alone.arms)
    np.testing.assert_array_equal(found.reward, alone.reward)


def test_another_option_or_another_outcome_is_another_run(tmp_path: Path) -> None:
    other = TABLE.scores.copy()
    other[0, 0] += 0.5
    runs = [
        Run(TABLE, Options(), tmp_path),
        Run(TABLE, Options(delay=1), tmp_path),
        Run(replace(TABLE, scores=other), Options(), tmp_path),
    ]
    assert len({run.folder for run in runs}) == 3


def test_what_a_peer_played_is_not_kept_for_another_release_of_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.runs.ROOT", tmp_path)
    lock = tmp_path / "bench" / "peers" / "requirements-mabwiser.txt"
    lock.parent.mkdir(parents=True)
    told = {}
    for release in ("2.7.4", "2.7.5"):
        lock.write_text(f"mabwiser=={release}")
        told[release] = [_code.__wrapped__(of_peers) for of_peers in (False, True)]
    assert [one == other for one, other in zip(*told.values(), strict=True)] == [True, False]
