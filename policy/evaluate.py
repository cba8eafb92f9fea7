"""Off-policy evaluation: what another policy would have earned on our own log.

Each estimator turns a log into one number per round, whose mean is the value of the target policy;
the spread of those numbers gives the interval. Rounds without feedback take part as label weight 0:
`weight` = 1 / P(labelled) where a reward is known, 0 where it is not.
"""

from dataclasses import dataclass

import numpy as np

from policy.types import Floats

CLIP = 20.0
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False)
class LoggedRounds:
    """A stretch of the log with what the target policy would have done in each round.

    shapes : action, reward, propensity, weight (n,); target, predicted (n, k)
    """

    action: np.ndarray[tuple[int], np.dtype[np.int64]]
    reward: Floats
    propensity: Floats
    weight: Floats
    target: Floats
    predicted: Floats

    @property
    def importance(self) -> Floats:
        """Return the importance weight of each round, label weight included, clipped at 20.

        source : SWITCH, Wang et al. 2017, eq. 5, as a clip
        """
        rows = np.arange(len(self.action))
        ratio = self.target[rows, self.action] / self.propensity
        return np.minimum(ratio, CLIP) * self.weight


@dataclass(frozen=True, slots=True)
class Value:
    """An estimated value per decision with its standard error."""

    mean: float
    se: float

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval."""
        return self.mean - Z_95 * self.se, self.mean + Z_95 * self.se


def ips(rounds: LoggedRounds) -> Value:
    """Return the inverse-propensity estimate: unbiased, of high variance.

    source : Horvitz and Thompson 1952
    """
    return _value(rounds.importance * rounds.reward)


def snips(rounds: LoggedRounds) -> Value:
    """Return the self-normalised estimate: a small bias for much less variance.

    source : Swaminathan and Joachims 2015, eq. 9; delta-method error
    """
    weights = rounds.importance
    total = weights.sum()
    if total <= 0:
        return Value(float("nan"), float("inf"))
    mean = float((weights * rounds.reward).sum() / total)
    spread = weights * (rounds.reward - mean)
    return Value(mean, float(np.sqrt((spread**2).sum()) / total))


def direct_method(rounds: LoggedRounds) -> Value:
    """Return what the reward model alone says: little variance, the model's bias in full."""
    return _value((rounds.target * rounds.predicted).sum(axis=1))


def doubly_robust(rounds: LoggedRounds) -> Value:
    """Return the doubly robust estimate: right if either the propensities or the model are.

    source : Dudik, Langford and Li 2011, eq. 2
    """
    return _value(doubly_robust_rounds(rounds))


def doubly_robust_rounds(rounds: LoggedRounds) -> Floats:
    """Return the estimate round by round, so that two policies can be compared as a pair.

    shapes : (n,)
    """
    rows = np.arange(len(rounds.action))
    model = (rounds.target * rounds.predicted).sum(axis=1)
    surprise = rounds.reward - rounds.predicted[rows, rounds.action]
    per_round: Floats = model + rounds.importance * surprise
    return per_round


def difference(candidate: LoggedRounds, incumbent: LoggedRounds) -> Value:
    """Return how much more the candidate is worth per decision, paired round by round."""
    return _value(doubly_robust_rounds(candidate) - doubly_robust_rounds(incumbent))


def ess(rounds: LoggedRounds) -> float:
    """Return the effective sample size of the importance weights.

    source : Kong 1992: (sum w)^2 / sum w^2
    """
    weights = rounds.importance
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def calibration_error(predicted: Floats, reward: Floats, bins: int = 10) -> float:
    """Return the expected calibration error of predicted rewards, in units of reward.

    shapes : predicted, reward (n,)
    source : Naeini et al. 2015, with bins of equal count
    """
    if len(predicted) == 0:
        return 0.0
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(bins, len(predicted)))
    gaps = [len(part) * abs(float((predicted[part] - reward[part]).mean())) for part in parts]
    return float(sum(gaps) / len(predicted))


def _value(per_round: Floats) -> Value:
    n = len(per_round)
    if n <= 1:  # no spread can be seen in one round
        return Value(float(per_round.mean()) if n else float("nan"), float("inf"))
    return Value(float(per_round.mean()), float(per_round.std(ddof=1) / np.sqrt(n)))
