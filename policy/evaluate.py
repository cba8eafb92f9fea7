"""Off-policy evaluation: what another policy would have earned on our own log.

Each estimator weighs the rounds of a log. What a weight could have been is logged too, arm by arm,
so its spread is known and need not be guessed from the rounds that happened to be drawn: where one
draw in three hundred carries the estimate, most logs show no such draw and would look certain. Of
what a log hardly could have drawn it says nothing; there the model is asked, and may be all wrong.

Rounds without feedback take part as label weight 0: `weight` = 1 / P(labelled) where a reward is
known, 0 where it is not. Who speaks up may depend on what there is to say: an arm whose answers are
labelled more often than others' is told by how often it was drawn, and set against them.
"""

from dataclasses import dataclass, replace

import numpy as np

from policy.types import Floats

Z_95 = 1.959963984540054
WIDEST = 0.25
"""No reward in 0..1 varies more: what is believed of an arm's surprise before it was seen ..."""
WIDEST_ROUNDS = 4.0
"""... worth this many rounds, as the noise of `policy/prior.py` is."""
ALIKE_ROUNDS = 8.0
"""So many rounds, drawn as was to be expected, stand beside those of an arm: few show no rate."""
STEPS = 20
"""Until the odds of arms among labelled rounds are found, to within .003."""
BINS = 10
LARGEST_WEIGHTS = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 1e4, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class LoggedRounds:
    """A stretch of the log with what the target policy would have done in each round.

    An arm that was not eligible has behaviour and target 0.

    shapes : action, reward, weight (n,); behaviour, target, predicted (n, k)
    """

    action: np.ndarray[tuple[int], np.dtype[np.int64]]
    reward: Floats
    behaviour: Floats
    weight: Floats
    target: Floats
    predicted: Floats

    @property
    def importance(self) -> Floats:
        """Return the importance weight of each round, label weight included, (n,)."""
        drawn = np.arange(len(self.action)), self.action
        return self.target[drawn] / self.behaviour[drawn] * self.weight

    @property
    def expected_square(self) -> Floats:
        """Return what each arm adds to the square of a round's weight, before one is drawn, (n, k).

        It is infinite where the target takes an arm that could not have been drawn.
        """
        drawable = self.behaviour > 0
        odds = np.where(drawable, self.behaviour, 1.0)
        square: Floats = self.target**2 / odds * self.weight[:, None] ** 2
        square[~drawable & (self.target != 0)] = np.inf
        return square


@dataclass(frozen=True, slots=True)
class Value:
    """An estimated value per decision with its standard error.

    `blind` is the share of the target's decisions that the log says nothing of.
    """

    mean: float
    se: float
    blind: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval; where it is blind, a reward may differ by 1 from the model."""
        half = Z_95 * self.se + self.blind
        return self.mean - half, self.mean + half


def mean_interval(n: int, total: float, square: float) -> tuple[float, float]:
    """Return the 95 % interval of the mean of n rewards in 0..1, of their sum and sum of squares.

    As many good as bad rewards are put beside them, `WIDEST_ROUNDS` in all, and the interval is
    around the mean with those: few thumbs that agree are not taken for certainty.

    source : Agresti and Coull 1998

    >>> mean_interval(96, 48.0, 48.0)
    (0.402..., 0.597...)
    """
    rounds, half = n + WIDEST_ROUNDS, WIDEST_ROUNDS / 2
    mean = (total + half) / rounds
    off = Z_95 * float(np.sqrt(max((square + half) / rounds - mean * mean, 0.0) / rounds))
    return max(mean - off, 0.0), min(mean + off, 1.0)


def heard(rounds: LoggedRounds) -> tuple[LoggedRounds, Floats]:
    """Return the rounds with the part of the target that the log speaks of, and the part left over.

    The largest weight is the one that promises the shortest interval. It is chosen without a look
    at any reward; what lies beyond it would add more error than knowing nothing of it does.

    shapes : left over (n, k)
    source : bias-aware intervals, Armstrong and Kolesar 2018, with the widest bias there can be
    """

    def length(kept: LoggedRounds) -> float:
        error = np.sqrt(WIDEST * kept.expected_square.sum())
        return float(Z_95 * error + np.abs(rounds.target - kept.target).sum())

    kept = min((_weighing_at_most(rounds, largest) for largest in LARGEST_WEIGHTS), key=length)
    return kept, rounds.target - kept.target


def as_labelled(rounds: LoggedRounds) -> LoggedRounds:
    """Return the rounds with the odds of each arm among those that are labelled as behaviour.

    How often an arm's answers are labelled, next to others', is told by how often it was to be
    expected among them. Neither rewards nor target are asked: an estimate stays linear in that.

    source : offsets of a multinomial logit, McFadden 1978; towards 1 by `ALIKE_ROUNDS`
    """
    odds, labelled = rounds.behaviour, rounds.weight[:, None]
    found = np.bincount(rounds.action, rounds.weight, minlength=odds.shape[1]) + ALIKE_ROUNDS
    often = np.ones(odds.shape[1])
    for _ in range(STEPS):
        expected = (labelled * odds / (odds @ often)[:, None]).sum(axis=0)
        often = found / (expected + ALIKE_ROUNDS)
        often /= (odds @ often).mean()
    return replace(rounds, behaviour=odds * often / (odds @ often)[:, None])


def snips(rounds: LoggedRounds) -> Value:
    """Return the self-normalised estimate: a small bias for much less variance.

    source : Swaminathan and Joachims 2015, eq. 9; delta-method error
    """
    kept, left = heard(rounds)
    weights, blind = kept.importance, _share(left)
    total, expected = float(weights.sum()), float(kept.target.sum())
    if total <= 0 or expected <= 0:
        return Value(float("nan"), float("inf"), blind)
    mean = float((weights * rounds.reward).sum()) / total
    # A log that drew less of the target than was to be expected knows less of it.
    variance = _drawn(kept, rounds.reward - mean) * expected / total
    unheard = float((left * rounds.predicted).sum())
    return _value((mean * expected + unheard) / len(weights), variance, len(weights), blind)


def doubly_robust(rounds: LoggedRounds) -> Value:
    """Return the doubly robust estimate: right if either the propensities or the model are.

    The model must not have learned from these rounds.

    source : Dudik, Langford and Li 2011, eq. 2
    """
    rounds = as_labelled(rounds)
    kept, left = heard(rounds)
    drawn = np.arange(len(rounds.action)), rounds.action
    said, surprise = _said(rounds), rounds.reward - rounds.predicted[drawn]
    mean = float((said + kept.importance * surprise).mean())
    return _value(mean, _of_mean(said) + _drawn(kept, surprise), len(said), _share(left))


def difference(candidate: LoggedRounds, incumbent: LoggedRounds) -> Value:
    """Return how much more the candidate is worth per decision, on the same rounds and model.

    The estimate is linear in the target, so what both do alike cancels, its variance too.
    """
    return doubly_robust(replace(candidate, target=candidate.target - incumbent.target))


def ess(rounds: LoggedRounds) -> float:
    """Return the effective sample size to be expected of the importance weights.

    source : Kong 1992, (sum w)^2 / sum w^2, with both sums as expected before the arms were drawn
    """
    kept, _ = heard(rounds)
    squares = float(kept.expected_square.sum())
    weights = float((kept.target * kept.weight[:, None]).sum())
    return weights**2 / squares if squares > 0 else 0.0


def calibration_error(predicted: Floats, reward: Floats) -> float:
    """Return the expected calibration error of predicted rewards, in units of reward.

    shapes : predicted, reward (n,)
    source : Naeini et al. 2015, with bins of equal count
    """
    if len(predicted) == 0:
        return 0.0
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(BINS, len(predicted)))
    gaps = [len(part) * abs(float((predicted[part] - reward[part]).mean())) for part in parts]
    return float(sum(gaps) / len(predicted))


def _weighing_at_most(rounds: LoggedRounds, largest: float) -> LoggedRounds:
    """Return the rounds with no more of the target than this many times the behaviour."""
    most = np.where(rounds.behaviour > 0, largest, 0.0) * rounds.behaviour
    return replace(rounds, target=np.clip(rounds.target, -most, most))


def _share(left: Floats) -> float:
    return float(np.abs(left).sum() / len(left))


def _said(rounds: LoggedRounds) -> Floats:
    said: Floats = (rounds.target * rounds.predicted).sum(axis=1)
    return said


def _drawn(rounds: LoggedRounds, surprise: Floats) -> float:
    """Return the variance of the mean of weight x surprise, from what could have been drawn.

    The square of an arm's surprise is a mean over the rounds that drew it, where the target would
    have, beside `WIDEST_ROUNDS` rounds of the widest: of an arm seldom drawn, little is known.
    """
    n, k = rounds.target.shape
    told = np.minimum(np.abs(rounds.importance), 1.0)
    seen = np.bincount(rounds.action, told, minlength=k) + WIDEST_ROUNDS
    squares = np.bincount(rounds.action, told * surprise**2, minlength=k) + WIDEST_ROUNDS * WIDEST
    variance: float = (rounds.expected_square @ (squares / seen)).sum() / n**2
    return variance


def _of_mean(per_round: Floats) -> float:
    return float(per_round.var(ddof=1)) / len(per_round) if len(per_round) > 1 else 0.0


def _value(mean: float, variance: float, n: int, blind: float = 0.0) -> Value:
    """Return the value; one round shows no spread, so it has no error but an infinite one."""
    return Value(mean, float(np.sqrt(variance)) if n > 1 else float("inf"), blind)
