"""How satisfied those were who rated, and would have been with the baseline, as far as a log tells.

Those who rate are no sample of all: both figures are of them. What the baseline would have got is
the doubly robust value of always taking it, from the logged propensities (`policy/evaluate.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from jobs.judge import usable
from jobs.requests import DELIVERED
from policy.evaluate import LoggedRounds, Value, difference, doubly_robust, ess, mean_interval
from storage.records import Round

WHOLE = DELIVERED | {"continued"}
FEWEST_ESS = 30.0
MOST_BLIND = 0.25
AS_DECIDED: Mapping[str, float] = {}


class RatedRound(NamedTuple):
    """One rated round: what was said of the arm that answered, and what it was drawn from.

    Without `propensities` the round tells nothing of other arms. An answer is not whole that its
    reader has stopped, or that broke off.
    """

    at_s: float
    tenant: str
    task: str | None
    arm: str
    reward: float
    eligible: tuple[str, ...] = ()
    propensities: tuple[float, ...] = ()
    quality: tuple[float, ...] = ()
    is_whole: bool = True

    @classmethod
    def of(cls, each: Round) -> Self | None:
        """Return a round as it was rated; a stored answer is nobody's, and unrated says nothing."""
        decision, outcome = each.decision, each.outcome
        if each.reward is None or outcome is None or decision.kind == "cached":
            return None
        said = decision.decided_at_s, decision.tenant, decision.task, outcome.arm, each.reward
        whole = outcome.status in WHOLE
        if not usable([each]):
            return cls(*said, is_whole=whole)
        drawn = decision.eligible, decision.propensities, decision.quality
        return cls(*said, *drawn, is_whole=whole)


def rated_rounds(
    rounds: Iterable[Round], begun_s: Mapping[str, float] = AS_DECIDED
) -> list[RatedRound]:
    """Return what was said, of rounds in any order.

    `begun_s` is when the request of a decision began, where it was not with this decision.
    """
    said = ((each.decision.id, RatedRound.of(each)) for each in rounds)
    found = ((identity, rated) for identity, rated in said if rated is not None)
    return [rated._replace(at_s=begun_s.get(identity, rated.at_s)) for identity, rated in found]


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """A mean reward with its 95 % interval, or why there is none."""

    rated: int
    mean: float | None
    low: float | None
    high: float | None
    why_not: str | None = None

    @classmethod
    def told(cls, value: Value, rated: int, why_not: str | None = None, least: float = 0.0) -> Self:
        """Return a value as it is shown, or not shown; no reward is beyond `least` and 1."""
        if why_not is not None:
            return cls(rated, None, None, None, why_not)
        low, high = value.interval
        return cls(rated, value.mean, max(low, least), min(high, 1.0))


def ours(said: Sequence[RatedRound]) -> Satisfaction:
    """Return the mean of what was said, with an interval that holds also where few say the same."""
    n = len(said)
    if n == 0:
        return Satisfaction(0, None, None, None, "nobody has rated an answer yet")
    rewards = np.array([rated.reward for rated in said])
    low, high = mean_interval(n, float(rewards.sum()), float(rewards @ rewards))
    return Satisfaction(n, float(rewards.mean()), low, high)


def of_baseline(said: Sequence[RatedRound], arm: str) -> tuple[Satisfaction, Satisfaction]:
    """Return what the baseline would have got, and how much more those who rated got as it was."""
    heard = [rated for rated in said if arm in rated.eligible]
    n = len(heard)
    if n < FEWEST_ESS:
        few = (
            f"{n} rated answers were drawn where {arm} could have been, and {FEWEST_ESS:.0f} are "
            "needed"
        )
        return (Satisfaction(n, None, None, None, few),) * 2
    as_it_was, always = _rounds(heard, arm)
    value, gain, enough = doubly_robust(always), difference(as_it_was, always), ess(always)
    why_not = None
    if enough < FEWEST_ESS:
        why_not = (
            f"too few rated answers came from {arm} by the draw to tell what it would have got of "
            f"the others: they count as {enough:.1f}, and {FEWEST_ESS:.0f} are needed"
        )
    elif value.blind > MOST_BLIND:
        why_not = f"of {value.blind:.0%} of the ratings the log says nothing about {arm}"
    return Satisfaction.told(value, n, why_not), Satisfaction.told(gain, n, why_not, -1.0)


def _rounds(said: Sequence[RatedRound], arm: str) -> tuple[LoggedRounds, LoggedRounds]:
    """Return the rounds under what served, and under always taking one arm."""
    arms = sorted({each for rated in said for each in rated.eligible})
    behaviour, quality = np.zeros((2, len(said), len(arms)))
    for row, rated in enumerate(said):
        columns = [arms.index(each) for each in rated.eligible]
        behaviour[row, columns] = rated.propensities
        quality[row, columns] = rated.quality
    as_it_was = LoggedRounds(
        action=np.array([arms.index(rated.arm) for rated in said]),
        reward=np.array([rated.reward for rated in said]),
        behaviour=behaviour,
        weight=np.ones(len(said)),
        target=behaviour,
        predicted=quality,
    )
    always = np.zeros_like(behaviour)
    always[:, arms.index(arm)] = 1.0
    return as_it_was, replace(as_it_was, target=always)
