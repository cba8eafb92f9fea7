"""The baseline to fear: Thompson sampling with one Beta per category and arm, no other features.

With a few thousand thumbs it is hard to beat where the category says what there is to know. It is
shown the category whatever the router is shown, takes graded rewards as parts of a thumb, and knows
of an answer's cost what that arm's answers in that category have cost so far. Its price of a dollar
comes from the router's own pacer.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from bench.course import Evals
from bench.options import START_S, Options
from bench.tables import Table
from policy.books import Hold
from policy.pacer import Pacer
from policy.ring import Forecast, Ring
from policy.types import Arm, Floats
from storage.records import Retrain


class CategoryBeta:
    """Beta(1, 1) for every category and arm at first; the highest drawn utility is chosen."""

    name = "category_beta"

    def __init__(self, table: Table, options: Options, seed: int) -> None:
        self._table = table
        dearest = table.names[int(table.cost_usd.mean(axis=0).argmax())]
        self._pacer = Pacer.of(options.goal(dearest), Ring(explored_share=1.0), START_S)
        self._holds: dict[int, Hold] = {}
        self._rng = np.random.default_rng([seed, 2])
        categories = sorted({str(task) for task in table.tasks})
        place = {task: i for i, task in enumerate(categories)}
        self._categories = [place[str(task)] for task in table.tasks]
        shape = (len(categories), len(table.arms))
        self._good, self._bad = np.ones(shape), np.ones(shape)
        self._spent, self._answers = np.zeros(shape), np.zeros(shape)
        self._chosen: dict[int, tuple[int, int]] = {}
        self.decide_s = 0.0
        self.update_s = 0.0

    def choose(self, t: int, row: int, arms: Sequence[Arm]) -> str:
        """Return the arm whose drawn rate of thumbs, less its price so far, is the highest."""
        started, category = perf_counter(), self._categories[row]
        offered = [self._table.names.index(arm.name) for arm in arms]
        good, bad = self._good[category, offered], self._bad[category, offered]
        drawn, cost_usd = self._rng.beta(good, bad), self._cost_usd(category)[offered]
        taken = int((drawn - cost_usd / self._pacer.willingness_to_pay_usd).argmax())
        arm, names = offered[taken], tuple(each.name for each in arms)
        rated = (self._good + self._bad)[:, offered].sum(axis=0)
        said = good / (good + bad)
        doubt = np.sqrt(said * (1.0 - said) / rated)
        forecast = Forecast(names, said, cost_usd, drawn[None], cost_usd[None], doubt, START_S + t)
        hold = self._holds[t] = Hold(float(cost_usd[taken]), 0.0)
        self._pacer = self._pacer.decided(forecast, hold, START_S + t)
        self.decide_s += perf_counter() - started
        self._chosen[t] = category, arm
        return self._table.names[arm]

    def settle(self, t: int, cost_usd: float) -> None:
        """Learn what an answer cost."""
        self._spent[self._chosen[t]] += cost_usd
        self._answers[self._chosen[t]] += 1
        self._pacer = self._pacer.settled(self._holds.pop(t), cost_usd, START_S + t)

    def rate(self, t: int, reward: float, now: int) -> None:
        """Learn what an answer was worth, NaN for nothing."""
        started, cell = perf_counter(), self._chosen.pop(t)
        if not np.isnan(reward):
            self._good[cell] += reward
            self._bad[cell] += 1.0 - reward
        self.update_s += perf_counter() - started

    def import_evals(self, evals: Evals, arms: Sequence[Arm]) -> None:
        """Learn the arms' scores on some prompts, each as a thumb."""
        for row, scores in zip(evals.rows.tolist(), evals.scores, strict=True):
            known = np.nan_to_num(scores), np.nan_to_num(1.0 - scores)
            self._good[self._categories[row]] += known[0]
            self._bad[self._categories[row]] += known[1]

    def retrain(self, t: int, *, asked: bool = False) -> Retrain | None:
        """Return None: there is nothing to fit."""
        return None

    def _cost_usd(self, category: int) -> Floats:
        """Return the mean dollars of each arm here; not seen here, anywhere; not seen, nothing."""
        here: np.ndarray[Any, Any] = self._answers[category] > 0
        answers, spent = self._answers.sum(axis=0), self._spent.sum(axis=0)
        anywhere = spent / np.maximum(answers, 1.0)
        mean: Floats = self._spent[category] / np.maximum(self._answers[category], 1.0)
        return np.where(here, mean, anywhere)
