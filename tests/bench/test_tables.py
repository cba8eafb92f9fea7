"""Tables are read as their columns say, gaps are left out, and prices explain what was paid."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from pydantic import TypeAdapter

from app.api.schemas import TaskTag
from bench.tables import REPLAY, Table, load
from features.sketch import Sketch
from tests.bench.worlds import easy, written

PRICES = {"large|2026": (2.5, 10.0), "small": (0.1, 0.4)}
PUBLISHED = (
    "general_2026",
    "mmlu_pro",
    "routellm_mmlu",
    "coderouterbench_id_test",
    "coderouterbench_ood176",
)


def columns(n: int = 50) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    made: dict[str, Any] = {
        "prompt": [f"prompt {i}" for i in range(n)],
        "category": ["maths", "code"] * (n // 2),
    }
    for model, (into, out) in PRICES.items():
        tokens = rng.integers(10, 1000, (2, n))
        made[f"{model}|score"] = rng.random(n)
        made[f"{model}|input_tokens"], made[f"{model}|output_tokens"] = tokens
        made[f"{model}|cost_usd"] = np.round((tokens[0] * into + tokens[1] * out) / 1e6, 8)
    return made


def saved(folder: Path, made: dict[str, Any], name: str = "t.parquet") -> str:
    pyarrow.parquet.write_table(pa.table(made), folder / name)
    return str(folder / name)


def booked(table: Table) -> np.ndarray:
    """What the service would book for every recorded answer, by the arms' own prices."""
    return np.array(
        [
            [
                arm.cost_usd(int(table.input_tokens[row]), int(table.output_tokens[row, i]))
                for i, arm in enumerate(table.arms)
            ]
            for row in range(len(table))
        ]
    )


def test_a_model_name_may_hold_a_bar(tmp_path: Path) -> None:
    assert load(saved(tmp_path, columns())).names == ("large|2026", "small")


def test_a_csv_file_says_the_same_as_a_parquet_file(tmp_path: Path) -> None:
    made = columns()
    pyarrow.csv.write_csv(pa.table(made), tmp_path / "t.csv")
    one, other = load(saved(tmp_path, made)), load(str(tmp_path / "t.csv"))
    assert one.prompts == other.prompts
    assert one.tasks == other.tasks
    np.testing.assert_allclose(one.scores, other.scores)
    np.testing.assert_array_equal(one.output_tokens, other.output_tokens)


def test_a_table_is_found_by_name_in_the_folder_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, columns(), "mine.parquet")
    monkeypatch.setenv(REPLAY, str(tmp_path))
    assert load("mine").name == "mine"


def test_prices_per_token_are_those_the_costs_were_made_with(tmp_path: Path) -> None:
    for arm in load(saved(tmp_path, columns())).arms:
        found = arm.input_usd_per_mtok, arm.output_usd_per_mtok
        assert found == pytest.approx(PRICES[arm.name], rel=1e-3)


def test_where_no_prices_of_tokens_explain_what_was_paid_answers_are_counted(
    tmp_path: Path,
) -> None:
    made = columns()
    much = np.asarray(made["small|input_tokens"]) * 20
    made["small|input_tokens"] = made["small|output_tokens"] = much
    made["small|cost_usd"] = 0.004 * (1.5 - much / much.max())  # the longer the cheaper
    table = load(saved(tmp_path, made))
    np.testing.assert_allclose(booked(table)[:, 1], table.cost_usd[:, 1], rtol=0.01)
    assert table.arms[0].input_usd_per_mtok == pytest.approx(PRICES["large|2026"][0], rel=1e-3)


def test_units_cost_what_was_paid_to_half_a_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = {key: value for key, value in columns().items() if not key.endswith("tokens")}
    for model in PRICES:
        made[f"{model}|cost_usd"] = rng.lognormal(-7, 0.7, 50)
    table = load(saved(tmp_path, made))
    assert np.all(
        (table.output_tokens.mean(axis=0) >= 99) & (table.output_tokens.mean(axis=0) < 1001)
    )
    units = np.array([arm.output_usd_per_mtok for arm in table.arms]) / 1e6
    assert np.all(np.abs(booked(table) - table.cost_usd) <= 0.5001 * units)


def test_an_arm_that_costs_nothing_is_not_one_that_says_nothing(tmp_path: Path) -> None:
    made = {key: value for key, value in columns().items() if not key.endswith("tokens")}
    made["small|cost_usd"] = np.zeros(50)
    table = load(saved(tmp_path, made))
    assert 100 <= table.output_tokens[:, 1].mean() <= 1000  # as units are of any other arm
    np.testing.assert_array_equal(booked(table)[:, 1], 0.0)


@pytest.mark.parametrize("unknown", [slice(None), slice(0, 50, 2), slice(7, 8)])
def test_an_arm_that_lacks_tokens_is_priced_per_answer(tmp_path: Path, unknown: slice) -> None:
    made = columns()
    known = load(saved(tmp_path, made))
    made["small|output_tokens"] = made["small|output_tokens"].astype(float)
    made["small|output_tokens"][unknown] = np.nan
    table = load(saved(tmp_path, made))
    assert table.arms[0] == known.arms[0]
    np.testing.assert_array_equal(table.output_tokens[:, 0], known.output_tokens[:, 0])
    np.testing.assert_allclose(booked(table)[:, 1].mean(), table.cost_usd[:, 1].mean(), rtol=0.01)
    np.testing.assert_array_equal(table.input_tokens, made["large|2026|input_tokens"])


def test_an_arm_with_gaps_is_left_out_unless_asked_for_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = columns()
    made["small|score"][[3, 4]] = np.nan
    path = saved(tmp_path, made)
    assert load(path).names == ("large|2026",)
    said = (
        f"left out, for they are not whole in {path}: small; --arms leaves out their rows instead"
    )
    assert capsys.readouterr().err == f"{said}\n"
    asked = load(path, ["small", "large|2026"])
    assert asked.names == ("small", "large|2026")
    assert len(asked) == 48
    assert capsys.readouterr().err == f"2 rows left out of {path}, in which an arm has a gap\n"
    assert "prompt 3" not in asked.prompts


@pytest.mark.parametrize(
    ("name", "arms", "said"),
    [
        ("no such table", [], "replay tables are not here: 'no such table' is neither a file"),
        ("", [], "replay tables are not here: '' is neither a file"),
        ("t", ["medium"], "cannot be played: it has no arm 'medium'; it has large|2026, small\n"),
        ("bare", [], "it has no column '<model>|score'; it has prompt, category\n"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(
    name: str,
    arms: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(REPLAY, str(tmp_path))
    saved(tmp_path, columns())
    saved(tmp_path, {"prompt": ["x"], "category": ["y"]}, "bare.parquet")
    with pytest.raises(SystemExit) as stopped:
        load(name, arms)
    assert stopped.value.code == 2
    found = capsys.readouterr().err
    assert said in found
    assert found.count("\n") == 1


def test_the_router_sees_the_text_the_category_or_both() -> None:
    table = easy(4)
    seen = {mode: table.seen(0, mode) for mode in ("text", "category", "both")}
    assert [bool(prompt.text) for prompt in seen.values()] == [True, False, True]
    assert [prompt.task is not None for prompt in seen.values()] == [False, True, True]


def test_a_source_is_a_part_of_the_task(tmp_path: Path) -> None:
    made = {**columns(), "source": ["gsm"] * 50}
    made["source"][1] = None
    assert load(saved(tmp_path, made)).tasks[:3] == ("maths/gsm", "code", "maths/gsm")
    del made["category"]
    assert load(saved(tmp_path, made)).tasks[:2] == ("gsm", None)


def test_a_source_that_is_a_document_is_cut_to_what_the_service_takes_for_a_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = "/".join(f"level {i}" for i in range(200))
    made = {**columns(), "source": ["gsm", levels, "a word and\n" * 10_000, *["gsm"] * 47]}
    table = load(saved(tmp_path, made))
    assert table.tasks[:2] == ("maths/gsm", "code/level 0/level 1/level 2")
    assert table.tasks[2] == ("maths/" + "a word and " * 6)[:64]
    for task in table.tasks:
        TypeAdapter(TaskTag).validate_python(task)
    for sketch in table.sketches("both"):
        assert Sketch.from_bytes(sketch.to_bytes()).tags == sketch.tags
    assert "2 tasks are cut to their first 4 levels and 64 characters" in capsys.readouterr().err


def test_a_table_written_by_the_schema_is_read_back(tmp_path: Path) -> None:
    table = easy(40)
    again = load(str(written(table, tmp_path / "easy.parquet")))
    np.testing.assert_array_equal(again.scores, table.scores)
    np.testing.assert_allclose(again.cost_usd, table.cost_usd)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_tables_can_be_read_where_they_are(name: str) -> None:
    try:
        table = load(name)
    except SystemExit:
        return  # `load` has said so: these tables are not part of the project
    assert np.isfinite(table.scores).all()
    if not table.input_tokens.any():
        spent, recorded = booked(table).sum(axis=0), table.cost_usd.sum(axis=0)
        np.testing.assert_allclose(spent, recorded, rtol=0.01)


def test_a_table_to_learn_on_comes_first_with_the_same_arms_and_prices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned, judged = columns(20), columns(30)
    learned["more|score"] = learned["more|cost_usd"] = [0.5] * 20
    learned["prompt"] = [f"earlier {i}" for i in range(20)]
    learned["small|score"] = [str(each) for each in learned["small|score"]]
    one, other = saved(tmp_path, learned, "a.parquet"), saved(tmp_path, judged, "b.parquet")
    table = load(other, learn_on=one)
    assert (table.name, table.learning, len(table)) == ("b", 20, 50)
    assert table.names == ("large|2026", "small")
    assert table.prompts[0] == "earlier 0"
    assert table.prompts[20] == "prompt 0"
    sampled = table.sample(10, 0)
    assert (sampled.learning, len(sampled)) == (20, 30)
    assert sampled.prompts[:20] == table.prompts[:20]
    assert capsys.readouterr().err == ""
    assert load(one, learn_on=other).names == table.names
    assert f"not whole in {one} and {other}: more;" in capsys.readouterr().err


def test_tables_without_an_arm_in_common_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"prompt": ["x"], "category": ["y"], "z|score": [1.0], "z|cost_usd": [0.1]}
    one, two = saved(tmp_path, columns()), saved(tmp_path, other, "o.parquet")
    with pytest.raises(SystemExit):
        load(one, learn_on=two)
    assert f"no arm in common with {two}; it has large|2026, small" in capsys.readouterr().err
