"""The same work for many seeds: on all cores, with progress on stderr."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
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
    with processes(os.cpu_count() or 1, _begin, (work,)) as pool:
        jobs = {pool.submit(_of, seed): seed for seed in seeds}
        for job in as_completed(jobs):
            found[jobs[job]] = job.result()
            left_s = (time.monotonic() - started) / len(found) * (len(seeds) - len(found))
            told = f"{work.name}: {len(found)} of {len(seeds)} seeds, {left_s:.0f} s left"
            print(told, file=sys.stderr, flush=True)
    return [found[seed] for seed in seeds]


@contextmanager
def processes(
    count: int, begin: Callable[..., None] | None = None, told: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Return processes to hand work to; what is interrupted ends them in the middle of theirs.

    They end also when who hands it out is killed.
    """
    spawn = get_context("spawn")  # a fork would copy the locks of threads it does not copy
    with ProcessPoolExecutor(count, spawn, _watched, (begin, told)) as pool:
        try:
            yield pool
        except BaseException:
            for child in active_children():  # left alone they do all they were handed
                child.terminate()
            raise


def _watched(begin: Callable[..., None] | None, told: tuple[Any, ...]) -> None:
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    if begin is not None:
        begin(*told)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)  # nobody is left to hand work out, for which this process would wait for ever


_HERE: list[Work[Any]] = []
"""What a process works on."""


def _begin(work: Work[Any]) -> None:
    _HERE.append(work)


def _of(seed: int) -> Any:
    return _HERE[-1].of(seed)
