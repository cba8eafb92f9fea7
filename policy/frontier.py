"""What moving the willingness to pay would do to spend and quality, on recent prompts.

The recent contexts with their predicted quality and cost are enough to answer it; no request is
made. `GET /policy` shows it; what sets the price for a budget is `policy/ring.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy.types import Floats


@dataclass(frozen=True, slots=True)
class Point:
    """One price of a dollar with what it would bring per request, by posterior means.

    `shares` is the share of the prompts that each arm would get.
    """

    willingness_to_pay_usd: float
    cost_usd: float
    quality: float
    shares: tuple[float, ...]


def frontier(quality: Floats, cost_usd: Floats, payments: Sequence[float]) -> list[Point]:
    """Return what the best arm of each prompt would cost and bring at each willingness to pay.

    A mean reward that was predicted below 0 or above 1 chooses as it is, and brings what can be.

    shapes : quality, cost_usd (n, k); NaN where an arm was not eligible

    >>> points = frontier(np.array([[0.5, 0.9]]), np.array([[0.001, 0.01]]), [0.001, 1.0])
    >>> [(p.cost_usd, p.quality) for p in points]
    [(0.001, 0.5), (0.01, 0.9)]
    """
    return [_point(quality, cost_usd, payment) for payment in payments]


def _point(quality: Floats, cost_usd: Floats, payment: float) -> Point:
    best = np.nanargmax(quality - cost_usd / payment, axis=1)
    rows = np.arange(len(best))
    shares = np.bincount(best, minlength=quality.shape[1]) / len(best)
    brought = np.clip(quality[rows, best], 0.0, 1.0)
    cost = float(cost_usd[rows, best].mean())
    return Point(payment, cost, float(brought.mean()), tuple(shares.tolist()))
