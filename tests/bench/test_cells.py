"""A cell plays its policies on one table and keeps what came of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.category_beta import CategoryBeta
from bench.cells import PEERS, Cell
from bench.options import Options
from bench.peers.player import PREFIX
from bench.peers.worker import ADAPTERS
from bench.tables import REPLAY
from tests.bench.worlds import easy, written


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    table = written(easy(60), tmp_path / "easy.parquet")
    return Cell(str(table), Options(), ("uniform",), kept=tmp_path / "kept")


def test_the_baseline_that_learns_always_plays_and_peers_are_all_of_them(cell: Cell) -> None:
    assert list(cell.runs) == ["uniform", CategoryBeta.name]
    everybody = replace(cell, policies=("greedy", PEERS)).runs
    assert list(everybody) == ["greedy", *(PREFIX + name for name in ADAPTERS), CategoryBeta.name]
    assert everybody["greedy"].options.policy == "greedy"


@pytest.mark.slow
def test_what_was_found_is_kept_and_not_played_again(
    cell: Cell, capsys: pytest.CaptureFixture[str]
) -> None:
    first = cell.result(range(2))
    assert "4 of 4" in capsys.readouterr().err
    assert replace(cell).result(range(2)) == first
    assert capsys.readouterr().err == ""
    assert cell.result(range(3))["seeds"] == 3
    assert "2 of 2" in capsys.readouterr().err


def test_arms_prompts_and_crowd_are_those_asked_for(cell: Cell) -> None:
    few = replace(cell, arms=("coder", "cheap"), prompts=25, crowd=7).loaded
    assert len(few) == 25
    assert few.names[:2] == ("coder", "cheap")
    assert len(few.names) == 7


@pytest.mark.slow
def test_a_table_to_learn_on_comes_before_the_one_that_is_judged(
    cell: Cell, tmp_path: Path
) -> None:
    other = written(easy(30, seed=1), tmp_path / "other.parquet")
    both = replace(cell, options=Options(learn_on=str(other)))
    assert (both.loaded.learning, len(both.loaded)) == (30, 90)
    assert both.result(range(1))["prompts"] == 60


def test_a_table_of_the_same_name_in_another_folder_is_another_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompts in (20, 30):
        folder = tmp_path / str(prompts)
        folder.mkdir()
        written(easy(prompts), folder / "easy.parquet")
        monkeypatch.setenv(REPLAY, str(folder))
        assert len(Cell("easy", Options(), ("uniform",)).loaded) == prompts
