"""The recent prompts as the policy sees them now: what each arm would bring there, and cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jobs.learned import Learned
from policy.belief import Belief
from policy.frontier import Point, frontier
from policy.prediction import compared
from policy.types import Floats
from storage.records import Decision

RECENT = 200


@dataclass(frozen=True, slots=True)
class ArmQuality:
    """What is believed of an arm's mean quality over prompts; `outcomes` is its weight."""

    quality: float
    quality_sd: float
    outcomes: float


@dataclass(frozen=True, eq=False)
class Lately:
    """The recent prompts, oldest first; an arm that could not be asked has NaN as its cost.

    shapes : contexts (n, d); quality, cost_usd (n, k); weight (k,)
    """

    believed: Belief
    arms: tuple[str, ...]
    tasks: tuple[str | None, ...]
    contexts: Floats
    quality: Floats
    cost_usd: Floats
    weight: Floats

    @classmethod
    def of(
        cls,
        learned: Learned,
        arms: Sequence[str],
        recent: Sequence[Decision],
        allowed: Collection[str] | None = None,
    ) -> Self:
        """Return what is believed now of these arms; only those that are allowed can be asked."""
        recent = [each for each in recent if learned.knows(each)]
        names = tuple(arms)
        contexts = [learned.context(each) for each in recent] or [_average(learned)]
        believed = learned.beliefs.quality
        said = [believed.predict(context, names) for context in contexts]
        place = {arm: i for i, arm in enumerate(names) if allowed is None or arm in allowed}
        cost = np.full((len(recent), len(names)), np.nan)
        for row, each in enumerate(recent):
            for arm, usd in zip(each.eligible, each.cost_usd_predicted, strict=True):
                if arm in place:
                    cost[row, place[arm]] = usd
        return cls(
            believed,
            names,
            tuple(each.task for each in recent),
            np.array(contexts),
            np.array([each.mean for each in said]),
            cost,
            said[0].weight,
        )

    def belief(self, arm: str) -> ArmQuality:
        """Return what is believed of an arm over the prompts; without any, on the average one."""
        return self._belief(arm, np.ones(len(self.quality), bool))

    def belief_on(self, arm: str, task: str | None) -> ArmQuality | None:
        """Return what is believed of an arm on the prompts of a task; None without any."""
        rows = np.array([each == task for each in self.tasks], bool)
        return self._belief(arm, rows) if rows.any() else None

    def at(self, willingness_to_pay_usd: float) -> Point | None:
        """Return what this price of a dollar would cost and bring; None before any prompt."""
        found = self.frontier([willingness_to_pay_usd])
        return found[0] if found else None

    def frontier(self, payments: Sequence[float]) -> list[Point]:
        """Return what each price of a dollar would cost and bring; nothing before any prompt."""
        rows = self._asked
        return frontier(self._askable[rows], self.cost_usd[rows], payments) if self.prompts else []

    @property
    def prompts(self) -> int:
        """Return how many of the prompts one of the arms could be asked."""
        return int(self._asked.sum())

    def always(self, arm: str) -> tuple[float, float] | None:
        """Return dollars per request and quality of always asking one arm; None if it never was."""
        cost = self.cost_usd[:, self.arms.index(arm)]
        asked = np.isfinite(cost)
        if not asked.any():
            return None
        quality = self.quality[asked, self.arms.index(arm)]
        return float(cost[asked].mean()), float(np.clip(quality, 0.0, 1.0).mean())

    def _belief(self, arm: str, rows: NDArray[np.bool_]) -> ArmQuality:
        """Return the belief of the mean, which is that of the mean context: quality is linear."""
        said = self.believed.predict(self.contexts[rows].mean(axis=0), (arm,))
        return ArmQuality(float(said.mean[0]), float(said.sd[0]), float(said.weight[0]))

    @cached_property
    def _asked(self) -> NDArray[np.bool_]:
        could: NDArray[np.bool_] = np.any(np.isfinite(self.cost_usd), axis=1)
        return could

    @cached_property
    def _askable(self) -> Floats:
        """Return what each arm that may win a prompt would bring there, NaN elsewhere, (n, k)."""
        may_win = np.isfinite(self.cost_usd)
        for asked in may_win:
            asked[asked] = compared(self.weight[asked])
        return np.where(may_win, self.quality, np.nan)


def _average(learned: Learned) -> Floats:
    average = np.zeros(len(learned.beliefs.quality.prior.groups))
    average[-1] = 1.0
    return average
