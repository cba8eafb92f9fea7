"""MABWiser's LinTS and LinUCB: one ridge regression for each arm.

source : MABWiser 2.7, LearningPolicy.LinTS and LinUCB. LinTS has the alpha of its example; for
         LinUCB 0.1 did better on samples of three tables than 0.5 and the 1.25 of its example
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.peers.worker import Beginning

LINTS_ALPHA = 0.25
LINUCB_ALPHA = 0.1


class Linear:
    """A MAB of the library; until something has been rated it is not fitted and draws an arm."""

    def __init__(self, beginning: Beginning, policy: str, alpha: float) -> None:
        from mabwiser.mab import MAB, LearningPolicy  # not in the service's environment

        learning: Any = getattr(LearningPolicy, policy)(alpha=alpha)
        self._mab: Any = MAB(list(beginning.arms), learning, seed=beginning.seed)
        self._arms = list(beginning.arms)
        self._fitted = False
        self._rng = np.random.default_rng(beginning.seed)

    def offer(self, arms: Mapping[str, float]) -> None:
        """Add what is new; it knows nothing of prices."""
        for name in arms:
            if name not in self._arms:
                self._mab.add_arm(name)
                self._arms.append(name)

    def choose(self, context: list[float]) -> tuple[str, float]:
        """Return what the library predicts."""
        if not self._fitted:
            return self._arms[int(self._rng.integers(len(self._arms)))], 1 / len(self._arms)
        return str(self._mab.predict([context])), 1.0

    def learn(self, arm: str, context: list[float], reward: float, propensity: float) -> None:
        """Fit on one more outcome."""
        learn = self._mab.partial_fit if self._fitted else self._mab.fit
        learn([arm], [reward], [context])
        self._fitted = True

    def pay(self, usd: float) -> None:
        """Do nothing: it knows nothing of costs."""


class LinTS(Linear):
    """Thompson sampling."""

    def __init__(self, beginning: Beginning) -> None:
        super().__init__(beginning, "LinTS", LINTS_ALPHA)


class LinUCB(Linear):
    """Upper confidence bounds."""

    def __init__(self, beginning: Beginning) -> None:
        super().__init__(beginning, "LinUCB", LINUCB_ALPHA)
