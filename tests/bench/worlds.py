"""Small tables made up for the tests: an easy world, and what is best in it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bench.tables import Table
from policy.types import Arm

CODE = "Write a Python function that returns the sorted list {} of numbers; def f(x): return []"
ESSAY = "Please tell me the long story of the old harbour town number {} and of its many people"


def easy(n: int = 400, seed: int = 0) -> Table:
    """One arm is good at code, one at stories, a third is nearly free and bad at both."""
    rng = np.random.default_rng(seed)
    code = rng.random(n) < 0.5
    likely = np.column_stack(
        [np.where(code, 0.95, 0.3), np.where(code, 0.3, 0.95), np.full(n, 0.2)]
    )
    cost = np.tile([0.004, 0.002, 0.00001], (n, 1))
    prices = (40.0, 20.0, 0.1)
    return Table(
        name="easy",
        arms=tuple(
            Arm(name, "replay", name, 0.0, price, 1 << 40)
            for name, price in zip(("coder", "teller", "cheap"), prices, strict=True)
        ),
        prompts=tuple((CODE if each else ESSAY).format(i) for i, each in enumerate(code)),
        tasks=tuple("code" if each else "story" for each in code),
        scores=(rng.random((n, 3)) < likely).astype(float),
        cost_usd=cost,
        input_tokens=np.zeros(n, np.int64),
        output_tokens=np.full((n, 3), 100, np.int64),
    )


def nearly_as_good(n: int) -> Table:
    """Two arms whatever the prompt: a nearly free one satisfies 80 %, one 500 times dearer 93 %."""
    table = easy(n)
    likely = np.array([0.8, 0.93])
    return replace(
        table,
        name="nearly_as_good",
        arms=(table.arms[2], table.arms[0]),
        scores=(np.random.default_rng(1).random((n, 2)) < likely).astype(float),
        cost_usd=np.tile([0.00001, 0.005], (n, 1)),
        output_tokens=np.full((n, 2), 100, np.int64),
    )


def written(table: Table, path: Path) -> Path:
    """The table as a file of the documented schema."""
    columns: dict[str, object] = {"prompt": table.prompts, "category": table.tasks}
    for i, arm in enumerate(table.names):
        columns[f"{arm}|score"] = table.scores[:, i]
        columns[f"{arm}|cost_usd"] = table.cost_usd[:, i]
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path
