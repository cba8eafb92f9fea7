"""Many seeds of a replay: on all cores, with progress, and resumed where it was interrupted.

Each seed's result is kept under a name made of the options, the table and the code that plays it,
so that a kept result is never one of other code.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from bench.options import Options
from bench.replay import Played, play
from bench.tables import Table
from features.sketch import Sketch

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "bench"
ROOMS = ("policy", "features", "jobs", "storage", "bench")


@dataclass(frozen=True, eq=False)
class Run:
    """What is played for every seed, and where the results are kept."""

    table: Table
    options: Options
    kept: Path = KEPT

    def results(self, seeds: Sequence[int]) -> list[Played]:
        """Return what each seed brought, in the order of the seeds; progress goes to stderr."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [seed for seed in seeds if not self._path(seed).exists()]
        started = time.monotonic()
        for done, seed in enumerate(self._play(missing), start=1):
            left_s = (time.monotonic() - started) / done * (len(missing) - done)
            told = f"{self.table.name}, {self.options.policy}: {done} of {len(missing)} seeds"
            print(f"{told}, seed {seed} done, {left_s:.0f} s left", file=sys.stderr, flush=True)
        return [_loaded(self._path(seed)) for seed in seeds]

    @cached_property
    def folder(self) -> Path:
        """Return the folder of this table, these options and this code."""
        table = self.table
        made = sha256(
            repr((table.name, table.arms, table.tasks, table.learning, self.options)).encode()
        )
        for array in (table.scores, table.cost_usd, table.input_tokens, table.output_tokens):
            made.update(np.ascontiguousarray(array).tobytes())
        made.update("\0".join(table.prompts).encode("utf-8", "replace"))
        for room in ROOMS:
            for path in sorted((ROOT / room).rglob("*.py")):
                made.update(path.read_bytes())
        return self.kept / made.hexdigest()[:24]

    def _play(self, seeds: Sequence[int]) -> Iterator[int]:
        if not seeds:
            return
        workers = min(os.cpu_count() or 1, len(seeds))
        spawn = get_context("spawn")  # a fork would copy the locks of threads it does not copy
        with ProcessPoolExecutor(workers, spawn, _begin, (self,)) as pool:
            for job in as_completed([pool.submit(_play_and_keep, seed) for seed in seeds]):
                yield job.result()

    def _path(self, seed: int) -> Path:
        return self.folder / f"seed{seed}.npz"

    def keep(self, seed: int, played: Played) -> None:
        """Record a seed's result, whole or not at all."""
        path = self._path(seed)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.npz")
        np.savez_compressed(unfinished, **{f.name: getattr(played, f.name) for f in fields(played)})
        unfinished.replace(path)


_HERE: list[tuple[Run, list[Sketch]]] = []
"""What a worker process plays: handed over once, because tables are large."""


def _begin(run: Run) -> None:
    _HERE.append((run, run.table.sketches(run.options.context)))


def _play_and_keep(seed: int) -> int:
    run, sketches = _HERE[-1]
    run.keep(seed, play(run.table, sketches, run.options, seed))
    return seed


def _loaded(path: Path) -> Played:
    with np.load(path, allow_pickle=False) as kept:
        arrays = {field.name: kept[field.name] for field in fields(Played)}
    return Played(**{**arrays, "retrains": list(map(str, arrays["retrains"]))})
