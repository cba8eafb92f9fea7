"""The page of the standard set shows every cell with its figures, and is written by one command."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cells import Cell
from bench.cli import main
from bench.frontiers import frontiers
from bench.options import Options
from bench.page import HEAD, page
from bench.runs import finish
from bench.standard import TABLES, Section
from bench.tables import REPLAY
from tests.bench.worlds import easy, written

DOCS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture
def cell(tmp_path: Path) -> Cell:
    table = written(easy(60), tmp_path / "easy.parquet")
    return Cell(str(table), Options(), ("uniform",), kept=tmp_path / "kept")


def found(section: Section, seeds: int) -> Mapping[str, Mapping[str, Any]]:
    finish(job for cell in section.cells.values() for job in cell.jobs(range(seeds)))
    return {label: cell.result(range(seeds)) for label, cell in section.cells.items()}


def test_the_page_that_is_kept_begins_as_it_would_be_written() -> None:
    _, head = HEAD.split("\n", 1)
    kept = (DOCS / "replay.md").read_text(encoding="utf-8")
    assert head.strip() in kept.partition("##")[0]


@pytest.mark.slow
def test_a_row_has_the_figure_that_is_judged_and_how_far_ahead_it_is(cell: Cell) -> None:
    worse = replace(cell, options=Options(scenario="degraded"))
    section = Section("degraded", "Degraded", "The best gets worse.", {"easy": worse}, "changed")
    results = found(section, 2)
    text = "\n".join(page([(section, results)]))
    uniform = results["easy"]["policies"]["uniform"]
    assert "## Degraded\n\nThe best gets worse. 2 seeds." in text
    assert f"| easy | {uniform['changed']:.4f} ± {uniform['changed_se']:.4f} |" in text
    ahead = uniform["changed"] - uniform["static_mixture"]["changed"]
    assert abs(ahead - (uniform["reward"] - uniform["static_mixture"]["reward"])) > 0.001
    [row] = [line for line in text.splitlines() if line.startswith("| easy |")]
    assert f"| {ahead:+.4f} ± " in row
    assert f"degraded, easy: static mixture ({ahead:+.4f} ± " in text.partition("##")[0]
    assert "## Time" not in text  # a scenario is no measure of it
    assert "evals pick" not in text.partition("##")[2]


@pytest.mark.slow
def test_what_was_asked_and_where_it_is_behind_come_first(cell: Cell) -> None:
    asked = {"easy": {"reward": 0.1, "second_half": 0.99}}
    section = Section("asked", "Asked", "Easy.", {"easy": cell}, asked=asked)  # type: ignore[arg-type]
    text = "\n".join(page([(section, found(section, 3))]))
    rows = [line for line in text.splitlines() if line.startswith("| easy | ")]
    assert "| reached |" in rows[0]
    assert "| short by 0." in rows[1]
    told = text.partition("##")[0]
    assert "Short of what was asked: easy, short by 0." in told
    assert "Behind others by more than 2 standard errors: asked, easy: " in told


@pytest.mark.slow
def test_a_router_that_explores_nothing_is_a_rival_too(cell: Cell) -> None:
    section = Section(
        "cold", "Cold", "Easy.", {"easy": replace(cell, policies=("uniform", "greedy"))}
    )
    results = found(section, 2)
    results["easy"]["policies"]["uniform"]["ahead"]["greedy"].update(reward=-0.25, reward_se=0.125)
    assert "cold, easy: greedy" not in "\n".join(page([(section, results)]))
    results["easy"]["policies"]["uniform"]["ahead"]["greedy"].update(reward=-0.25, reward_se=0.01)
    assert "cold, easy: greedy (-0.2500 ± 0.0100)" in "\n".join(page([(section, results)]))


@pytest.mark.slow
def test_each_stretch_of_a_warm_start_stands_beside_the_pick_from_evals(
    cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.figures.WINDOW", 10)
    section = Section("warm", "Warm", "Evals.", {"easy": replace(cell, options=Options(warm=30))})
    results = found(section, 2)
    windows = results["easy"]["policies"]["uniform"]["windows"]
    ahead = results["easy"]["policies"]["uniform"]["ahead"]["evals_pick"]["reward"]
    assert len(windows) == 3
    assert sum(each["reward"] for each in windows) / 3 == pytest.approx(ahead)
    assert f"of easy: {windows[0]['reward']:+.4f} ± " in "\n".join(page([(section, results)]))


@pytest.mark.slow
def test_what_was_not_played_in_a_cell_stays_empty(cell: Cell) -> None:
    cells = {"few": cell, "many": replace(cell, options=Options(warm=10))}
    section = Section("warm", "Warm", "Evals.", cells)
    rows = [line for line in page([(section, found(section, 1))]) if line.startswith("| few")]
    assert "|  |" in rows[0]
    assert "±" not in rows[0]  # one seed has no error


@pytest.mark.slow
def test_budgets_show_their_use_and_are_drawn(cell: Cell, tmp_path: Path) -> None:
    cells = {
        f"${usd}": replace(cell, options=Options(budget_usd_per_request=usd))
        for usd in (0.001, 0.002)
    }
    section = Section("budgets", "Budgets", "Two.", cells)
    results = found(section, 2)
    text = "\n".join(page([(section, results)]))
    use = results["$0.001"]["policies"]["uniform"]["cost_usd"] / 0.001
    assert f"| {use:.2f} |" in text
    assert "![Reward against spend" in text
    frontiers(results, tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_one_command_writes_the_page_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TABLES:
        written(easy(110), tmp_path / f"{name}.parquet")
    monkeypatch.setenv(REPLAY, str(tmp_path))
    asked = ["all", "--only", "satisfaction", "--seeds", "2", "--prompts", "100"]
    asked += ["--out", str(tmp_path / "out"), "--kept", str(tmp_path / "kept")]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    text = (tmp_path / "out" / "replay.md").read_text()
    assert text.rstrip() in done.output
    assert all(f"| {name} |" in text for name in list(TABLES)[:3])
    again = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert "s left" not in again.stderr
    assert (tmp_path / "out" / "replay.md").read_text() == text


def test_a_section_that_is_not_there_is_named_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TABLES:
        written(easy(40), tmp_path / f"{name}.parquet")
    monkeypatch.setenv(REPLAY, str(tmp_path))
    done = CliRunner().invoke(main, ["all", "--only", "x"])
    assert done.exit_code == 2
    assert "no section 'x'; there are asked, asked_long, cold, budgets, budgets_long" in done.output
