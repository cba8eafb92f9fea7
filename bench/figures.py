"""One seed's figures: what each policy and each yardstick got, on the same prompts in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.course import Course, lay
from bench.options import Options
from bench.replay import Played
from bench.tables import Table
from bench.yardsticks import Foreseen, static_mixture, yardsticks
from policy.types import Floats

WINDOW = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Means over the judged rounds of one seed; `changed` over those a scenario has changed.

    shapes : shares (k,); windows (n // WINDOW,), mean rewards of stretches of WINDOW rounds
    units  : reward, second_half, changed 0..1; NaN where there are no such rounds
    """

    reward: float
    second_half: float
    changed: float
    cost_usd: float
    shares: Floats
    windows: Floats


@dataclass(frozen=True, slots=True, eq=False)
class SeedFigures:
    """Of one seed: every policy, the static mixture at the spend of each, every yardstick."""

    policies: dict[str, Figures]
    mixtures: dict[str, Figures]
    yardsticks: dict[str, Figures]


def figures(
    table: Table,
    options: Options,
    seed: int,
    played: Mapping[str, Played],
    foreseen: Sequence[Foreseen],
) -> SeedFigures:
    """Return the figures of one seed."""
    course, k = lay(table, options, seed).judged(), len(table.arms)
    policies = {
        name: _figures(
            course, each.reward, each.cost_usd, np.bincount(each.arms, minlength=k) / len(each.arms)
        )
        for name, each in played.items()
    }
    sticks = yardsticks(table, course, foreseen, options)
    return SeedFigures(
        policies,
        {name: _of(course, _mixture(course, each.cost_usd)) for name, each in policies.items()},
        {name: _of(course, choice) for name, choice in sticks.items()},
    )


def _mixture(course: Course, spend_usd: float) -> Floats:
    """Return the best mixture, at this spend, of the arms that were always offered, (n, k)."""
    always = np.flatnonzero(course.offered.all(axis=0))
    mixture = np.zeros(course.scores.shape)
    mixture[:, always] = static_mixture(
        course.scores[:, always], course.cost_usd[:, always], spend_usd
    )
    return mixture


def _of(course: Course, choice: Floats) -> Figures:
    reward, cost = (choice * course.scores).sum(axis=1), (choice * course.cost_usd).sum(axis=1)
    return _figures(course, reward, cost, choice.mean(axis=0))


def _figures(course: Course, reward: Floats, cost_usd: Floats, shares: Floats) -> Figures:
    late, changed = reward[len(reward) // 2 :], reward[course.changed]
    return Figures(
        reward=float(reward.mean()),
        second_half=float(late.mean()),
        changed=float(changed.mean()) if len(changed) else np.nan,
        cost_usd=float(cost_usd.mean()),
        shares=shares,
        windows=reward[: len(reward) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(axis=1),
    )
