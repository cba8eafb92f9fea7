"""Who is asked next, health first and policy second, and when a request has asked enough."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import ceil

from app.routing.asking import Asking
from policy.ceilings import Bound
from policy.eligibility import refusal
from policy.errors import UNLISTED, BudgetExceeded, EveryArmWaits, NoEligibleArm
from policy.types import Arm
from storage.records import Decision
from upstream.health import Health, Step

ATTEMPTS = 2
SWEEP_WITHIN_S = 120.0
BOUNDS: tuple[Bound, ...] = ("kept", "lifted")


@dataclass(frozen=True, slots=True)
class ArmPool:
    """Arms the policy chooses among: those the caller allows, None for all, less `unavailable`.

    `bound` is how the arms' shares of the requests bind this choice.
    """

    allowed: tuple[str, ...] | None
    unavailable: Mapping[str, str]
    bound: Bound = "kept"

    def passed_over(self, reasons: Mapping[str, str]) -> list[str]:
        """Return the arms that would have served but for how they stand."""
        return [name for name, why in reasons.items() if self.unavailable.get(name) == why]

    def told(self, error: NoEligibleArm, before: NoEligibleArm) -> NoEligibleArm:
        """Return this choice's error and one before it as one, in which no reason hides another.

        Of an arm counts what was said last, and a budget that is used up.
        """
        reasons = {**before.reasons, **error.reasons}
        spent = [each for each in (before, error) if isinstance(each, BudgetExceeded)]
        if not spent:
            return refusal(reasons)
        both = BudgetExceeded(reasons)
        known_s = [each.retry_after_s for each in spent if each.retry_after_s is not None]
        both.retry_after_s = min(known_s, default=None)
        return both


def explained(decision: Decision, known: Mapping[str, str]) -> Decision:
    """Return the decision with what is known of arms that it did not choose among.

    A pinned arm is none of its fallbacks, but the request lists it all the same.
    """
    reasons = decision.ineligible.items()
    told = {arm: known.get(arm, why) if why == UNLISTED else why for arm, why in reasons}
    return replace(decision, ineligible=told)


def may_go_on(asking: Asking) -> bool:
    """Return whether a request may ask one more arm: a second always, the rest in need only.

    There is no need while an older answer can stand in.
    """
    if len(asking.asked) < ATTEMPTS:
        return True
    return time.monotonic() - asking.began_s < SWEEP_WITHIN_S and not _stands_in(asking)


def pools(asking: Asking, arms: Mapping[str, Arm], health: Health) -> Iterator[ArmPool]:
    """Yield the pools to choose from, those that stand best first: whoever fits there is asked.

    A pinned arm's own fallbacks stand in for it, at once where it is known not to stand well.
    Before anybody else comes the arm whose tool calls this request answers, and once another has
    rejected a conversation, the arm that has it. Where nobody who stands well has a share of the
    requests left, those who stand well are asked beyond theirs.
    """
    steps = [
        step
        for step in health.steps(arms.values(), asking.asked)
        if _is_worth_it(step, len(asking.asked), health)
    ]
    wishes, others = _wishes(asking, arms), _others_than_who_has_it(asking, arms)
    if others:
        yield from (
            _pool(asking, wishes[0], {**others, **step.unavailable}, "kept")
            for step in steps
            if not step.lifted
        )
    has_shares = any(arm.max_share is not None for arm in arms.values())
    for bound, allowed in product(BOUNDS if has_shares else BOUNDS[:1], wishes):
        yield from (
            _pool(asking, allowed, step.unavailable, bound) for step in steps if not step.lifted
        )
    yield from (
        _pool(asking, wishes[0], step.unavailable, "lifted") for step in steps if step.lifted
    )


def _pool(
    asking: Asking, allowed: tuple[str, ...] | None, unavailable: Mapping[str, str], bound: Bound
) -> ArmPool:
    is_callers = asking.ask.pins and allowed is asking.ask.models
    return ArmPool(allowed, unavailable, "pinned" if is_callers else bound)


def _is_worth_it(step: Step, asked: int, health: Health) -> bool:
    """Return whether a request that so many have failed may ask whom the step lets in.

    What is likely to fail is paid by the retry budget: arms that do not stand well, and a third
    arm that has failed lately. While others are being answered, a request that two arms have failed
    may be at fault itself; while nobody is, every arm is worth a try.
    """
    if asked == 0 or health.can_pay:
        return True
    if asked < ATTEMPTS:
        return not step.lifted
    return step.sound or not (step.lifted or health.anybody_lately())


def nobody(
    given: Collection[str], passed_over: Mapping[str, Arm], none: NoEligibleArm, health: Health
) -> EveryArmWaits | NoEligibleArm:
    """Return the error for a request that no arm can serve now: wait, where waiting helps.

    Where a budget is used up for some of them, the first moment at which anything may change.
    """
    waits_s = {name: health.waits_s([arm]) for name, arm in passed_over.items()}
    waiting = {name: left_s for name, left_s in waits_s.items() if left_s is not None}
    if isinstance(none, BudgetExceeded) and none.retry_after_s is not None:
        none.retry_after_s = min([none.retry_after_s, *waiting.values()])
    if not waiting or isinstance(none, BudgetExceeded):
        none.param = next((name for name in none.about if name in given), None)
        return none
    first = min(waiting, key=lambda name: waiting[name])
    return EveryArmWaits(
        f"{', '.join(waiting)}: the provider asked to slow down; ask again in "
        f"{ceil(waiting[first])} s",
        arm=first,
        retry_after_s=waiting[first],
    )


def _stands_in(asking: Asking) -> bool:
    """Return whether an older answer could be given; it cannot go on from a part of another."""
    return not asking.partial and asking.stands_in()


def _others_than_who_has_it(asking: Asking, arms: Mapping[str, Arm]) -> dict[str, str]:
    """Return why each arm but the one to go back to is passed over; nobody if there is none."""
    first = asking.goes_back_to
    if first is None or first not in arms:
        return {}
    why = "waits for what its tools say" if asking.ask.in_tool_loop else "has the conversation"
    return {name: f"{first} {why}" for name in arms if name != first}


def _wishes(asking: Asking, arms: Mapping[str, Arm]) -> list[tuple[str, ...] | None]:
    """Return whom the caller allows, and whom next when none of those stands well."""
    models = asking.ask.models
    if models is None or not asking.ask.pins:
        return [models]
    fallbacks = asking.ask.fallbacks
    if fallbacks is None:
        fallbacks = arms[models[0]].fallbacks if models[0] in arms else ()
    if asking.asked:
        return [fallbacks]
    return [models, fallbacks] if fallbacks else [models]
