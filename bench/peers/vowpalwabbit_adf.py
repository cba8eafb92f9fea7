"""Vowpal Wabbit's `--cb_explore_adf` with SquareCB, features of the prompt crossed with the arm.

source : its pages on contextual bandits and SquareCB (Foster and Rakhlin 2020); costs are negative
         rewards, labels carry the probability that was drawn from. Of its explorers, on samples of
         three tables, SquareCB at its own gamma and a constant learning rate did best
"""

import random
from collections.abc import Mapping
from typing import Any

from bench.peers.worker import Beginning

ARGUMENTS = "--cb_explore_adf --cb_type mtr --squarecb --power_t 0 -q ca --quiet"


class SquareCB:
    """A workspace of the library."""

    def __init__(self, beginning: Beginning) -> None:
        from vowpalwabbit import Workspace  # not in the service's environment

        self._workspace: Any = Workspace(f"{ARGUMENTS} --random_seed {beginning.seed}")
        self._arms = list(beginning.arms)
        self._rng = random.Random(beginning.seed)  # noqa: S311 (a draw, not a secret)

    def offer(self, arms: Mapping[str, float]) -> None:
        """Add what is new; it knows nothing of prices."""
        self._arms += [name for name in arms if name not in self._arms]

    def choose(self, context: list[float]) -> tuple[str, float]:
        """Return an arm drawn from the distribution the library gives."""
        pmf = self._workspace.predict([_shared(context), *map(self._action, self._arms)])
        place = self._rng.choices(range(len(pmf)), pmf)[0]
        return self._arms[place], pmf[place] / sum(pmf)

    def learn(self, arm: str, context: list[float], reward: float, propensity: float) -> None:
        """Learn one outcome with the probability of the arm."""
        label = f"0:{-reward:.6g}:{propensity:.6g} "
        actions = [label * (name == arm) + self._action(name) for name in self._arms]
        self._workspace.learn([_shared(context), *actions])

    def pay(self, usd: float) -> None:
        """Do nothing: it knows nothing of costs."""

    def _action(self, name: str) -> str:
        return f"|a arm{self._arms.index(name)}"  # a name may hold a bar or a colon


def _shared(context: list[float]) -> str:
    features = " ".join(f"{i}:{value:.6g}" for i, value in enumerate(context))
    return f"shared |c {features}"
