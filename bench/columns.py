"""The columns of a replay table's file, and what makes them none that can be played.

What is wrong ends the program with status 2, after one sentence that names the file, the column and
the row.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from reprlib import Repr

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from policy.types import Floats

WRONG = 2
ROUNDING = 1e-6
"""By so much a score may leave 0 to 1, as sums and narrow numbers do."""
TEXTS = ("prompt", "category", "source")
NEEDED = ("score", "cost_usd")
MOST = {"score": 1.0, "cost_usd": 1e6, "input_tokens": 1e9, "output_tokens": 1e9}
"""What one answer may be at most; what is more would drown every other figure."""
LARGEST_BLOCK = 2**31 - 1


def read(path: Path) -> pa.Table:
    """Return what a Parquet or CSV file holds.

    raises : SystemExit if it is neither, or has a column twice
    """
    is_csv = path.suffix.lower() == ".csv"
    try:
        raw = _csv(path) if is_csv else pyarrow.parquet.ParquetFile(path).read()
        names = raw.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        kind = "CSV in UTF-8 with commas" if is_csv else "Parquet (CSV is what is named .csv)"
        raise refused(path, f"it cannot be read as {kind}: {str(error).splitlines()[0]}") from error
    if is_csv and len(names) == 1 and (marks := {*names[0]} & {*";\t"}):
        raise refused(path, f"its columns are separated by {marks.pop()!r}; they must be by ','")
    for name in names:
        if names.count(name) > 1:
            raise refused(path, f"it has column {name!r} {names.count(name)} times")
    return raw


def models(raw: pa.Table) -> list[str]:
    """Return the models that have a column of scores or of costs."""
    parts = [column.rpartition("|") for column in raw.column_names]
    return list(dict.fromkeys(model for model, bar, what in parts if bar and what in NEEDED))


def numbers(raw: pa.Table, column: str) -> Floats:
    """Return a checked column's numbers, NaN where it has none."""
    values: Floats = raw[column].to_numpy()
    return values


def whole(raw: pa.Table, model: str) -> NDArray[np.bool_]:
    """Return which rows have a model's score and cost."""
    both: NDArray[np.bool_] = np.all(
        [np.isfinite(numbers(raw, f"{model}|{what}")) for what in NEEDED], axis=0
    )
    return both


def checked(path: Path, raw: pa.Table, named: Sequence[str]) -> pa.Table:
    """Return what these models did as numbers, and what was asked as text.

    raises : SystemExit if a column is missing, is no numbers, or has one that cannot be
    """
    needed = [f"{model}|{what}" for model in named for what in NEEDED]
    for column in ["prompt", *needed]:
        if column not in raw.column_names:
            raise refused(path, f"it has no column {column!r}")
        if column.startswith("|"):
            raise refused(path, f"column {column!r} names no model before its bar")
    known = [c for c in TEXTS if c in raw.column_names]
    made = {c: _cast(path, raw, c, pa.large_string(), "text in UTF-8") for c in known}
    for model in named:
        for what, most in MOST.items():
            column = f"{model}|{what}"
            if column in raw.column_names:
                made[column] = _within(path, raw, column, most, ROUNDING * (what == "score"))
    return pa.table(made)


def refused(path: Path | str, why: str) -> SystemExit:
    """Say what is wrong with a table, and return what ends the program."""
    print(f"{path} cannot be played: {why}", file=sys.stderr)
    return SystemExit(WRONG)


def _csv(path: Path) -> pa.Table:
    # In one block, as a prompt may be longer than a usual one; in one thread, for an error's row.
    block = min(path.stat().st_size + 1, LARGEST_BLOCK)
    return pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=block),
        # A prompt may have lines of its own.
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(TEXTS, pa.large_string())
        ),
    )


def _within(path: Path, raw: pa.Table, column: str, most: float, slack: float) -> pa.ChunkedArray:
    right = f"a number from 0 to {most:g}"
    cast = _cast(path, raw, column, pa.float64(), right)
    values = cast.to_numpy()
    wrong = np.flatnonzero((values < -slack) | (values > most + slack))
    if len(wrong):
        seen = f"{values[wrong[0]]:g} in row {wrong[0] + 1}"
        raise refused(path, f"{column!r} has {seen}; it must be {right}")
    return cast


def _cast(path: Path, raw: pa.Table, column: str, kind: pa.DataType, right: str) -> pa.ChunkedArray:
    values = raw[column]
    try:
        return _as(values, kind)
    except pa.ArrowException as error:
        row = next(i for i in range(len(values)) if not _casts(values.slice(i, 1), kind))
        seen = f"{Repr().repr(values[row].as_py())} in row {row + 1}"
        raise refused(path, f"{column!r} has {seen}; it must be {right}") from error


def _as(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    # A number may lose its last digits, a text none of its letters.
    return values.cast(kind, safe=kind != pa.float64())


def _casts(one: pa.ChunkedArray, kind: pa.DataType) -> bool:
    try:
        _as(one, kind)
    except pa.ArrowException:
        return False
    return True
