"""One decision, from a context to an arm and everything that must be logged of it.

This is the function that serves, replays and is benchmarked. Given the same state, question and
generator it gives the same verdict; the generator is seeded by the decision's id.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple, Self

import numpy as np

from policy.baselines import Fixed, Greedy, Uniform, WordCount, baseline, looks_best
from policy.belief import Belief
from policy.books import Hold
from policy.ceilings import Bound
from policy.eligibility import Demand, affordable, divided, require_some, within_budget, within_own
from policy.errors import BudgetExceeded, ConfigError
from policy.exploration import Allowance, Control, charged_off, charges, limited, taken
from policy.hyper import Hyper
from policy.offer import Offer, Policy, choose
from policy.prediction import Prediction
from policy.ring import Forecast
from policy.thompson import Thompson
from policy.tokens import (
    expected_cost_usd,
    expected_output_tokens,
    length_sd,
    longest_output_tokens,
)
from policy.types import Arm, Floats

DRAWS_KEPT = 16
MISCOUNT = 1.5
"""How many times longer than estimated a prompt may turn out, for what is reserved."""
LEARNING = ("thompson", "greedy")
"""Rules that ask what an arm looks worth."""
RULES = (*LEARNING, "uniform", "word_count", "fixed:<arm>")


@dataclass(frozen=True, slots=True, eq=False)
class Beliefs:
    """What is believed of quality and of answer length, with the hyper-parameters in force."""

    quality: Belief
    tokens: Belief
    hyper: Hyper

    def offer(
        self,
        context: Floats,
        arms: tuple[str, ...],
        cost_usd: Floats,
        willingness_to_pay_usd: float,
        words: int = 0,
    ) -> Offer:
        """Return what a policy is asked; how far a cost may be off is how far its tokens may.

        shapes : context (d,), cost_usd (k,)
        """
        price = cost_usd / willingness_to_pay_usd
        return Offer(context, arms, price, words, length_sd(self.tokens, context, arms))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One prompt to decide on; `explore` False takes the arm that looks best and nothing else.

    `bound` is how the arms' shares of the requests bind it.

    shapes : context (d,)
    units  : willingness_to_pay_usd is dollars that one more thumbs-up is worth
    """

    context: Floats
    demand: Demand
    willingness_to_pay_usd: float
    words: int = 0
    explore: bool = True
    bound: Bound = "kept"

    def without(self, reasons: Mapping[str, str]) -> Self:
        """Return the question for arms that have none of these reasons not to serve."""
        unavailable = {**reasons, **self.demand.unavailable}
        return replace(self, demand=replace(self.demand, unavailable=unavailable))


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The arm taken and the whole distribution it was drawn from.

    `own_short` are the ineligible whose own ceiling leaves too little.

    shapes : propensities, quality, quality_sd, doubt, cost_usd, reserve_usd (k,), in the order of
             `eligible`; drawn (m, k), some of the draws of quality that were counted, and
             drawn_usd, those of cost
    """

    policy: str
    chosen: int
    eligible: tuple[str, ...]
    propensities: Floats
    quality: Floats
    quality_sd: Floats
    doubt: Floats
    cost_usd: Floats
    reserve_usd: Floats
    drawn: Floats
    drawn_usd: Floats
    ineligible: dict[str, str]
    explored: float
    allowance: Allowance
    own_short: Collection[str] = ()

    @property
    def arm(self) -> str:
        """Return the name of the arm taken."""
        return self.eligible[self.chosen]

    @property
    def propensity(self) -> float:
        """Return the probability with which it was taken, in (0, 1]."""
        return float(self.propensities[self.chosen])

    @property
    def hold(self) -> Hold:
        """Return what the arm taken is expected to cost, and what is reserved for it."""
        return Hold(float(self.cost_usd[self.chosen]), float(self.reserve_usd[self.chosen]))

    def forecast(self, at_s: float) -> Forecast:
        """Return what was predicted of the arms, for the ring that sets the price of a dollar."""
        return Forecast(
            self.eligible, self.quality, self.cost_usd, self.drawn, self.drawn_usd, self.doubt, at_s
        )


def seeded(decision_id: str) -> np.random.Generator:
    """Return the generator of a decision: the same id, the same draws.

    >>> seeded("x").random()
    0.558509
    """
    return np.random.default_rng(
        int.from_bytes(blake2b(decision_id.encode(), digest_size=16).digest())
    )


def rule(name: str, beliefs: Beliefs) -> Policy:
    """Return the policy of this name over what is believed now.

    raises : ConfigError for a name that is none of `RULES`
    """
    kind, _, arm = name.partition(":")
    if kind == "fixed" and arm:
        return Fixed(arm)
    policies: dict[str, Policy] = {
        "thompson": Thompson(beliefs.quality, beliefs.hyper),
        "greedy": Greedy(beliefs.quality),
        "uniform": Uniform(),
        "word_count": WordCount(),
    }
    if name not in policies:
        raise ConfigError(f"policy {name!r} is not known; it is one of {', '.join(RULES)}")
    return policies[name]


def decide(
    arms: Sequence[Arm],
    question: Question,
    beliefs: Beliefs,
    rng: np.random.Generator,
    *,
    policy: str = "thompson",
    allowance: Allowance = Allowance(),  # noqa: B008 (frozen)
    control: Control | None = None,
) -> Verdict:
    """Return which arm serves this prompt, and the distribution it was drawn from.

    A `control` takes its share where arms may be tried out; that is explored like any other.

    raises : NoEligibleArm with the reason of every arm
    """
    fit = _eligible(arms, question, beliefs)
    names = tuple(arm.name for arm in fit.arms)
    payment = question.willingness_to_pay_usd
    offer = beliefs.offer(question.context, names, fit.cost_usd, payment, question.words)
    said = beliefs.quality.predict(question.context, names)
    acting = rule(policy if question.explore else _sober(policy), beliefs)
    if control is not None:
        control = replace(control, arm=baseline(arms, control.arm))
    drawn_from = odds(acting, offer, said, rng, beliefs, allowance, control)
    return Verdict(
        policy=acting.name,
        chosen=choose(drawn_from.propensities, rng),
        eligible=names,
        propensities=drawn_from.propensities,
        quality=said.mean,
        quality_sd=said.sd,
        doubt=said.doubt,
        cost_usd=fit.cost_usd,
        reserve_usd=fit.reserve_usd,
        drawn=drawn_from.drawn[:DRAWS_KEPT],
        drawn_usd=drawn_from.prices[:DRAWS_KEPT] * payment,
        ineligible=fit.reasons,
        explored=drawn_from.explored,
        allowance=drawn_from.allowance,
        own_short=fit.own_short,
    )


class Odds(NamedTuple):
    """What the arm is drawn from: draws of quality and of price, what won, what that is charged."""

    drawn: Floats
    prices: Floats
    propensities: Floats
    explored: float
    allowance: Allowance


def odds(
    acting: Policy,
    offer: Offer,
    said: Prediction,
    rng: np.random.Generator,
    beliefs: Beliefs,
    allowance: Allowance,
    control: Control | None,
) -> Odds:
    """Return what an arm is drawn from; the generator is one that nothing was drawn from yet."""
    if not isinstance(acting, Thompson):
        pmf = acting.propensities(offer, rng)
        return Odds(said.mean[None], offer.price[None], pmf, 0.0, allowance)
    hyper, drawn, prices = beliefs.hyper, acting.draws(said, rng), acting.prices(offer, rng)
    it = looks_best(said, offer.price)
    earned = allowance.earn(hyper.explored_share)
    charge = charges(said.weight, beliefs.tokens.weights(offer.arms), hyper.free_trials)
    held = taken(control, offer.arms, said.weight)
    left = 1.0 - float(held.sum())
    rest = earned.beside(charged_off(held, it, charge), left)
    pmf = held + left * limited(acting.won(offer, drawn, prices), it, rest, charge)
    return Odds(drawn, prices, pmf, charged_off(pmf, it, charge), earned)


def _sober(policy: str) -> str:
    return "greedy" if policy in ("thompson", "uniform") else policy


class _Fit(NamedTuple):
    """The arms that may serve, what each is expected to cost and what is reserved for it.

    `own_short` are those of the others whose own ceiling leaves too little.
    """

    arms: list[Arm]
    reasons: dict[str, str]
    cost_usd: Floats
    reserve_usd: Floats
    own_short: Collection[str]


def _eligible(arms: Sequence[Arm], question: Question, beliefs: Beliefs) -> _Fit:
    demand, context = question.demand, question.context
    fit, reasons = divided(arms, demand)
    require_some(fit, reasons)
    names = [arm.name for arm in fit]
    each = expected_output_tokens(beliefs.tokens, context, names, demand.output_tokens)
    tokens = demand.choices * each
    cost = reserve = expected_cost_usd(fit, demand.input_tokens, tokens, demand.cached_tokens)
    reasons |= affordable(fit, cost, demand)
    require_some([name for name in names if name not in reasons], reasons)
    own: dict[str, str] = {}
    if demand.left_usd is not None or demand.own_left_usd:
        longest = tokens
        if demand.output_tokens is not None or not demand.is_alone:
            most = longest_output_tokens(beliefs.tokens, context, names, demand.output_tokens)
            longest = demand.choices * most
        reserve = expected_cost_usd(fit, MISCOUNT * demand.input_tokens, longest)
        own = within_own(fit, reserve, demand)
    short = within_budget(fit, reserve, demand) | own
    reasons |= short
    kept = [i for i, name in enumerate(names) if name not in reasons]
    if not kept:
        could_cost = dict(zip(names, reserve.tolist(), strict=True))
        raise BudgetExceeded(reasons, {name: could_cost[name] for name in short})
    return _Fit([fit[i] for i in kept], reasons, cost[kept], reserve[kept], own)
