"""The columns of a replay table's file, and what makes them none that can be played.

What is wrong ends the program with status 2, after one sentence that names the file, the column and
the row.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from policy.types import Floats

WRONG = 2
ROUNDING = 1e-6
"""By so much a score may leave 0 to 1, as sums and narrow numbers do."""
NEEDED = ("score", "cost_usd")
MOST = {
    "score": 1.0 + ROUNDING,
    "cost_usd": np.inf,
    "input_tokens": np.inf,
    "output_tokens": np.inf,
}
LEAST = {"score": -ROUNDING}


def read(path: Path) -> pa.Table:
    """Return what a Parquet or CSV file holds.

    raises : SystemExit if it is neither
    """
    try:
        if path.suffix != ".csv":
            return pyarrow.parquet.read_table(path)
        # A prompt may have lines of its own.
        lines = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return pyarrow.csv.read_csv(path, parse_options=lines)
    except pa.ArrowInvalid as error:
        raise refused(path, f"it cannot be read: {str(error).splitlines()[0]}") from error


def models(raw: pa.Table) -> list[str]:
    """Return the models that have a column of scores."""
    return [column.rpartition("|")[0] for column in raw.column_names if column.endswith("|score")]


def numbers(raw: pa.Table, column: str) -> Floats:
    """Return a column's numbers, NaN where it has none."""
    return np.array(raw[column].to_pylist(), dtype=float)


def whole(raw: pa.Table, model: str) -> NDArray[np.bool_]:
    """Return which rows have a model's score and cost."""
    both: NDArray[np.bool_] = np.all(
        [np.isfinite(numbers(raw, f"{model}|{what}")) for what in NEEDED], axis=0
    )
    return both


def check(path: Path, raw: pa.Table, named: Sequence[str]) -> None:
    """Make sure that these models can be played.

    raises : SystemExit if a column is missing, is no numbers, or has one that cannot be
    """
    columns = [f"{model}|{what}" for model in named for what in NEEDED]
    for column in ["prompt", *columns]:
        if column not in raw.column_names:
            raise refused(path, f"it has no column {column!r}")
    for model in named:
        for what, most in MOST.items():
            column = f"{model}|{what}"
            if column in raw.column_names:
                _within(path, raw, column, LEAST.get(what, 0.0), most)


def refused(path: Path | str, why: str) -> SystemExit:
    """Say what is wrong with a table, and return what ends the program."""
    print(f"{path} cannot be played: {why}", file=sys.stderr)
    return SystemExit(WRONG)


def _within(path: Path, raw: pa.Table, column: str, least: float, most: float) -> None:
    try:
        values = numbers(raw, column)
    except (TypeError, ValueError) as error:
        raise refused(path, f"{column!r} has what is no number: {error}") from error
    wrong = np.flatnonzero((values < least) | (values > most))
    if len(wrong):
        right = "from 0 to 1" if np.isfinite(most) else "0 or more"
        seen = f"{values[wrong[0]]:g} in row {wrong[0] + 1}"
        raise refused(path, f"{column!r} has {seen}; it must be {right}")
