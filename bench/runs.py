"""Many replays: on all cores, with progress, and resumed where they were interrupted.

Each seed's result is kept under a name made of the options, the table and the code that plays it,
so that a kept result is never one of other code.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, fields
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from zipfile import is_zipfile

import numpy as np

from bench.cores import processes
from bench.options import Options
from bench.peers.player import PREFIX
from bench.replay import Played, play
from bench.tables import Context, Table
from features.sketch import Sketch

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "bench"
ROOMS = ("policy", "features", "jobs", "storage", "bench")
PLAYING = {"category_beta", "course", "ledger", "options", "replay", "router", "runs", "tables"}
"""Files of the bench itself that what is played depends on; of a peer's, those of peers too,
and their locks."""
SLOW_ARMS = 10
"""So many arms about double the time of a round."""
FEW_ROUNDS = 1_000
"""Starting processes takes longer than so many rounds."""
QUICK = 0.2
"""A round of a rule, a baseline or a peer takes about this part of one of the router's."""


@dataclass(frozen=True, eq=False)
class Run:
    """What is played for every seed, and where the results are kept."""

    table: Table
    options: Options
    kept: Path = KEPT

    def results(self, seeds: Sequence[int]) -> list[Played]:
        """Return what each seed brought, in the order of the seeds; progress goes to stderr."""
        finish([(self, seed) for seed in seeds])
        return [_loaded(self._path(seed)) for seed in seeds]

    def has(self, seed: int) -> bool:
        """Return whether a seed is finished, and kept whole."""
        return is_zipfile(self._path(seed))

    @property
    def effort(self) -> float:
        """Return about how long a seed takes, in rounds of the router with few arms."""
        routed = self.options.policy.partition(":")[0] in {"thompson", "greedy"}
        share = 1.0 if routed else QUICK
        return share * len(self.table) * (1.0 + len(self.table.arms) / SLOW_ARMS)

    @cached_property
    def folder(self) -> Path:
        """Return the folder of this table, these options and this code."""
        code = _code(self.options.policy.startswith(PREFIX))
        made = sha256(repr((self.table.digest, self.options, code)).encode())
        return self.kept / made.hexdigest()[:24]

    def keep(self, seed: int, played: Played) -> None:
        """Record a seed's result, whole or not at all."""
        path = self._path(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.stem}.{os.getpid()}.npz")
        np.savez_compressed(unfinished, **{f.name: getattr(played, f.name) for f in fields(played)})
        unfinished.replace(path)

    def _path(self, seed: int) -> Path:
        return self.folder / f"seed{seed}.npz"


def finish(wanted: Iterable[tuple[Run, int]]) -> None:
    """Play the seeds that are missing on all cores; progress goes to stderr."""
    jobs = [(run, seed) for run, seed in wanted if not run.has(seed)]
    if not jobs:
        return
    print(f"playing {len(jobs)} streams", file=sys.stderr, flush=True)
    started, done, all_of_it = time.monotonic(), 0.0, sum(run.effort for run, _ in jobs)
    for place, (run, seed) in enumerate(_played(jobs, all_of_it), start=1):
        done += run.effort
        left_s = (time.monotonic() - started) * (all_of_it / done - 1.0)
        told = f"{place} of {len(jobs)}: {run.table.name}, {run.options.policy}, seed {seed}"
        print(f"{told}; {left_s:.0f} s left", file=sys.stderr, flush=True)


def _played(jobs: Sequence[tuple[Run, int]], effort: float) -> Iterator[tuple[Run, int]]:
    """Yield each job when it is done: in processes, unless starting them would take longer."""
    if effort < FEW_ROUNDS:
        for run, seed in jobs:
            _play_and_keep(run, seed)
            yield run, seed
        return
    with processes(min(os.cpu_count() or 1, len(jobs))) as pool:
        asked = {pool.submit(_play_and_keep, run, seed): (run, seed) for run, seed in jobs}
        for job in as_completed(asked):
            job.result()
            yield asked[job]


@cache
def _code(of_peers: bool) -> str:
    """Return what tells this code from other code that plays the router, or a peer."""
    made = sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if (
                room != "bench"
                or path.stem in PLAYING
                or (of_peers and path.parent.name == "peers")
            ):
                made.update(path.read_bytes())
    locks = (ROOT / "bench" / "peers").glob("requirements-*.txt") if of_peers else ()
    for lock in sorted(locks):  # another release of a peer is other code
        made.update(lock.read_bytes())
    return made.hexdigest()


_HERE: dict[str, Table] = {}
_SKETCHED: dict[tuple[str, Context], list[Sketch]] = {}
"""What this worker process played last: its table and sketches serve every seed."""


def _play_and_keep(run: Run, seed: int) -> None:
    digest, context = run.table.digest, run.options.context
    if digest not in _HERE:
        _HERE.clear()
        _SKETCHED.clear()
        _HERE[digest] = run.table
    if (digest, context) not in _SKETCHED:
        _SKETCHED[digest, context] = _HERE[digest].sketches(context)
    run.keep(seed, play(_HERE[digest], _SKETCHED[digest, context], run.options, seed))


def _loaded(path: Path) -> Played:
    with np.load(path, allow_pickle=False) as kept:
        arrays = {field.name: kept[field.name] for field in fields(Played)}
    return Played(**{**arrays, "retrains": list(map(str, arrays["retrains"]))})
