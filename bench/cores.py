"""The same work for many seeds: on all cores, with progress on stderr."""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

T = TypeVar("T", covariant=True)


class Work(Protocol[T]):
    """Something to do for every seed; each process is handed it once, so it must be picklable."""

    @property
    def name(self) -> str:
        """Return what progress is told of."""
        ...

    def of(self, seed: int) -> T:
        """Return what this seed brings."""
        ...


def spread(work: Work[T], seeds: Sequence[int]) -> list[T]:
    """Return what each seed brings, in the order of the seeds."""
    started, found = time.monotonic(), {}
    spawn = get_context("spawn")  # a fork would copy the locks of threads it does not copy
    with ProcessPoolExecutor(os.cpu_count(), spawn, _begin, (work,)) as pool:
        jobs = {pool.submit(_of, seed): seed for seed in seeds}
        for job in as_completed(jobs):
            found[jobs[job]] = job.result()
            left_s = (time.monotonic() - started) / len(found) * (len(seeds) - len(found))
            told = f"{work.name}: {len(found)} of {len(seeds)} seeds, {left_s:.0f} s left"
            print(told, file=sys.stderr, flush=True)
    return [found[seed] for seed in seeds]


_HERE: list[Work[Any]] = []
"""What a process works on."""


def _begin(work: Work[Any]) -> None:
    _HERE.append(work)


def _of(seed: int) -> Any:
    return _HERE[-1].of(seed)
