"""The posterior over every arm's weights, exact, kept in natural parameters.

reward = x.(shared + deviation of the arm) + slope * dearness of the arm + noise. Given what is
shared, the slope too, the arms are independent, so each arm keeps its own small Gaussian and the
shared one is the sum of what the arms say of it. Sharing is what makes few outcomes enough: a
prompt that is hard for one arm is hard for most, and a new arm starts where others of its price
are. With narrow shared scales it is one separate regression per arm.

A belief never changes: learning returns a new one, so readers need no lock.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np

from policy.evidence import Evidence
from policy.prediction import MeanWeights, Prediction
from policy.prior import Prior
from policy.types import Floats

KNOWN = 25.0
"""An arm comes late when those before it have so many outcomes each; at a start all come anew."""


@dataclass(frozen=True, eq=False)
class ArmBelief:
    """One arm's posterior given the shared weights, and what the arm says of those.

    The arm's weights are N(pull @ shared + offset, noise * covariance).

    shapes : covariance (d, d), pull (d, d + 1), shared_precision (d + 1, d + 1); offset (d,),
             shared_information (d + 1,)
    """

    sources: tuple[Evidence | None, Evidence | None]
    evidence: Evidence
    covariance: Floats
    pull: Floats
    offset: Floats
    shared_precision: Floats
    shared_information: Floats

    @classmethod
    def of(
        cls,
        prior: Prior,
        evidence: Evidence,
        dearness: float = 0.0,
        sources: tuple[Evidence | None, Evidence | None] = (None, None),
    ) -> Self:
        """Return what the evidence of one arm implies under the prior.

        source : Bishop 2006, eq. 3.53-3.54; Lindley and Smith 1972, eq. 3-5
        """
        precision = prior.deviation_precision
        covariance = np.linalg.inv(evidence.gram + np.diag(precision))
        covariance = (covariance + covariance.T) / 2  # rounding is not symmetric, the matrix is
        own = covariance * precision
        offset = covariance @ evidence.moment
        pull = _sloped(own, dearness)
        said = _sloped(np.diag(precision) - precision[:, None] * own, dearness)
        said = _sloped(said.T, dearness)
        information = _sloped((precision * offset)[None], dearness)[0]
        return cls(sources, evidence, covariance, pull, offset, said, information)

    @cached_property
    def log_determinant(self) -> float:
        """Return the logarithm of the covariance's determinant."""
        return float(np.linalg.slogdet(self.covariance)[1])


@dataclass(frozen=True, eq=False)
class Belief:
    """The joint posterior of all arms; the two kinds of evidence are all it follows from.

    `late` is remembered for whoever chooses: of each arm that came late, without evals, how many
    outcomes of the others there were before its first.

    >>> from policy.prior import Prior, Scales
    >>> apart = Scales(1, 1, 1, 1e-6)
    >>> belief = Belief(Prior(("constant",), Scales(1, 1, 1, 1), apart, 0.0, 1.0))
    >>> belief.update("a", np.ones(1), 1.0).predict(np.ones(1), ("a", "b")).mean.round(3)
    array([0.5, 0. ])
    """

    prior: Prior
    rated: Mapping[str, Evidence] = field(default_factory=dict)
    evals: Mapping[str, Evidence] = field(default_factory=dict)
    late: Mapping[str, float] = field(default_factory=dict)
    earlier: Mapping[str, ArmBelief] = field(default_factory=dict, repr=False)

    def update(self, arm: str, context: Floats, reward: float, weight: float = 1.0) -> Self:
        """Return the belief after one rated outcome; a negative weight takes one back.

        shapes : context (d,)
        units  : reward 0..1, higher is better
        source : Bishop 2006, eq. 3.50-3.51
        """
        seen = self.rated.get(arm, self._nothing).add(context, reward, weight)
        rated, late = {**self.rated, arm: seen}, self._late(arm)
        return replace(self, rated=rated, late=late, earlier=self._derived)

    def update_all(self, arms: Sequence[str], contexts: Floats, rewards: Floats) -> Self:
        """Return the belief after outcomes one after another: the same bits as by `update`.

        Which arms came late is not asked: it is of no use where nothing is chosen by the belief.

        shapes : contexts (n, d), rewards (n,), as `arms`
        """
        rated = dict(self.rated)
        for arm in dict.fromkeys(arms):
            its = [n for n, each in enumerate(arms) if each == arm]
            rated[arm] = rated.get(arm, self._nothing).add_all(contexts[its], rewards[its])
        return replace(self, rated=rated, earlier=self._derived)

    def learn_eval(self, arm: str, context: Floats, score: float) -> Self:
        """Return the belief after one score of the team's own evals."""
        seen = self.evals.get(arm, self._nothing).add(context, score)
        return replace(self, evals={**self.evals, arm: seen}, earlier=self._derived)

    def faded(self, factor: float) -> Self:
        """Return the belief with rated evidence counted `factor` times: it decays to the prior."""
        rated = {arm: seen.scaled(factor) for arm, seen in self.rated.items()}
        return replace(self, rated=rated, earlier={})

    def doubted(self, arm: str, kept: float) -> Self:
        """Return the belief with one arm's outcomes and evals counted `kept` times."""
        rated, evals = dict(self.rated), dict(self.evals)
        for kind in (rated, evals):
            if arm in kind:
                kind[arm] = kind[arm].scaled(kept)
        return replace(self, rated=rated, evals=evals, earlier=self._derived)

    def relearned(self, arm: str, seen: Evidence) -> Self:
        """Return the belief with this evidence of one arm, and no other: no evals either."""
        doubted = self.doubted(arm, 0.0)
        return replace(doubted, rated={**doubted.rated, arm: seen})

    def mean_weights(self, arm: str) -> MeanWeights:
        """Return an arm's mean weights, and the sd of its mean reward over what it has been asked.

        What a belief is wrong by on one prompt mostly cancels over many.
        """
        belief = self.of(arm)
        mean, covariance = self.shared
        asked = belief.evidence.mean_context
        pulled = asked @ belief.pull
        variance = self.noise * float(
            pulled @ covariance @ pulled + asked @ belief.covariance @ asked
        )
        return MeanWeights(belief.pull @ mean + belief.offset, float(np.sqrt(max(variance, 0.0))))

    def under(self, prior: Prior) -> Self:
        """Return what the same evidence says under another prior.

        An arm's own part does not ask how wide the shared scales are, so it is derived only once.
        """
        same = replace(prior, shared=self.prior.shared, mean=self.prior.mean) == self.prior
        earlier = self._derived if same else {}
        return replace(self, prior=prior, earlier=earlier)

    def predict(self, context: Floats, arms: Sequence[str]) -> Prediction:
        """Return mean and joint covariance of the arms' mean rewards in this context.

        shapes : context (d,)
        """
        beliefs = [self.of(arm) for arm in arms]
        spread = np.array([context @ belief.covariance for belief in beliefs])
        dearness = np.array([self.prior.dearness.get(arm, 0.0) for arm in arms])
        # context @ pull, of a matrix read anyway
        pulls = _sloped(spread * self.prior.deviation_precision, dearness)
        mean, covariance = self.shared
        return Prediction(
            pulls @ mean + np.array([belief.offset for belief in beliefs]) @ context,
            self.noise * (pulls @ covariance @ pulls.T + np.diag(spread @ context)),
            np.array([belief.evidence.weight for belief in beliefs]),
            np.array([self.late.get(arm, 0.0) for arm in arms]),
            self.noise,
        )

    def of(self, arm: str) -> ArmBelief:
        """Return the posterior of one arm, of whatever evidence there is."""
        # Not `get` with a default: what is believed of an unknown arm costs a matrix to invert.
        return self.known.get(arm) or self._unknown

    def weights(self, arms: Sequence[str]) -> Floats:
        """Return how many rated outcomes of each arm have been seen, (k,)."""
        return np.array([self.rated[arm].weight if arm in self.rated else 0.0 for arm in arms])

    @cached_property
    def known(self) -> dict[str, ArmBelief]:
        """Return the posterior of every arm with evidence, derived when first asked for."""
        return {
            arm: self._known(arm) for arm in sorted({*self.rated, *self.evals, *self.prior.hints})
        }

    @cached_property
    def shared(self) -> tuple[Floats, Floats]:
        """Return mean (d + 1,) and, in units of the noise, covariance of what all arms share."""
        precision = np.diag(self.prior.shared_precision)
        covariance = np.linalg.inv(sum((b.shared_precision for b in self._arms()), precision))
        covariance = (covariance + covariance.T) / 2
        return covariance @ self._shared_information, covariance

    @cached_property
    def noise(self) -> float:
        """Return the estimated variance of one reward around its mean.

        source : Bishop 2006, eq. 10.97-10.98 (conjugate gamma), here with what the fit leaves over
        """
        prior = self.prior
        total = prior.noise_weight * prior.noise_guess + self.residual
        return total / (prior.noise_weight + self.weight)

    @property
    def weight(self) -> float:
        """Return how many outcomes have been seen, evals and hints counted as they weigh."""
        return sum(belief.evidence.weight for belief in self._arms())

    @cached_property
    def residual(self) -> float:
        """Return the sum of squares that neither prior nor posterior explains, >= 0."""
        seen = sum(b.evidence.square - float(b.evidence.moment @ b.offset) for b in self._arms())
        anchor = self.prior.shared_mean @ (self.prior.shared_precision * self.prior.shared_mean)
        return max(float(seen + anchor - self.shared[0] @ self._shared_information), 0.0)

    @property
    def log_evidence(self) -> float:
        """Return the log marginal likelihood of all rewards, up to a constant of the data.

        source : Bishop 2006, eq. 3.86, with the noise integrated out (Gelman et al. 2013, 14.2)
        """
        prior = self.prior
        own = sum(b.log_determinant for b in self._arms())
        per_arm = float(np.log(prior.deviation_precision).sum())
        together = float(
            np.linalg.slogdet(self.shared[1])[1] + np.log(prior.shared_precision).sum()
        )
        dof = prior.noise_weight + self.weight
        left = prior.noise_weight * prior.noise_guess + self.residual
        return 0.5 * (own + per_arm * len(self.known) + together - dof * float(np.log(left)))

    @cached_property
    def _shared_information(self) -> Floats:
        start: Floats = self.prior.shared_precision * self.prior.shared_mean
        return sum((b.shared_information for b in self._arms()), start)

    @cached_property
    def _nothing(self) -> Evidence:
        return Evidence.none(len(self.prior.groups))

    @cached_property
    def _unknown(self) -> ArmBelief:
        return ArmBelief.of(self.prior, self._nothing)

    def _arms(self) -> Iterator[ArmBelief]:
        return iter(self.known.values())

    @property
    def _derived(self) -> Mapping[str, ArmBelief]:
        """Return what has been derived already, so that only what changed is derived again."""
        derived: Mapping[str, ArmBelief] = self.__dict__.get("known", self.earlier)
        return derived

    def _late(self, arm: str) -> Mapping[str, float]:
        """Return which arms came late, this one among them if its first outcome comes late now."""
        if arm in self.rated or arm in self.evals:
            return self.late
        before = sum(seen.weight for seen in self.rated.values())
        return {**self.late, arm: before} if before > KNOWN * len(self.rated) else self.late

    def _known(self, arm: str) -> ArmBelief:
        sources = self.rated.get(arm), self.evals.get(arm)
        if arm in self.earlier and self.earlier[arm].sources == sources:
            return self.earlier[arm]
        dearness = self.prior.dearness.get(arm, 0.0)
        return ArmBelief.of(self.prior, self._evidence(arm), dearness, sources)

    def _evidence(self, arm: str) -> Evidence:
        evidence = self.rated.get(arm, self._nothing)
        if arm in self.evals:
            evals, most = self.evals[arm], self.prior.eval_ceiling
            evidence = evidence.plus(evals.scaled(most / max(evals.weight, most)))
        if arm in self.prior.hints:
            constant = np.zeros(len(self.prior.groups))
            constant[-1] = 1.0
            evidence = evidence.add(constant, self.prior.hints[arm], self.prior.hint_weight)
        return evidence


def _sloped(rows: Floats, dearness: Floats | float) -> Floats:
    """Return what each row says of the shared weights with what it says of the slope after it.

    The slope is felt through the constant, which is last, as many times as an arm is dear.
    """
    return np.column_stack([rows, dearness * rows[:, -1]])
