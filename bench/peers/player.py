"""A peer as a player of a replay: the same prompts, contexts, order and feedback as the router.

Its contexts come from one space fitted to all prompts of the table, without outcomes, because a
peer's own weights would lose their meaning if the space were fitted anew on the way, as the
router's is. That is a little more than the router knows at first.
"""

import atexit
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np

from bench.course import Evals
from bench.options import NO_BUDGET_USD, Options
from bench.peers.environment import ROOT, python
from bench.peers.worker import ADAPTERS, Beginning
from bench.tables import Context, Table
from features.fit import fit
from policy.types import Arm, Floats
from storage.records import Retrain

PREFIX = "peer:"
LIBRARY = {name: name.partition("-")[0] for name in ADAPTERS}


class PeerPlayer:
    """A peer's worker process and what it is told.

    raises : RuntimeError with what it was told last if the worker ends before it answers
    """

    def __init__(self, table: Table, options: Options, seed: int) -> None:
        self._table = table
        self._name = options.policy.removeprefix(PREFIX)
        self._contexts = contexts(table, options.context)
        self._willing_usd = options.willingness_to_pay_usd
        self._priced = options.willingness_to_pay_usd < NO_BUDGET_USD
        self._usd = dict(zip(table.names, table.cost_usd.mean(axis=0).tolist(), strict=True))
        self._budget_usd = options.budget_usd_per_request
        self._seed = seed
        self._paid: dict[int, float] = {}
        self._typical_usd: dict[str, float] = {}
        self._arms: Sequence[Arm] = ()
        self._worker = started(self._name)
        self.decide_s = 0.0
        self.update_s = 0.0

    def choose(self, t: int, row: int, arms: Sequence[Arm]) -> str:
        """Return the peer's arm."""
        self._offer(arms)
        self._tell({"choose": t, "context": self._context(row)})
        answer = self._answer()
        self.decide_s, self.update_s = answer["decide_s"], answer["update_s"]
        return str(answer["arm"])

    def settle(self, t: int, cost_usd: float) -> None:
        """Tell what an answer cost."""
        self._paid[t] = cost_usd
        self._tell({"paid": t, "usd": cost_usd})

    def rate(self, t: int, reward: float, now: int) -> None:
        """Tell the utility of an answer: its reward, less its price if there is one to pay."""
        worth = self._worth(reward, self._paid.pop(t))
        self._tell({"rated": t, "reward": None if np.isnan(worth) else worth})

    def import_evals(self, evals: Evals, arms: Sequence[Arm]) -> None:
        """Tell every score as an outcome, which is how all of them take a warm start.

        What an eval cost is told nobody: its price is that of a typical answer of the arm.
        """
        self._offer(arms)
        for row, scores in zip(evals.rows.tolist(), evals.scores, strict=True):
            for arm in np.flatnonzero(~np.isnan(scores)).tolist():
                name = self._table.names[arm]
                worth = self._worth(float(scores[arm]), self._typical_usd[name])
                self._tell({"evaluated": name, "context": self._context(row), "reward": worth})

    def retrain(self, t: int, *, asked: bool = False) -> Retrain | None:
        """Return None: peers learn from outcome to outcome."""
        return None

    def _offer(self, arms: Sequence[Arm]) -> None:
        if arms is self._arms:
            return
        usual = {arm.name: _price(arm) for arm in self._table.arms}
        offered = self._typical_usd = {
            arm.name: self._usd[arm.name] * _price(arm) / usual[arm.name]
            for arm in shuffled(arms, self._seed)
        }
        if self._arms:
            self._tell({"offer": offered})
        else:
            d = self._contexts.shape[1]
            self._tell({"begin": asdict(Beginning(offered, d, self._seed, self._budget_usd))})
        self._arms = arms

    def _worth(self, reward: float, usd: float) -> float:
        return reward - usd / self._willing_usd if self._priced else reward

    def _context(self, row: int) -> list[float]:
        values: list[float] = self._contexts[row].tolist()
        return values

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._said = next(iter(message))
        print(json.dumps(message), file=self._worker.stdin)

    def _answer(self) -> dict[str, Any]:
        if self._worker.stdin is None or self._worker.stdout is None:
            raise RuntimeError("the worker was started without pipes")
        self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        if not line:
            code = self._worker.wait()
            raise RuntimeError(f"{self._name} ended with code {code} after {self._said!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def shuffled(arms: Sequence[Arm], seed: int) -> list[Arm]:
    """Return the arms in an order of the seed's.

    A peer that knows nothing of several arms takes the first, and a table may list its best first.
    """
    drawn = np.random.default_rng([seed, 2]).permutation(len(arms)).tolist()
    return [arms[place] for place in drawn]


def _price(arm: Arm) -> float:
    return arm.input_usd_per_mtok + arm.output_usd_per_mtok or 1.0


@lru_cache(maxsize=1)
def contexts(table: Table, context: Context) -> Floats:
    """Return the context of every prompt in a space fitted to them all, (n, d)."""
    sketches = table.sketches(context)
    space = fit(sketches, 1)
    return np.stack([space.context(sketch) for sketch in sketches])


@lru_cache
def started(name: str) -> "subprocess.Popen[str]":
    """Return the worker of a peer, which serves one replay after another and ends with us.

    raises : ValueError for a name that is no peer's
    """
    if name not in ADAPTERS:
        raise ValueError(f"peer {name!r} is not known; it is one of {', '.join(ADAPTERS)}")
    command = [str(python(LIBRARY[name])), "-m", "bench.peers.worker", name]
    worker = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(worker.communicate)  # nothing more is asked, and its end is waited for
    return worker
