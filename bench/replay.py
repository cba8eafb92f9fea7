"""Replay a table against a policy: it sees the outcome of the arm it chose, and nothing else.

A seed fixes the order of the prompts, whose outcome is told, every thumb and every draw.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from bench.router import Router
from bench.tables import Context, Ints, Table
from features.sketch import Sketch
from policy.types import Floats
from storage.records import Decision

NO_BUDGET_USD = 1e6
"""The most the service takes: a cent more for an answer then weighs a hundred-millionth."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a replay is run.

    `feedback` is the share of prompts whose outcome is told, `delay` requests after they were
    served; `binary` turns a score into a thumb of that probability; `warm` prompts are imported as
    evals first and not played.
    """

    context: Context = "text"
    policy: str = "thompson"
    feedback: float = 1.0
    binary: bool = False
    delay: int = 0
    warm: int = 0
    willingness_to_pay_usd: float = NO_BUDGET_USD


@dataclass(slots=True)
class Played:
    """What one policy did with one seed, in the order played.

    `retrains` has one line per retrain, beginning with "promoted" or "refused".

    shapes : rows, arms, reward, cost_usd (n,)
    """

    rows: Ints
    arms: Ints
    reward: Floats
    cost_usd: Floats
    decide_s: float = 0.0
    update_s: float = 0.0
    retrains: list[str] = field(default_factory=list)


def order(n: int, options: Options, seed: int) -> tuple[Ints, Ints]:
    """Return the prompts imported as evals, and those played, in the order of this seed."""
    shuffled = np.random.default_rng(seed).permutation(n)
    return shuffled[: options.warm], shuffled[options.warm :]


def play(table: Table, sketches: Sequence[Sketch], options: Options, seed: int) -> Played:
    """Return what the policy does with the table's prompts in the order of this seed."""
    warm, rows = order(len(table), options, seed)
    told = _told(table, rows, options, seed)
    router = Router(table, sketches, str(seed), options.policy, options.willingness_to_pay_usd)
    played = _begun(router, warm, rows)
    waiting: deque[tuple[int, Decision, float]] = deque()
    for t, row in enumerate(rows.tolist()):
        decision = router.choose(t, row)
        arm = played.arms[t] = table.names.index(decision.arm)
        played.reward[t], played.cost_usd[t] = table.scores[row, arm], table.cost_usd[row, arm]
        waiting.append((t + options.delay, decision, float(told[t, arm])))
        started = perf_counter()
        router.settle(decision, row)
        while waiting and waiting[0][0] <= t:
            _, rated, reward = waiting.popleft()
            if not np.isnan(reward):
                router.rate(rated, reward, t)
        played.update_s += perf_counter() - started
        _note(router, t + 1, played)
    played.decide_s = router.decide_s
    return played


def _begun(router: Router, warm: Ints, rows: Ints) -> Played:
    n = len(rows)
    played = Played(rows, np.zeros(n, np.int64), np.zeros(n), np.zeros(n))
    if len(warm):
        router.import_evals(warm.tolist())
        _note(router, 0, played, asked=True)
    return played


def _told(table: Table, rows: Ints, options: Options, seed: int) -> Floats:
    """Return the reward each arm would be given for each prompt, NaN where none is, (n, k)."""
    rng = np.random.default_rng([seed, 1])
    scores: Floats = table.scores[rows]
    if options.binary:
        scores = (rng.random((len(rows), 1)) < scores).astype(float)
    told = rng.random((len(rows), 1)) < options.feedback
    return np.where(told, scores, np.nan)


def _note(router: Router, t: int, played: Played, *, asked: bool = False) -> None:
    """Retrain if that is due, or asked for, and keep what came of it."""
    done = router.retrain(t, asked=asked)
    if done is not None:
        verdict = "promoted" if done.promoted else "refused"
        played.retrains.append(f"{verdict} after {t}: {done.reason}")
