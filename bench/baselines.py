"""What a result is compared with: chance, single arms, their mixtures, and what knows more than we.

Uniform, best single, static mixture and oracle need no learning; the full-information router is one
ridge regression per arm on every arm's score, which no bandit ever sees.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.tables import Table
from features.fit import fit
from features.sketch import Sketch
from policy.types import Floats

FOLDS = 5
RIDGES = (10.0, 30.0, 100.0, 300.0, 1_000.0)


def baselines(table: Table, sketches: Sequence[Sketch], spend_usd: float) -> dict[str, Any]:
    """Return reward and cost of each baseline over the whole table; the mixture is at this spend."""
    best = int(table.scores.mean(axis=0).argmax())
    known = full_information(table, sketches)
    rows = np.arange(len(table))
    top = table.scores.argmax(axis=1)
    return {
        "uniform": _entry(table.scores.mean(), table.cost_usd.mean()),
        "best_single": {
            "arm": table.arms[best],
            **_entry(table.scores[:, best].mean(), table.cost_usd[:, best].mean()),
        },
        "static_mixture": _entry(static_mixture(table, spend_usd), spend_usd),
        "full_information": _entry(
            table.scores[rows, known].mean(), table.cost_usd[rows, known].mean()
        ),
        "oracle": _entry(table.scores.max(axis=1).mean(), table.cost_usd[rows, top].mean()),
    }


def static_mixture(table: Table, spend_usd: float) -> float:
    """Return the best mean reward of any mixture of two arms that spends no more.

    >>> table = Table("t", ("a", "b"), ("p",), (None,), np.array([[0, 1.0]]), np.array([[0, 2.0]]))
    >>> static_mixture(table, 1.0)
    0.5
    """
    reward, cost = table.scores.mean(axis=0), table.cost_usd.mean(axis=0)
    affordable = [float(r) for r, c in zip(reward, cost, strict=True) if c <= spend_usd]
    mixed = [
        float(reward[i] + (spend_usd - cost[i]) / (cost[j] - cost[i]) * (reward[j] - reward[i]))
        for i in range(len(cost))
        for j in range(len(cost))
        if cost[i] <= spend_usd < cost[j]
    ]
    return max([*affordable, *mixed], default=float(reward[cost.argmin()]))


def full_information(
    table: Table, sketches: Sequence[Sketch]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the arm that a regression on every arm's score would choose for each held-out row.

    The best of a few ridge penalties is taken, which flatters it: it is a bound, not a competitor.

    shapes : (n,)
    """
    space = fit(sketches, 1)
    contexts = np.stack([space.context(sketch) for sketch in sketches])
    order = np.random.default_rng(0).permutation(len(table))
    choices = [_cross_fitted(contexts, table.scores, order, ridge) for ridge in RIDGES]
    rows = np.arange(len(table))
    return max(choices, key=lambda chosen: float(table.scores[rows, chosen].mean()))


def _cross_fitted(
    contexts: Floats, scores: Floats, order: Any, ridge: float
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    chosen = np.zeros(len(order), np.int64)
    penalty = ridge * np.eye(contexts.shape[1])
    penalty[-1, -1] = 1e-3
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        rest = np.setdiff1d(order, held)
        x = contexts[rest]
        weights = np.linalg.solve(x.T @ x + penalty, x.T @ scores[rest])
        chosen[held] = (contexts[held] @ weights).argmax(axis=1)
    return chosen


def _entry(reward: float, cost_usd: float) -> dict[str, float]:
    return {"reward": float(reward), "cost_usd": float(cost_usd)}
