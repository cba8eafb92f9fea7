"""A cell: one table, one way to play it, the policies that do, and what came of it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.category_beta import CategoryBeta
from bench.course import lay
from bench.crowd import crowded
from bench.options import HALF, Options
from bench.peers.player import PREFIX
from bench.peers.worker import ADAPTERS
from bench.report import result
from bench.runs import KEPT, Run, finish
from bench.tables import Table, find, load
from bench.uneven import uneven
from bench.yardsticks import foresee
from policy.decide import RULES

PEERS = "peers"
EVERY_PEER = tuple(PREFIX + name for name in ADAPTERS)
PLAYED = (*RULES, *EVERY_PEER, PEERS, CategoryBeta.name)
"""What a policy may be."""
NEEDS_TWO_ARMS = PREFIX + "contextualbandits-lints"


@dataclass(frozen=True)
class Cell:
    """One replay of a table by several policies, with the same seeds.

    `arms` none means all; `crowd` adds made ones up to so many; `uneven` makes the lengths of every
    second one wild; `prompts` are judged at most; `policies` may name "peers" for each of them. The
    baseline that learns always plays too.
    """

    table: str
    options: Options
    policies: tuple[str, ...] = ("thompson", "greedy")
    arms: tuple[str, ...] = ()
    crowd: int = 0
    uneven: bool = False
    prompts: int | None = None
    kept: Path = KEPT

    @cached_property
    def loaded(self) -> Table:
        """Return the table as it is played.

        raises : ValueError if it cannot be played so
        """
        learn_on = "" if self.options.learn_on == HALF else self.options.learn_on
        # By its file, not by its name: another folder has tables so named too.
        path = str(find(self.table) or self.table)
        table = _loaded(path, self.arms, learn_on, self.prompts, self.crowd, self.uneven)
        for policy in self.policies:
            if policy not in PLAYED and not policy.startswith("fixed:"):
                raise ValueError(f"policy is {policy!r}; it must be one of {', '.join(PLAYED)}")
            lay(table, replace(self.options, policy=policy), 0)
        first = len(table.arms) - self.options.scenario.startswith("new_arm")
        if first <= 1 and {PEERS, NEEDS_TWO_ARMS} & {*self.policies}:
            raise ValueError(f"{NEEDS_TWO_ARMS} needs two arms from the start on, not {first}")
        return table

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Return one run for each policy and for the baseline that learns."""
        asked = [p for each in self.policies for p in (EVERY_PEER if each == PEERS else [each])]
        return {
            policy: Run(self.loaded, replace(self.options, policy=policy), self.kept)
            for policy in dict.fromkeys([*asked, CategoryBeta.name])
        }

    def jobs(self, seeds: Sequence[int]) -> list[tuple[Run, int]]:
        """Return everything that has to be played for these seeds."""
        return [(run, seed) for run in self.runs.values() for seed in seeds]

    def result(self, seeds: Sequence[int]) -> dict[str, Any]:
        """Return what was found, playing what is missing; it is kept like the seeds it is of."""
        finish(self.jobs(seeds))
        folders = [run.folder.name for run in self.runs.values()]
        made = sha256(repr((folders, list(seeds), _showing())).encode()).hexdigest()[:24]
        path = self.kept / f"{made}.json"
        if path.exists():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        played = {name: run.results(seeds) for name, run in self.runs.items()}
        foreseen = foresee(self.loaded, self.loaded.sketches(self.options.context))
        found = result(self.loaded, self.options, played, foreseen, seeds)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(found), encoding="utf-8")
        unfinished.replace(path)
        return found


@lru_cache(maxsize=8)
def _loaded(
    path: str, arms: tuple[str, ...], learn_on: str, prompts: int | None, crowd: int, wild: bool
) -> Table:
    table = load(path, arms, learn_on)
    table = table if prompts is None else table.sample(prompts, 0)
    table = crowded(table, crowd) if crowd else table
    return uneven(table) if wild else table


def _showing() -> bytes:
    folder = Path(__file__).parent
    files = ("figures.py", "report.py", "yardsticks.py", "course.py")
    return b"".join((folder / name).read_bytes() for name in files)
