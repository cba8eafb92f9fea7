"""Many seeds of a replay: on all cores, with progress, and resumed where it was interrupted.

Each seed's result is kept under a name made of the options, the table and the code that plays it,
so that a kept result is never one of other code.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path

import numpy as np

from bench.replay import Options, Played, play
from bench.tables import Table

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "bench"
ROOMS = ("policy", "features", "jobs", "bench")


def run(table: Table, options: Options, seeds: Sequence[int]) -> list[Played]:
    """Return what each seed brought, in the order of the seeds."""
    folder = KEPT / _key(table, options)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not _path(folder, seed).exists()]
    started = time.monotonic()
    for done, seed in enumerate(_play_all(table, options, missing, folder), start=1):
        left_s = (time.monotonic() - started) / done * (len(missing) - done)
        told = f"{options.policy}: seed {seed} done, {done}/{len(missing)}, {left_s:.0f} s left"
        print(f"\r\033[K{told}", end="", file=sys.stderr, flush=True)
    if missing:
        print(file=sys.stderr)
    return [_kept(_path(folder, seed)) for seed in seeds]


def _play_all(table: Table, options: Options, seeds: Sequence[int], folder: Path) -> Iterator[int]:
    with ProcessPoolExecutor(os.cpu_count(), initializer=_begin, initargs=(table, options)) as pool:
        jobs = [pool.submit(_play_one, seed, folder) for seed in seeds]
        for job in as_completed(jobs):
            yield job.result()


_TASK: list[object] = []


def _begin(table: Table, options: Options) -> None:
    """Make the sketches once in each process."""
    _TASK[:] = [table, options, table.sketches(options.context)]


def _play_one(seed: int, folder: Path) -> int:
    table, options, sketches = _TASK
    played = play(table, sketches, options, seed)  # type: ignore[arg-type]
    path = _path(folder, seed)
    unfinished = path.with_name(f"{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(
        unfinished,
        rows=played.rows,
        arms=played.arms,
        reward=played.reward,
        cost_usd=played.cost_usd,
        seconds=np.array([played.decide_s, played.update_s]),
        retrains=np.array(played.retrains, dtype=np.str_),
    )
    unfinished.replace(path)
    return seed


def _kept(path: Path) -> Played:
    with np.load(path, allow_pickle=False) as kept:
        decide_s, update_s = map(float, kept["seconds"])
        return Played(
            kept["rows"],
            kept["arms"],
            kept["reward"],
            kept["cost_usd"],
            decide_s,
            update_s,
            list(map(str, kept["retrains"])),
        )


def _path(folder: Path, seed: int) -> Path:
    return folder / f"seed{seed}.npz"


def _key(table: Table, options: Options) -> str:
    made = sha256(repr((table.name, table.arms, options)).encode())
    made.update(table.scores.tobytes() + table.cost_usd.tobytes())
    made.update("".join(table.prompts).encode())
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py")):
            made.update(path.read_bytes())
    return made.hexdigest()[:24]
