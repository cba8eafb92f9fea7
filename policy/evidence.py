"""What one arm has shown, as sums: everything else is derived from them when asked.

Sums add exactly, can be taken back, decay toward nothing (the prior stands apart and stays), and
can be added across partitions of a log. A stored inverse could do none of this without drifting.
"""

from dataclasses import dataclass
from math import exp
from typing import Self

import numpy as np

from policy.types import Floats

FORGOTTEN = 1e-6
"""So little evidence is none: what was asked cannot be told from rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Weighted sums over outcomes: of x x', x r, r^2, 1 and e^r.

    shapes : gram (d, d), moment (d,)
    source : Bishop 2006, eq. 3.50-3.51, at unit noise
    """

    gram: Floats
    moment: Floats
    square: float
    weight: float
    exp: float

    @property
    def mean_context(self) -> Floats:
        """Return what was asked on average, (d,); the constant alone of evidence that is forgotten.

        >>> Evidence.none(2).add(np.array([3.0, 1.0]), 0.5, weight=0.1).mean_context
        array([3., 1.])
        """
        known = self.weight > FORGOTTEN
        mean: Floats = self.gram[-1] / self.weight if known else np.eye(len(self.moment))[-1]
        return mean  # the constant is last

    @classmethod
    def none(cls, d: int) -> Self:
        """Return the evidence of an arm that was never rated."""
        return cls(np.zeros((d, d)), np.zeros(d), 0.0, 0.0, 0.0)

    @classmethod
    def of(cls, contexts: Floats, rewards: Floats, weights: Floats) -> Self:
        """Return the evidence of many outcomes at once, each counted by its weight.

        shapes : contexts (n, d), rewards and weights (n,)

        >>> Evidence.of(np.ones((2, 1)), np.array([0.5, 1.0]), np.array([1.0, 2.0])).moment
        array([2.5])
        """
        scaled = weights[:, None] * contexts
        return cls(
            scaled.T @ contexts,
            scaled.T @ rewards,
            float(weights @ (rewards * rewards)),
            float(weights.sum()),
            float(weights @ np.exp(rewards)),
        )

    def add(self, context: Floats, reward: float, weight: float = 1.0) -> Self:
        """Return the evidence with one more outcome; a negative weight takes one back.

        >>> e = Evidence.none(1).add(np.ones(1), 0.5)
        >>> e.moment, e.weight
        (array([0.5]), 1.0)
        """
        scaled = weight * context
        return type(self)(
            self.gram + np.outer(scaled, context),
            self.moment + scaled * reward,
            self.square + weight * reward * reward,
            self.weight + weight,
            self.exp + weight * exp(reward),
        )

    def add_all(self, contexts: Floats, rewards: Floats) -> Self:
        """Return the evidence with outcomes added one after another: the same bits as by `add`.

        shapes : contexts (n, d), rewards (n,)

        >>> e, x, r = Evidence.none(2), np.array([[0.1, 0.7], [1 / 3, 0.2]]), np.array([0.3, 0.9])
        >>> e.add_all(x, r).gram.tobytes() == e.add(x[0], r[0]).add(x[1], r[1]).gram.tobytes()
        True
        """
        gram, moment = self.gram.copy(), self.moment.copy()
        square, weight, total = self.square, self.weight, self.exp
        outer = np.empty_like(gram)
        for context, reward in zip(contexts, rewards.tolist(), strict=True):
            np.multiply(context[:, None], context, out=outer)
            gram += outer
            moment += context * reward
            square += reward * reward
            weight += 1.0
            total += exp(reward)
        return type(self)(gram, moment, square, weight, total)

    def scaled(self, factor: float) -> Self:
        """Return the evidence counted `factor` times: forgetting, and the ceiling on evals."""
        return type(self)(
            self.gram * factor,
            self.moment * factor,
            self.square * factor,
            self.weight * factor,
            self.exp * factor,
        )

    def plus(self, other: "Evidence") -> Self:
        """Return the evidence of two disjoint sets of outcomes."""
        return type(self)(
            self.gram + other.gram,
            self.moment + other.moment,
            self.square + other.square,
            self.weight + other.weight,
            self.exp + other.exp,
        )
