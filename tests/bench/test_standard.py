"""The standard set asks what it says it asks, of tables in the replay folder."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.options import HALF
from bench.standard import BUDGETS, PACED, SOME_SEEDS, TABLES, Section, budgets, sections
from bench.tables import REPLAY
from tests.bench.worlds import easy, written


@pytest.fixture
def standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Section]:
    for seed, name in enumerate(TABLES):
        table = easy(150, seed)
        # A fit wants known costs that differ from prompt to prompt.
        cost = table.cost_usd * np.random.default_rng(seed).uniform(0.5, 1.5, (150, 1))
        written(replace(table, cost_usd=cost), tmp_path / f"{name}.parquet")
    monkeypatch.setenv(REPLAY, str(tmp_path))
    return {each.name: each for each in sections(120, tmp_path / "kept")}


def test_every_section_has_cells_that_can_be_played(standard: dict[str, Section]) -> None:
    assert len(standard) == 16
    assert [len(standard[name].cells) for name in ("thumbs", "warm")] == [9, 3]  # 100 evals only
    assert "warm_long" not in standard  # 300 are more than there are
    for section in standard.values():
        for cell in section.cells.values():
            assert cell.runs
            is_whole = section.asked or section.name.endswith("_long")
            assert len(cell.loaded) <= (150 if is_whole else 120)


def test_what_was_asked_for_is_asked_of_cells_that_are_there(standard: dict[str, Section]) -> None:
    asked = [standard["asked"], standard["asked_long"], standard["floor"]]
    assert all(set(section.asked) == set(section.cells) for section in asked)
    assert list(asked[0].asked["coderouterbench_id_test"]) == ["reward", "second_half"]
    dearest = asked[1].cells["routellm_mmlu at 91 % of the dearest arm"]
    budget = dearest.options.budget_usd_per_request
    assert budget == pytest.approx(0.91 * dearest.loaded.cost_usd.mean(axis=0).max())


def test_budgets_lie_between_the_cheapest_and_the_dearest_arm(standard: dict[str, Section]) -> None:
    cells = list(standard["budgets"].cells.values())[:BUDGETS]
    cost = cells[0].loaded.cost_usd.mean(axis=0)
    asked = budgets(cells[0])
    assert asked[0] == pytest.approx(cost.min(), rel=0.01)
    assert asked[-1] == pytest.approx(cost.max(), rel=0.01)
    ratios = [later / earlier for earlier, later in pairwise(asked)]
    assert max(ratios) == pytest.approx(min(ratios), rel=0.02)
    assert [cell.options.budget_usd_per_request for cell in cells] == asked
    assert {cell.options.learn_on for cell in cells} == {HALF}


def test_budgets_of_whole_tables_are_played_with_all_their_prompts(
    standard: dict[str, Section],
) -> None:
    whole = standard["budgets_long"]
    assert len(whole.cells) == BUDGETS * (len(PACED) - 1)
    for cell in whole.cells.values():
        assert len(cell.loaded) == 150
        assert cell.policies == ("thompson",)
        assert cell.options.learn_on == HALF


def test_uneven_lengths_are_paced_at_budgets_between_what_their_arms_cost(
    standard: dict[str, Section],
) -> None:
    cells = list(standard["uneven"].cells.values())
    assert len(cells) == 2 * BUDGETS
    for cell in cells:
        cost = cell.loaded.cost_usd.mean(axis=0)
        assert "uneven" in cell.loaded.name
        assert cell.options.learn_on == HALF
        assert 0.99 * cost.min() < (cell.options.budget_usd_per_request or 0) < 1.01 * cost.max()


def test_what_was_asked_for_and_hundreds_of_arms_are_played_with_all_seeds_long_tables_with_few(
    standard: dict[str, Section],
) -> None:
    (cell,) = standard["arms184"].cells.values()
    assert len(cell.loaded.names) == 184
    for name in ("arms184", "asked", "asked_long"):
        assert standard[name].seeds(20) == range(20)
    assert standard["budgets_long"].seeds(20) == range(SOME_SEEDS // 2)
