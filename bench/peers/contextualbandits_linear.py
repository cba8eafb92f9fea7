"""contextualbandits' LinTS: Thompson sampling over one linear regression for each arm.

source : contextualbandits 0.3, online.LinTS; its page advises to lower v_sq from 1, and
         `method="sm"` for updates one by one. On samples of three tables this did best of seven
         settings, and better than its BootstrappedTS
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.peers.worker import Beginning

V_SQ = 0.01


class LinTS:
    """The library's LinTS; the last entry of a context is its intercept already."""

    def __init__(self, beginning: Beginning) -> None:
        from contextualbandits.online import LinTS as Theirs  # not in the service's environment

        self._arms = list(beginning.arms)
        self._rng = np.random.default_rng(beginning.seed)
        self._bandit: Any = Theirs(
            nchoices=list(beginning.arms),
            v_sq=V_SQ,
            sample_from="ci",
            fit_intercept=False,
            method="sm",
            random_state=beginning.seed + 1,  # it must be above 0
        )
        self._fitted = False

    def offer(self, arms: Mapping[str, float]) -> None:
        """Add what is new; it knows nothing of prices."""
        for name in arms:
            if name not in self._arms:
                self._bandit.add_arm(name)
                self._arms.append(name)

    def choose(self, context: list[float]) -> tuple[str, float]:
        """Return what the library predicts; before any outcome it draws an arm."""
        if not self._fitted:
            return self._arms[int(self._rng.integers(len(self._arms)))], 1 / len(self._arms)
        return str(self._bandit.predict(np.array([context]))[0]), 1.0

    def learn(self, arm: str, context: list[float], reward: float, propensity: float) -> None:
        """Fit on one more outcome."""
        self._bandit.partial_fit(np.array([context]), np.array([arm]), np.array([reward]))
        self._fitted = True

    def pay(self, usd: float) -> None:
        """Do nothing: it knows nothing of costs."""
