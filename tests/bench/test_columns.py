"""A table with a mistake is refused before anything is played, in a sentence that says where."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.tables import load
from tests.bench.worlds import easy, written

DOLLARS = "it must be a number from 0 to 1e+06"


def columns(folder: Path) -> dict[str, Any]:
    table = pyarrow.parquet.read_table(written(easy(40), folder / "right.parquet"))
    return {name: table[name].to_pylist() for name in table.column_names}


def saved(folder: Path, made: dict[str, Any], name: str = "mine.parquet") -> str:
    pyarrow.parquet.write_table(pa.table(made), folder / name)
    return str(folder / name)


@pytest.mark.parametrize(
    ("column", "seen", "said"),
    [
        ("coder|score", 55.0, "'coder|score' has 55 in row 8; it must be a number from 0 to 1"),
        ("coder|score", -1.0, "'coder|score' has -1 in row 8; it must be a number from 0 to 1"),
        ("teller|cost_usd", -0.002, f"'teller|cost_usd' has -0.002 in row 8; {DOLLARS}"),
        ("teller|cost_usd", np.inf, f"'teller|cost_usd' has inf in row 8; {DOLLARS}"),
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


@pytest.mark.parametrize("seen", [-5.0, 1e12, np.inf])
def test_tokens_that_no_answer_has_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: float
) -> None:
    made = {**columns(tmp_path), "coder|output_tokens": [5.0] * 39 + [seen]}
    with pytest.raises(SystemExit):
        load(saved(tmp_path, made))
    assert f"'coder|output_tokens' has {seen:g} in row 40" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["prompt", "teller|cost_usd", "teller|score"])
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
    assert said[0].endswith("'coder|score' has 'good' in row 1; it must be a number from 0 to 1")
    assert "it cannot be read as Parquet (CSV is what is named .csv)" in said[1]


def test_a_score_that_rounding_has_taken_out_of_its_range_is_taken_as_its_end(
    tmp_path: Path,
) -> None:
    made = columns(tmp_path)
    made["coder|score"][:2] = [1.0 + 2e-7, -2e-7]
    assert load(saved(tmp_path, made)).scores[:2, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (pa.large_string(), "prompt"),
        (pa.string_view(), "prompt"),
        (pa.binary(), "prompt"),
        (pa.dictionary(pa.int32(), pa.string()), "category"),
        (pa.string(), "coder|score"),
        (pa.bool_(), "coder|score"),
        (pa.int8(), "coder|score"),
        (pa.decimal128(9, 6), "teller|cost_usd"),
        (pa.dictionary(pa.int32(), pa.float64()), "teller|cost_usd"),
    ],
)
def test_a_column_of_another_type_says_the_same(
    tmp_path: Path, kind: pa.DataType, column: str
) -> None:
    plain, path = pa.table(columns(tmp_path)), tmp_path / "right.parquet"
    values = plain[column].dictionary_encode() if pa.types.is_dictionary(kind) else plain[column]
    right = load(str(path)).digest
    other = plain.set_column(plain.column_names.index(column), column, values.cast(kind))
    pyarrow.parquet.write_table(other, path)
    assert load(str(path)).digest == right


def test_no_category_is_none_and_no_prompt_an_empty_one_in_either_kind_of_file(
    tmp_path: Path,
) -> None:
    made = columns(tmp_path)
    made["prompt"][3], made["category"][3:5] = None, [None, ""]
    made["category"][6:8], made["prompt"][6] = ["01", "a,b"], "2020-01-01"
    pyarrow.csv.write_csv(pa.table(made), tmp_path / "mine.CSV")
    for path in (saved(tmp_path, made), str(tmp_path / "mine.CSV")):
        table = load(path)
        assert table.prompts[3] == ""
        assert table.tasks[3:5] == (None, None)
        assert table.tasks[6:8] == ("01", "a,b")
        assert table.prompts[6] == "2020-01-01"


def test_a_prompt_in_a_csv_file_may_be_of_any_length(tmp_path: Path) -> None:
    made = columns(tmp_path)
    made["prompt"][7] = "x" * 5_000_000
    pyarrow.csv.write_csv(pa.table(made), tmp_path / "long.csv")
    assert len(load(str(tmp_path / "long.csv")).prompts[7]) == 5_000_000


@pytest.mark.parametrize(
    ("encoding", "mark", "said"),
    [
        ("utf-8", ";", "its columns are separated by ';'; they must be by ','"),
        ("latin-1", ",", "it cannot be read as CSV in UTF-8 with commas: In CSV column #0: Row #2"),
        ("utf-16", ",", "it cannot be read as CSV in UTF-8 with commas"),
    ],
)
def test_a_csv_file_in_other_letters_or_with_other_marks_is_refused(
    tmp_path: Path, encoding: str, mark: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {**columns(tmp_path), "prompt": [f"caf\u00e9 {i}" for i in range(40)]}
    pyarrow.csv.write_csv(pa.table(made), tmp_path / "mine.csv")
    text = (tmp_path / "mine.csv").read_text(encoding="utf-8").replace(",", mark)
    (tmp_path / "mine.csv").write_text(text, encoding=encoding)
    with pytest.raises(SystemExit) as stopped:
        load(str(tmp_path / "mine.csv"))
    assert stopped.value.code == 2
    assert f"mine.csv cannot be played: {said}" in capsys.readouterr().err


def test_messages_are_no_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {**columns(tmp_path), "prompt": [[{"role": "user", "content": "x"}]] * 40}
    with pytest.raises(SystemExit):
        load(saved(tmp_path, made))
    assert "in row 1; it must be text in UTF-8" in capsys.readouterr().err


def test_a_column_that_is_there_twice_or_names_no_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = pa.table(columns(tmp_path))
    twice = plain.append_column("coder|score", plain["coder|score"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    pyarrow.csv.write_csv(twice, tmp_path / "twice.csv")
    for name in ("twice.parquet", "twice.csv"):
        with pytest.raises(SystemExit):
            load(str(tmp_path / name))
        assert "it has column 'coder|score' 2 times" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        load(saved(tmp_path, {**plain.to_pydict(), "|score": [1.0] * 40, "|cost_usd": [0.1] * 40}))
    assert "column '|score' names no model" in capsys.readouterr().err
