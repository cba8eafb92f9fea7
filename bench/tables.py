"""Replay tables: what real models did on real prompts, one row a prompt.

A table is a Parquet or CSV file with `prompt` and, for every model <m>, `<m>|score` and
`<m>|cost_usd`, where known also `<m>|input_tokens` and `<m>|output_tokens`. Model names may hold a
`|`, so a column is split at its last one. `category` and `source`, where there are any, are joined
to the task of a prompt.

Prices. Where the tokens of all of an arm's answers are known, prices per token are fitted to the
recorded dollars. Where they are not, or no prices explain the dollars, an answer is counted in
units: a power of ten of dollars each, such that an arm's mean answer has 100 to 1,000 of them, or
300 where it costs nothing.
Either way the router knows an arm's price list, to the order of magnitude at least, and has to
predict how long an answer will be; no cost is known before its call.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from operator import ne
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.optimize import nnls

from bench.columns import checked, models, numbers, read, refused, whole
from features.fit import FEWEST_PROMPTS
from features.prompt import Prompt
from features.sketch import Sketch
from policy.types import TOKENS_PER_MTOK, Arm, Floats

Context = Literal["text", "category", "both"]
Ints = NDArray[np.int64]

REPLAY = "TURNPIKE_REPLAY"
DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "replay"
UNITS_OF_AN_ANSWER = 100
FREE_UNITS = 300.0
"""Of an answer that costs nothing, as a typical one has: dollars tell nothing of how long it is."""
NEXT_TO_NOTHING_USD = 1e-12
UNEXPLAINED = 0.05
"""The most of an arm's dollars that prices of its tokens may leave out, or invent."""
NOT_HERE = 2
TASK_LEVELS, TASK_CHARS = 4, 64
"""As much as a task of a request may have."""


@dataclass(frozen=True, eq=False)
class Table:
    """Recorded outcomes; `input_tokens` is what a prompt counts, 0 where that is not recorded.

    The first `learning` rows are of another table: learned from, and not judged.

    shapes : scores, cost_usd, output_tokens (n, k); input_tokens (n,)
    """

    name: str
    arms: tuple[Arm, ...]
    prompts: tuple[str, ...]
    tasks: tuple[str | None, ...]
    scores: Floats
    cost_usd: Floats
    input_tokens: Ints
    output_tokens: Ints
    learning: int = 0

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the arms."""
        return tuple(arm.name for arm in self.arms)

    @cached_property
    def digest(self) -> str:
        """Return what tells this table from any other, in hexadecimal."""
        made = sha256(repr((self.name, self.arms, self.tasks, self.learning)).encode())
        for array in (self.scores, self.cost_usd, self.input_tokens, self.output_tokens):
            made.update(np.ascontiguousarray(array).tobytes())
        made.update("\0".join(self.prompts).encode("utf-8", "replace"))
        return made.hexdigest()

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """Return what stands for each prompt's hash: equal texts are one prompt, as in the service.

        Where no text was recorded each row is a prompt of its own.
        """
        first: dict[str, int] = {}
        each = enumerate(self.prompts)
        return tuple(str(first.setdefault(text, row) if text else row) for row, text in each)

    def sample(self, n: int, seed: int) -> "Table":
        """Return the table of n prompts drawn with this seed, or of all if there are fewer.

        Prompts that are only learned from are kept.
        """
        if n >= len(self) - self.learning:
            return self
        drawn = np.random.default_rng(seed).permutation(len(self) - self.learning)[:n]
        rows = np.concatenate([np.arange(self.learning), self.learning + drawn])
        return replace(
            self,
            prompts=tuple(self.prompts[row] for row in rows),
            tasks=tuple(self.tasks[row] for row in rows),
            scores=self.scores[rows],
            cost_usd=self.cost_usd[rows],
            input_tokens=self.input_tokens[rows],
            output_tokens=self.output_tokens[rows],
        )

    def seen(self, row: int, context: Context) -> Prompt:
        """Return what the router sees of a prompt: its text, its category, or both."""
        text = "" if context == "category" else self.prompts[row]
        task = None if context == "text" else self.tasks[row]
        return Prompt.of([{"role": "user", "content": text}], task)

    def sketches(self, context: Context) -> list[Sketch]:
        """Return the sketch of every prompt as it is seen."""
        return [Sketch.of(self.seen(row, context)) for row in range(len(self))]


def load(name: str, arms: Sequence[str] = (), learn_on: str = "") -> Table:
    """Return a table by name, from the replay folder, or by path.

    Without `arms` those with a gap are left out; with them, the rows with a gap. `learn_on` is a
    second table, with the same arms, whose rows come first and are not judged.

    raises : SystemExit with status 2, after one sentence, if it is not there, lacks an arm or
             cannot be played
    """
    paths = [_found(each) for each in ([learn_on, name] if learn_on else [name])]
    parts = [read(path) for path in paths]
    here, common = models(parts[-1]), _common(paths, parts, arms)
    parts = [checked(path, part, arms or common) for path, part in zip(paths, parts, strict=True)]
    chosen = list(arms) or [m for m in common if all(whole(part, m).all() for part in parts)]
    if not chosen:
        raise refused(paths[-1], "every arm has a gap; name the arms whose common rows are to do")
    gapless = [part.filter(pa.array(_gapless(part, chosen))) for part in parts]
    kept = _shared_columns(gapless)
    alike = [part.select(kept) for part in gapless]
    if len(alike) > 1 and alike[0].equals(alike[1]):
        raise refused(paths[-1], f"its rows are those of {paths[0]}; --learn-on half splits it")
    raw = pa.concat_tables(alike)
    left = [] if arms else [m for m in here if m not in chosen]
    _say_left_out(paths, left, sum(map(len, parts)) - len(raw))
    if len(raw) < FEWEST_PROMPTS:
        raise refused(paths[-1], f"{FEWEST_PROMPTS} rows without a gap are needed, not {len(raw)}")
    return _table(paths[-1].stem, raw, chosen, len(raw) - len(gapless[-1]))


def _common(paths: Sequence[Path], parts: Sequence[pa.Table], arms: Sequence[str]) -> list[str]:
    """Return the models that every part has, if those asked for are among them."""
    here = models(parts[-1])
    if not here:
        has = ", ".join(parts[-1].column_names)
        raise refused(paths[-1], f"it has no column '<model>|score'; it has {has}")
    common = [m for m in here if all(m in models(part) for part in parts)]
    unknown = [arm for arm in arms if arm not in common]
    if unknown or not common:
        lacks = f"arm {unknown[0]!r}" if unknown else "arm"
        where = f" in common with {paths[0]}" if len(paths) > 1 else ""
        raise refused(paths[-1], f"it has no {lacks}{where}; it has {', '.join(here)}")
    return common


def _say_left_out(paths: Sequence[Path], arms: Sequence[str], rows: int) -> None:
    both = " and ".join(map(str, reversed(paths)))
    if arms:
        without = f"left out, for they are not whole in {both}: {', '.join(arms)}"
        print(f"{without}; --arms leaves out their rows instead", file=sys.stderr)
    if rows:
        print(f"{rows} rows left out of {both}, in which an arm has a gap", file=sys.stderr)


def _found(name: str) -> Path:
    path = find(name)
    if path is None:
        where = f"{name!r} is neither a file nor in {folder()}"
        raise _absent(f"{where}; set {REPLAY} to the folder that holds it")
    return path


def _shared_columns(parts: Sequence[pa.Table]) -> list[str]:
    names: list[str] = parts[-1].column_names
    return [name for name in names if all(name in part.column_names for part in parts)]


def find(name: str) -> Path | None:
    """Return the file of a table, None if it is not here."""
    for path in (Path(name), folder() / f"{name}.parquet", folder() / f"{name}.csv"):
        if path.is_file():
            return path
    return None


def folder() -> Path:
    """Return where the replay tables are looked for."""
    return Path(os.environ.get(REPLAY, DEFAULT_FOLDER))


def _absent(why: str) -> SystemExit:
    print(f"replay tables are not here: {why}", file=sys.stderr)
    return SystemExit(NOT_HERE)


def _table(name: str, raw: pa.Table, models: Sequence[str], learning: int) -> Table:
    cost = [numbers(raw, f"{model}|cost_usd") for model in models]
    tokens = [_tokens(raw, model) for model in models]
    priced = [_priced(each, paid) for each, paid in zip(tokens, cost, strict=True)]
    prices, output = [price for price, _ in priced], [units for _, units in priced]
    known = [each[:, 0] for each in tokens if each is not None] or [np.zeros(len(raw))]
    return Table(
        name,
        tuple(_arm(model, price) for model, price in zip(models, prices, strict=True)),
        tuple(prompt or "" for prompt in raw["prompt"].to_pylist()),
        tuple(_tasks(raw)),
        np.clip([numbers(raw, f"{model}|score") for model in models], 0.0, 1.0).T,
        np.array(cost).T,
        np.rint(np.median(known, axis=0)).astype(np.int64),
        np.array(output).T.astype(np.int64),
        learning,
    )


def _arm(model: str, usd_per_token: tuple[float, float]) -> Arm:
    into, out = (float(f"{price * TOKENS_PER_MTOK:.6g}") for price in usd_per_token)
    return Arm(model, "replay", model, into, out, context_window=1 << 40)


def _priced(tokens: Floats | None, cost_usd: Floats) -> tuple[tuple[float, float], Floats]:
    """Return the dollars of an input and of an output token, and how many the outputs had.

    Where no prices of tokens explain what was paid, as with a flat fee, units take their place.

    >>> _priced(np.array([[10.0, 1.0], [20.0, 1.0]]), np.array([0.05, 0.08]))[0]
    (0.003, 0.02)
    """
    if tokens is not None:
        price, _ = nnls(tokens, cost_usd)
        if abs((tokens @ price).sum() - cost_usd.sum()) <= UNEXPLAINED * cost_usd.sum():
            return (float(price[0]), float(price[1])), tokens[:, 1]
    mean = float(cost_usd.mean())
    if mean < NEXT_TO_NOTHING_USD:
        return (0.0, 0.0), np.full(len(cost_usd), FREE_UNITS)
    unit = _unit(mean)
    return (0.0, unit), np.rint(cost_usd / unit)


def _unit(mean_usd: float) -> float:
    """Return a power of ten of dollars as the price of one unit of an answer.

    >>> _unit(0.003)
    1e-05
    """
    return float(f"1e{int(np.floor(np.log10(mean_usd / UNITS_OF_AN_ANSWER)))}")


def _tokens(raw: pa.Table, model: str) -> Floats | None:
    """Return the input and output tokens of each answer, (n, 2), None if any is not known."""
    columns = [f"{model}|{what}_tokens" for what in ("input", "output")]
    if not set(columns) <= set(raw.column_names):
        return None
    tokens = np.column_stack([numbers(raw, column) for column in columns])
    return tokens if np.isfinite(tokens).all() and tokens.any() else None


def _gapless(raw: pa.Table, models: Sequence[str]) -> NDArray[np.bool_]:
    rows: NDArray[np.bool_] = np.all([whole(raw, model) for model in models], axis=0)
    return rows


def _tasks(raw: pa.Table) -> list[str | None]:
    told = [raw[name].to_pylist() for name in ("category", "source") if name in raw.column_names]
    named = zip(*told, strict=True) if told else [()] * len(raw)
    tasks = [" ".join("/".join(filter(None, each)).split()) for each in named]
    cut = [_cut(task) for task in tasks]
    if long := sum(map(ne, cut, tasks)):
        kept = f"their first {TASK_LEVELS} levels and {TASK_CHARS} characters"
        print(f"{long} tasks are cut to {kept}: the service takes no longer ones", file=sys.stderr)
    return [task or None for task in cut]


def _cut(task: str) -> str:
    """Return as much of a task as the service takes; a document's text may stand in its place.

    >>> _cut("https://a.example/papers/2026/x.pdf")
    'https://a.example/papers'
    """
    return "/".join(task.split("/")[:TASK_LEVELS])[:TASK_CHARS]
