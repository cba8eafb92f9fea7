"""Which arms may serve a request, and for each of the others why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context

from policy.errors import UNLISTED, NoEligibleArm, PromptTooLong
from policy.types import Arm, Floats

FORBIDDEN = "the key does not allow it"
ITS_WINDOW = "its window is"
WITH_ANSWER = "the prompt and answer have"
ANSWER_LIMITS = ("max_completion_tokens", "max_tokens")
LACKS = "it lacks "
TOO_DEAR = "it would cost about"
COULD_COST = "it could cost ${}, "
OF_ITS_DAY = "more than is left of its ${:g} until 00:00 UTC"
UP = Context(prec=3, rounding=ROUND_CEILING)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request needs of an arm.

    `allowed` None means every arm; `output_tokens` are the most of each of the `choices` that are
    asked for at once; `unavailable` says of an arm why it cannot serve now; `cached_tokens` are
    those of the input that an arm's provider has in its cache; `left_usd` is what a call may cost
    at most, where a budget is a ceiling, and `budget_says` what is told of it where that is too
    little, with {} for the amount; `own_left_usd` is what is left of each arm that has a ceiling of
    its own; `is_alone` says that no other call is under way.

    units  : tokens, US dollars
    """

    input_tokens: int
    output_tokens: int | None = None
    choices: int = 1
    capabilities: frozenset[str] = frozenset()
    allowed: tuple[str, ...] | None = None
    max_cost_usd: float | None = None
    left_usd: float | None = None
    budget_says: str = "the budget has ${} left"
    own_left_usd: Mapping[str, float] = field(default_factory=dict)
    is_alone: bool = False
    unavailable: Mapping[str, str] = field(default_factory=dict)
    cached_tokens: Mapping[str, int] = field(default_factory=dict)


def divided(arms: Sequence[Arm], demand: Demand) -> tuple[list[Arm], dict[str, str]]:
    """Return the arms that fit the demand, before cost, and the reason of each that does not.

    >>> small = Arm("small", "p", "m", 1.0, 1.0, context_window=1000)
    >>> divided([small], Demand(input_tokens=5000))
    ([], {'small': 'the prompt has about 5000 tokens, its window is 1000'})
    """
    reasons = {arm.name: why for arm in arms if (why := _unfit(arm, demand))}
    return [arm for arm in arms if arm.name not in reasons], reasons


def affordable(arms: Sequence[Arm], cost_usd: Floats, demand: Demand) -> dict[str, str]:
    """Return the reason of each arm whose expected cost is above what the request allows.

    shapes : cost_usd (k,)
    """
    return _above(arms, cost_usd, demand.max_cost_usd, f"{TOO_DEAR} ${{}}, max_cost_usd is ${{}}")


def within_budget(arms: Sequence[Arm], reserve_usd: Floats, demand: Demand) -> dict[str, str]:
    """Return the reason of each arm whose call could cost more than what is left of the budget.

    shapes : reserve_usd (k,)
    """
    return _above(arms, reserve_usd, demand.left_usd, f"{COULD_COST}{demand.budget_says}")


def within_own(arms: Sequence[Arm], reserve_usd: Floats, demand: Demand) -> dict[str, str]:
    """Return the reason of each arm whose call could cost more than what is left of its own day.

    How much that is is for nobody to know but the operator, and not told.

    shapes : reserve_usd (k,)
    """
    reasons: dict[str, str] = {}
    for i, arm in enumerate(arms):
        if arm.name in demand.own_left_usd and arm.max_usd_per_day is not None:
            says, left_usd = OF_ITS_DAY.format(arm.max_usd_per_day), demand.own_left_usd[arm.name]
            reasons |= _above([arm], reserve_usd[i : i + 1], left_usd, f"{COULD_COST}{says}")
    return reasons


def require_some(eligible: Sequence[object], reasons: Mapping[str, str]) -> None:
    """Refuse to go on with no arm left.

    raises : NoEligibleArm with the reason of every arm
    """
    if not eligible:
        raise NoEligibleArm(reasons)


def refusal(reasons: Mapping[str, str]) -> NoEligibleArm:
    """Return the error for a request that no arm fits: its remedy may be a shorter prompt.

    >>> too_long = "the prompt has about 9 tokens, its window is 8"
    >>> refusal({"a": too_long, "b": UNLISTED, "c": "it lacks vision"}).code
    'context_length_exceeded'
    """
    never = (UNLISTED, FORBIDDEN, LACKS)  # whatever the length
    asked = [why for why in reasons.values() if not why.startswith(never)]
    if not asked or not all(ITS_WINDOW in why for why in asked):
        none = NoEligibleArm(reasons)
        if any(why.startswith(TOO_DEAR) for why in asked):
            none.about = ("max_cost_usd", *none.about)
        return none
    error = PromptTooLong(reasons)
    if any(why.startswith(WITH_ANSWER) for why in asked):
        error.about = (*ANSWER_LIMITS, *error.about)
    return error


def _above(arms: Sequence[Arm], usd: Floats, limit_usd: float | None, says: str) -> dict[str, str]:
    """Return the reason, with both figures in it, of each arm that is above a limit, if any.

    A cost is told as no less than it is: whoever allows as much as is told is not refused again.
    """
    if limit_usd is None:
        return {}
    above = [(arm.name, each) for arm, each in zip(arms, usd, strict=True) if each > limit_usd]
    told = {name: float(UP.create_decimal(str(each))) for name, each in above}
    return {name: says.format(f"{each:.3g}", f"{limit_usd:.6g}") for name, each in told.items()}


def _unfit(arm: Arm, demand: Demand) -> str | None:
    if demand.allowed is not None and arm.name not in demand.allowed:
        return UNLISTED
    missing = sorted(demand.capabilities - arm.capabilities)
    if missing:
        return f"{LACKS}{', '.join(missing)}"
    needed, part = demand.input_tokens, "the prompt has"
    if needed <= arm.context_window:
        needed, part = needed + (demand.output_tokens or 0), WITH_ANSWER
    if needed > arm.context_window:
        return f"{part} about {needed} tokens, {ITS_WINDOW} {arm.context_window}"
    return demand.unavailable.get(arm.name)
