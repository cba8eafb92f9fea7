"""What a policy is compared with, each as a distribution over arms for every prompt of a course.

Uniform and the word-count rule look at no outcome; the pick from evals looks at the evals imported;
the best single arm and the static mixture are chosen in hindsight; the full-information router is
one regression per arm on every arm's score and cost, which no bandit ever sees; the oracle knows
both for this very prompt. With a budget the single arm, full information and the oracle keep
to it; the latter two by one price of a dollar, which cannot split prompts that are alike, so where
most are they stay far below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.course import Bools, Course
from bench.options import Options
from bench.tables import Ints, Table
from features.fit import fit
from features.sketch import Sketch
from policy.baselines import WordCount
from policy.offer import Offer
from policy.types import Floats

FOLDS = 5
RIDGES = (1.0, 10.0, 100.0, 1000.0)
CONSTANT_RIDGE = 1e-6
BISECTIONS = 40
ROUNDED = 1.0 + 1e-9
"""A mean of equal costs may be off their value by this factor."""
STEEPNESS = (1e-6, 1e12)
"""Thumbs that a dollar may be worth."""


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """What regressions on all the other folds say of every prompt of a table.

    shapes : quality, cost_usd (n, k)
    """

    quality: Floats
    cost_usd: Floats


def yardsticks(
    table: Table, course: Course, foreseen: Sequence[Foreseen], options: Options
) -> dict[str, Floats]:
    """Return how each yardstick chooses in every judged round, (n, k) each."""
    n, k = course.scores.shape
    always: Bools = np.asarray(course.offered.all(axis=0))
    mean_cost = _of_offered(course.cost_usd.mean(axis=0), always, np.inf)
    found = {
        "uniform": course.offered / course.offered.sum(axis=1, keepdims=True),
        "word_count": _word_count(table, course),
        "best_single": _single(
            _of_offered(course.scores.mean(axis=0), always, -np.inf), mean_cost, options, n
        ),
        "full_information": max(
            (_informed(course, each, options) for each in foreseen),
            key=lambda choice: _worth(course, choice, options),
        ),
        "oracle": _certain(_best(course, course.scores, course.cost_usd, options), k),
    }
    for evals in course.evals[: min(options.warm, 1)]:
        evaluated: Bools = np.asarray(np.isfinite(evals.scores).all(axis=0))
        scores = _of_offered(evals.scores.mean(axis=0), evaluated, -np.inf)
        found["evals_pick"] = _single(scores, mean_cost, options, n)
    return found


def static_mixture(scores: Floats, cost_usd: Floats, spend_usd: float) -> Floats:
    """Return the mixture of two arms with the best mean score that spends no more on average.

    It is chosen in hindsight. Where even the cheapest arm costs more, it is that arm.

    shapes : scores, cost_usd (n, k) -> (k,)

    >>> static_mixture(np.array([[0.5, 1.0]]), np.array([[1.0, 3.0]]), 2.0)
    array([0.5, 0.5])
    """
    reward, cost = scores.mean(axis=0), cost_usd.mean(axis=0)
    mixture = np.zeros(len(cost))
    keeps = cost <= spend_usd * ROUNDED
    cheap, dear = np.flatnonzero(keeps), np.flatnonzero(~keeps)
    if not len(cheap):
        mixture[cost.argmin()] = 1.0
        return mixture
    best = cheap[reward[cheap].argmax()]
    left_usd = np.maximum(spend_usd - cost[cheap, None], 0.0)
    share = left_usd / (cost[dear] - cost[cheap, None])
    worth = (1.0 - share) * reward[cheap, None] + share * reward[dear]
    if not len(dear) or worth.max() <= reward[best]:
        mixture[best] = 1.0
        return mixture
    i, j = np.unravel_index(worth.argmax(), worth.shape)
    mixture[cheap[i]], mixture[dear[j]] = 1.0 - share[i, j], share[i, j]
    return mixture


def cheapest_mixture(scores: Floats, cost_usd: Floats, reward: float) -> float:
    """Return what the cheapest mixture of two arms with this mean score costs, in hindsight.

    shapes : scores, cost_usd (n, k)

    >>> cheapest_mixture(np.array([[0.5, 1.0]]), np.array([[1.0, 3.0]]), 0.75)
    2.0
    """
    score, cost = scores.mean(axis=0), cost_usd.mean(axis=0)
    below, enough = np.flatnonzero(score < reward), np.flatnonzero(score >= reward)
    share = (reward - score[below, None]) / (score[enough] - score[below, None])
    mixed = (1.0 - share) * cost[below, None] + share * cost[enough]
    return float(min(cost[enough].min(), mixed.min(initial=np.inf)))


def foresee(table: Table, sketches: Sequence[Sketch]) -> list[Foreseen]:
    """Return what full information foresees of every prompt, once for each ridge penalty.

    Of the penalties the best in hindsight is taken later: this is a bound, not a competitor.
    """
    space = fit(sketches, 1)
    contexts = np.stack([space.context(sketch) for sketch in sketches])
    folds = np.random.default_rng(0).permutation(len(table)) % FOLDS
    targets = np.hstack([table.scores, table.cost_usd])
    return [
        Foreseen(*np.hsplit(_cross_fitted(contexts, targets, folds, ridge), 2)) for ridge in RIDGES
    ]


class Deserved(NamedTuple):
    """An arm's share under full information; `least` and `most` where penalties are level."""

    share: float = 0.0
    least: float = 0.0
    most: float = 0.0


def deserved(table: Table, sketches: Sequence[Sketch], arm: int) -> Deserved:
    """Return an arm's share of the prompts under full information, whatever it costs.

    Where arms are nearly as good as each other, routers that bring the same differ much in whom
    they ask: the range is over those less than a standard error of the difference below the best.
    """
    chosen = np.stack([each.quality.argmax(axis=1) for each in foresee(table, sketches)])
    brought, shares = table.scores[np.arange(len(table)), chosen], (chosen == arm).mean(axis=1)
    among = shares[level(brought)]
    return Deserved(*map(float, (shares[brought.mean(axis=1).argmax()], among.min(), among.max())))


def level(brought: Floats) -> Bools:
    """Return which routers brought as much as the best, within a standard error of the difference.

    shapes : brought (routers, n) -> (routers,)

    >>> level(np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])).tolist()
    [True, True, False]
    """
    behind = brought[brought.mean(axis=1).argmax()] - brought
    within: Bools = behind.mean(axis=1) <= behind.std(axis=1) / np.sqrt(brought.shape[1])
    return within


def _cross_fitted(contexts: Floats, targets: Floats, folds: Ints, ridge: float) -> Floats:
    penalty = np.diag(np.full(contexts.shape[1], ridge))
    penalty[-1, -1] = CONSTANT_RIDGE
    said = np.zeros_like(targets)
    for fold in range(FOLDS):
        held, x = folds == fold, contexts[folds != fold]
        weights = np.linalg.solve(x.T @ x + penalty, x.T @ targets[~held])
        said[held] = contexts[held] @ weights
    return said


def _informed(course: Course, foreseen: Foreseen, options: Options) -> Floats:
    quality, price = course.factors()
    known = foreseen.quality[course.rows] * quality, foreseen.cost_usd[course.rows] * price
    return _certain(_best(course, *known, options), course.scores.shape[1])


def _best(course: Course, quality: Floats, cost_usd: Floats, options: Options) -> Ints:
    """Return the arm of the highest utility in each round, of equals the cheapest.

    A budget sets the price of a dollar: the lowest at which what is really paid keeps to it.
    """
    if options.budget_usd_per_request is None:
        return _dearest(course, quality, cost_usd, 1.0 / options.willingness_to_pay_usd)
    rows, low, high = np.arange(len(course.rows)), *np.log(STEEPNESS)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2  # the answer may be of any magnitude
        chosen = _dearest(course, quality, cost_usd, float(np.exp(middle)))
        paid_usd = course.cost_usd[rows, chosen].mean()
        kept = paid_usd <= options.budget_usd_per_request * ROUNDED
        low, high = (low, middle) if kept else (middle, high)
    return _dearest(course, quality, cost_usd, float(np.exp(high)))


def _dearest(course: Course, quality: Floats, cost_usd: Floats, steep: float) -> Ints:
    """Return the arm of the highest quality less `steep` times its cost, of equals the cheapest."""
    utility = np.where(course.offered, quality - steep * cost_usd, -np.inf)
    equal = utility >= utility.max(axis=1, keepdims=True) - 1e-12
    cheapest: Ints = np.where(equal, cost_usd, np.inf).argmin(axis=1)
    return cheapest


def _single(quality: Floats, cost_usd: Floats, options: Options, n: int) -> Floats:
    """Return the one arm of the highest utility; with a budget, of those that keep to it."""
    budget = options.budget_usd_per_request
    if budget is None:
        chosen = int((quality - cost_usd / options.willingness_to_pay_usd).argmax())
    elif (kept := cost_usd <= budget * ROUNDED).any():
        chosen = int(np.where(kept, quality, -np.inf).argmax())
    else:
        chosen = int(cost_usd.argmin())
    return _certain(np.full(n, chosen), len(quality))


def _worth(course: Course, choice: Floats, options: Options) -> float:
    value = course.scores
    if options.budget_usd_per_request is None:
        value = value - course.cost_usd / options.willingness_to_pay_usd
    return float((choice * value).sum())


def _of_offered(values: Floats, always: Bools, otherwise: float) -> Floats:
    found: Floats = np.where(always, values, otherwise)
    return found


def _word_count(table: Table, course: Course) -> Floats:
    """Return the rule's choice, with the arms offered ranked by what they cost on average."""
    rng, pmf = np.random.default_rng(0), np.zeros(course.scores.shape)
    for since, until in course.spans:
        arms = np.flatnonzero(course.offered[since])
        names, cost = tuple(table.names[i] for i in arms), course.cost_usd[since:until].mean(axis=0)
        for t in range(since, until):
            words = len(table.prompts[course.rows[t]].split())
            offer = Offer(np.ones(1), names, cost[arms], words)
            pmf[t, arms] = WordCount().propensities(offer, rng)
    return pmf


def _certain(chosen: Ints, k: int) -> Floats:
    pmf: Floats = np.eye(k)[chosen]
    return pmf
