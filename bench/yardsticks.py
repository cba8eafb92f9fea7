"""What a policy is compared with, each as a distribution over arms for every prompt of a table.

Uniform, the word-count rule, the best single arm and the static mixture look at no prompt's
outcome; the full-information router is one regression per arm on every arm's score, which no bandit
ever sees; the oracle knows the score of this very prompt.
"""

from collections.abc import Sequence

import numpy as np

from bench.tables import Ints, Table
from features.fit import fit
from features.sketch import Sketch
from policy.baselines import WordCount
from policy.offer import Offer
from policy.types import Floats

FOLDS = 5
RIDGES = (1.0, 10.0, 100.0, 1000.0)
CONSTANT_RIDGE = 1e-6


def yardsticks(table: Table, sketches: Sequence[Sketch], willing_usd: float) -> dict[str, Floats]:
    """Return how each yardstick chooses on every prompt, (n, k) each; utility has this price."""
    utility = table.scores - table.cost_usd / willing_usd
    n, k = table.scores.shape
    return {
        "uniform": np.full((n, k), 1.0 / k),
        "word_count": _word_count(table),
        "best_single": _certain(np.full(n, utility.mean(axis=0).argmax()), k),
        "full_information": _certain(full_information(utility, sketches), k),
        "oracle": _certain(_oracle(utility, table.cost_usd), k),
    }


def static_mixture(scores: Floats, cost_usd: Floats, spend_usd: float) -> Floats:
    """Return the mixture of two arms with the best mean score that spends no more on average.

    It is chosen in hindsight. Where even the cheapest arm costs more, it is that arm.

    shapes : scores, cost_usd (n, k) -> (k,)

    >>> static_mixture(np.array([[0.5, 1.0]]), np.array([[1.0, 3.0]]), 2.0)
    array([0.5, 0.5])
    """
    reward, cost = scores.mean(axis=0), cost_usd.mean(axis=0)
    arms = np.eye(len(cost))
    mixtures = [arms[cost.argmin()], *arms[cost <= spend_usd]]
    for i in np.flatnonzero(cost <= spend_usd):
        for j in np.flatnonzero(cost > spend_usd):
            dear = (spend_usd - cost[i]) / (cost[j] - cost[i])
            mixtures.append((1.0 - dear) * arms[i] + dear * arms[j])
    affordable = [mixture for mixture in mixtures if mixture @ cost <= spend_usd * (1 + 1e-9)]
    best: Floats = max(affordable or mixtures[:1], key=lambda mixture: float(mixture @ reward))
    return best


def full_information(utility: Floats, sketches: Sequence[Sketch]) -> Ints:
    """Return for each prompt the arm that looks best to regressions on all the other folds.

    Of a few ridge penalties the best in hindsight is taken: this is a bound, not a competitor.

    shapes : utility (n, k) -> (n,)
    """
    space = fit(sketches, 1)
    contexts = np.stack([space.context(sketch) for sketch in sketches])
    folds = np.random.default_rng(0).permutation(len(utility)) % FOLDS
    rows = np.arange(len(utility))
    choices = [_cross_fitted(contexts, utility, folds, ridge) for ridge in RIDGES]
    return max(choices, key=lambda chosen: float(utility[rows, chosen].mean()))


def _cross_fitted(contexts: Floats, utility: Floats, folds: Ints, ridge: float) -> Ints:
    penalty = np.diag(np.full(contexts.shape[1], ridge))
    penalty[-1, -1] = CONSTANT_RIDGE
    chosen = np.zeros(len(utility), np.int64)
    for fold in range(FOLDS):
        held, x = folds == fold, contexts[folds != fold]
        weights = np.linalg.solve(x.T @ x + penalty, x.T @ utility[~held])
        chosen[held] = (contexts[held] @ weights).argmax(axis=1)
    return chosen


def _oracle(utility: Floats, cost_usd: Floats) -> Ints:
    """Return the arm of the highest utility on each prompt, of equals the cheapest."""
    equal = utility >= utility.max(axis=1, keepdims=True) - 1e-12
    cheapest: Ints = np.where(equal, cost_usd, np.inf).argmin(axis=1)
    return cheapest


def _word_count(table: Table) -> Floats:
    """Return the rule's choice, with the arms ranked by what they cost on average."""
    rng, cost = np.random.default_rng(0), table.cost_usd.mean(axis=0)
    lengths = [len(prompt.split()) for prompt in table.prompts]
    offers = [Offer(np.ones(1), table.names, cost, words) for words in lengths]
    return np.stack([WordCount().propensities(offer, rng) for offer in offers])


def _certain(chosen: Ints, k: int) -> Floats:
    pmf: Floats = np.eye(k)[chosen]
    return pmf
