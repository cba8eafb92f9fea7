"""A table with a mistake is refused before anything is played, in a sentence that says where."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.tables import load
from tests.bench.worlds import easy, written


def columns(folder: Path) -> dict[str, Any]:
    table = pyarrow.parquet.read_table(written(easy(40), folder / "right.parquet"))
    return {name: table[name].to_pylist() for name in table.column_names}


def saved(folder: Path, made: dict[str, Any], name: str = "mine.parquet") -> str:
    pyarrow.parquet.write_table(pa.table(made), folder / name)
    return str(folder / name)


@pytest.mark.parametrize(
    ("column", "seen", "said"),
    [
        ("coder|score", 55.0, "'coder|score' has 55 in row 8; it must be from 0 to 1"),
        ("coder|score", -1.0, "'coder|score' has -1 in row 8; it must be from 0 to 1"),
        ("teller|cost_usd", -0.002, "'teller|cost_usd' has -0.002 in row 8; it must be 0 or more"),
    ],
)
def test_a_number_that_cannot_be_is_named_with_its_column_row_and_range(
    tmp_path: Path, column: str, seen: float, said: str
) -> None:
    made = columns(tmp_path)
    made[column][7] = seen
    path = saved(tmp_path, made)
    done = CliRunner().invoke(main, ["replay", path, "--kept", str(tmp_path / "kept")])
    assert done.exit_code == 2
    assert done.output == f"{path} cannot be played: {said}\n"
    assert not (tmp_path / "kept").exists()


def test_tokens_below_zero_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {**columns(tmp_path), "coder|output_tokens": [5] * 39 + [-5]}
    with pytest.raises(SystemExit):
        load(saved(tmp_path, made))
    assert "'coder|output_tokens' has -5 in row 40" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["prompt", "teller|cost_usd"])
def test_a_column_that_is_not_there_is_named(
    tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = columns(tmp_path)
    del made[missing]
    with pytest.raises(SystemExit) as stopped:
        load(saved(tmp_path, made))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith(f"cannot be played: it has no column {missing!r}\n")


def test_a_mistake_in_an_arm_that_is_not_asked_for_does_not_matter(tmp_path: Path) -> None:
    made = columns(tmp_path)
    del made["teller|cost_usd"]
    assert load(saved(tmp_path, made), ["coder", "cheap"]).names == ("coder", "cheap")


@pytest.mark.parametrize("rows", [0, 19])
def test_too_few_rows_are_refused(
    tmp_path: Path, rows: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {name: values[:rows] for name, values in columns(tmp_path).items()}
    with pytest.raises(SystemExit) as stopped:
        load(saved(tmp_path, made))
    assert stopped.value.code == 2
    assert f"20 rows without a gap are needed, not {rows}" in capsys.readouterr().err


def test_a_table_whose_arms_all_have_a_gap_is_refused_until_some_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = columns(tmp_path)
    for row, arm in enumerate(("coder", "teller", "cheap")):
        made[f"{arm}|cost_usd"][row] = np.nan
    path = saved(tmp_path, made)
    with pytest.raises(SystemExit):
        load(path)
    assert "every arm has a gap" in capsys.readouterr().err
    assert len(load(path, ["coder", "teller"])) == 38


def test_words_for_numbers_and_a_file_of_another_kind_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = {**columns(tmp_path), "coder|score": ["good"] * 40}
    (tmp_path / "other.parquet").write_text("no table")
    for path in (saved(tmp_path, words), str(tmp_path / "other.parquet")):
        with pytest.raises(SystemExit) as stopped:
            load(path)
        assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert "'coder|score' has what is no number" in said[0]
    assert "it cannot be read" in said[1]


def test_a_score_that_rounding_has_taken_out_of_its_range_is_taken_as_its_end(
    tmp_path: Path,
) -> None:
    made = columns(tmp_path)
    made["coder|score"][:2] = [1.0 + 2e-7, -2e-7]
    assert load(saved(tmp_path, made)).scores[:2, 0].tolist() == [1.0, 0.0]
