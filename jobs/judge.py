"""Is a candidate policy better than the incumbent? Asked of the newest, held-out part of the log.

Both are folded over the older part only, then both answer the newer rounds; the doubly robust value
of their difference says which earns more, SNIPS stands beside it, and the effective sample size
says whether that may be believed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from jobs.learned import Learned
from policy.baselines import looks_best
from policy.decide import seeded
from policy.evaluate import (
    LoggedRounds,
    Value,
    calibration_error,
    difference,
    doubly_robust,
    ess,
    snips,
)
from policy.exploration import Allowance, limited
from policy.thompson import Thompson
from policy.types import Floats
from storage.records import Decision, Round


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the held-out rounds say; values are utility per decision, in units of reward.

    `spend_ratio` is the candidate's expected spend over the incumbent's on the same prompts.
    """

    rounds: int
    ess: float
    candidate: Value
    incumbent: Value
    candidate_snips: Value
    incumbent_snips: Value
    gain: Value
    candidate_calibration: float
    incumbent_calibration: float
    spend_ratio: float
    largest_share_move: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data, with numbers that are no numbers as None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """How one policy answers the held-out rounds: its distribution, and the rewards it predicts.

    shapes : (n, k) each
    """

    target: Floats
    quality: Floats


def usable(rounds: Iterable[Round]) -> list[Round]:
    """Return the rounds a value may be estimated from: rated, routed, and really drawn.

    Where one of several arms was certain, as under a fixed rule, nothing says what others would
    earn. One that could not be drawn beside others is unknown there, and the estimators say so.
    """
    return [
        each
        for each in rounds
        if each.reward is not None
        and each.decision.kind == "routed"
        and each.decision.explore
        and _is_drawn(each.decision.propensities)
        and each.outcome is not None
        and each.outcome.status != "continued"
        and each.outcome.arm == each.decision.arm
    ]


def _is_drawn(propensities: Sequence[float]) -> bool:
    return len(propensities) == 1 or max(propensities) < 1.0


def judge(rounds: Sequence[Round], candidate: Learned, incumbent: Learned) -> Judgement | None:
    """Return the comparison over usable rounds that neither has learned from; None without any.

    A round that another hand has spoilt for one of them says nothing of either.
    The reward model is the mean of both policies' predictions: with either one alone, the policy
    whose model it is would look better than it is.
    """
    known = (candidate.knows, incumbent.knows)
    rounds = [each for each in rounds if all(knows(each.decision) for knows in known)]
    if not rounds:
        return None
    arms = sorted({arm for each in rounds for arm in each.decision.eligible})
    theirs, ours = answers(rounds, candidate, arms), answers(rounds, incumbent, arms)
    return compared(rounds, arms, theirs, ours)


def compared(
    rounds: Sequence[Round], arms: Sequence[str], theirs: Answers, ours: Answers
) -> Judgement:
    """Return the comparison of a candidate's answers with the incumbent's, arms in this order."""
    cost = _by_arm(rounds, arms, lambda decision: decision.cost_usd_predicted)
    quality = (theirs.quality + ours.quality) / 2
    after = logged(rounds, arms, theirs.target, quality)
    before = replace(after, target=ours.target)
    drawn = np.arange(len(rounds)), after.action
    reward = np.array([each.reward for each in rounds], dtype=float)
    return Judgement(
        rounds=len(rounds),
        ess=ess(after),
        candidate=doubly_robust(after),
        incumbent=doubly_robust(before),
        candidate_snips=snips(after),
        incumbent_snips=snips(before),
        gain=difference(after, before),
        candidate_calibration=calibration_error(theirs.quality[drawn], reward),
        incumbent_calibration=calibration_error(ours.quality[drawn], reward),
        spend_ratio=_ratio((theirs.target * cost).sum(), (ours.target * cost).sum()),
        largest_share_move=float(np.abs((theirs.target - ours.target).mean(axis=0)).max()),
    )


def logged(
    rounds: Sequence[Round], arms: Sequence[str], target: Floats, quality: Floats
) -> LoggedRounds:
    """Return the rounds as the estimators see them: utility in place of reward and quality.

    A dollar is worth the same in every round, whatever a budget made of it at the time.

    shapes : target, quality (n, k), arms in this order
    """
    action = np.array([arms.index(each.decision.arm) for each in rounds])
    reward = np.array([each.reward for each in rounds], dtype=float)
    pay = float(np.median([each.decision.willingness_to_pay_usd for each in rounds]))
    price = _by_arm(rounds, arms, lambda decision: decision.cost_usd_predicted) / pay
    return LoggedRounds(
        action=action,
        reward=reward - price[np.arange(len(rounds)), action],
        behaviour=_by_arm(rounds, arms, lambda decision: decision.propensities),
        weight=np.ones(len(rounds)),
        target=target,
        predicted=quality - price,
    )


def answers(rounds: Sequence[Round], learned: Learned, arms: Sequence[str]) -> Answers:
    """Return how a policy answers the rounds, with these arms in this order."""
    place = {arm: i for i, arm in enumerate(arms)}
    target, quality = np.zeros((len(rounds), len(arms))), np.zeros((len(rounds), len(arms)))
    for row, each in enumerate(rounds):
        columns = [place[arm] for arm in each.decision.eligible]
        target[row, columns], quality[row, columns] = _answer(each.decision, learned)
    return Answers(target, quality)


def _answer(decision: Decision, learned: Learned) -> tuple[Floats, Floats]:
    """Return the distribution a policy would have drawn from, and its predicted rewards, (k,)."""
    context = learned.context(decision)
    cost_usd, payment = np.array(decision.cost_usd_predicted), decision.willingness_to_pay_usd
    offer = learned.beliefs.offer(context, decision.eligible, cost_usd, payment, decision.words)
    said = learned.beliefs.quality.predict(context, decision.eligible)
    policy = Thompson(learned.beliefs.quality, learned.hyper)
    drawn = policy.propensities(offer, seeded(decision.id))
    allowance = Allowance(policy.hyper.explored_share)
    it = looks_best(said, offer.price)
    return limited(drawn, it, allowance, np.ones(len(drawn))), said.mean


def _by_arm(
    rounds: Sequence[Round], arms: Sequence[str], figures: Callable[[Decision], Sequence[float]]
) -> Floats:
    """Return a figure that each decision has of each eligible arm, 0 where not eligible, (n, k)."""
    found = np.zeros((len(rounds), len(arms)))
    for row, each in enumerate(rounds):
        columns = [arms.index(arm) for arm in each.decision.eligible]
        found[row, columns] = figures(each.decision)
    return found


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
