"""What may be spent at which price: by the service, by each key with a goal, on each arm.

`Live` asks the `Treasury`, which has a `Pacing` for each of them. A pacing holds what calls under
way may cost, and has a `Pacer` (`policy/pacer.py`), which keeps the `Books` and sets the price.

An arm's ceiling is a budget per day like any other, but that it sets no price and lets the others
answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from app.keys.holder import Holder
from app.routing.goals import Goals
from app.routing.pacing import Pacing, Past
from jobs.learned import Learned
from policy.decide import Question, Verdict
from policy.errors import BudgetExceeded
from policy.pacer import Budget, Goal, WillingnessToPay, ceiling_of, window_of
from policy.ring import RING
from policy.types import Arm
from storage.log import Log
from storage.records import Decision

SERVICE = "service"
OF_ARM = "arm:{}"
UNPRICED = WillingnessToPay(1.0)
"""The goal of an arm: nobody asks what it would set."""


class Treasury:
    """The pacing of the service, of each key that has a goal and each arm that has a ceiling.

    What a key spends is spent by the service too, whose ceiling holds for everybody. Calls are
    made one at a time, under the lock of `Live`, but for `of` and `follow`: a key's books are
    opened when it first asks, an arm's when the catalogue has its ceiling, and while the log keeps
    it waiting for that, nobody else has to.
    `priced_apart` says of a key whether a goal of its own sets its price.
    """

    def __init__(
        self,
        log: Log,
        learned: Callable[[], Learned],
        goals: Goals,
        priced_apart: Callable[[str], bool],
        now_s: float,
    ) -> None:
        goal = goals.service
        self._is_shared = goals.are_shared
        self._log = log
        self._unbooked = log.unbooked()
        self._learned = learned
        self._of_keys: dict[str, Pacing] = {}
        self._of_arms: dict[str, Pacing] = {}
        past = [] if isinstance(goal, WillingnessToPay) else self._log.recent(RING)
        ours = [each for each in past if each.key_id is None or not priced_apart(each.key_id)]
        self.service = self._opened(goal, None, ours, None, now_s)

    def of(self, holder: Holder, now_s: float) -> Pacing:
        """Return the pacing that sets the price for whoever asks: its own, or the service's."""
        key_id, goal = holder.key_id, holder.goal
        if key_id is None or goal is None:
            return self.service
        if key_id not in self._of_keys:
            past = self._log.asked_with(key_id, RING)
            opened = self._opened(goal, holder.cap, past, key_id, now_s)
            self._of_keys.setdefault(key_id, opened)  # another may have opened them meanwhile
        return self._of_keys[key_id]

    def follow(self, arms: Iterable[Arm], now_s: float) -> None:
        """Open the books of each arm that has a ceiling now.

        raises : StoreUnavailable
        """
        caps = {arm.name: arm.max_usd_per_day for arm in arms if arm.name not in self._of_arms}
        new = {name: Budget(usd, "day") for name, usd in caps.items() if usd is not None}
        if not new:
            return
        self._log.spend_usd(now_s)  # where the log cannot be read, its spool is not read in vain
        self._unbooked = self._log.unbooked()  # they may have been asked since the start
        for name, cap in new.items():
            opened = self._opened(UNPRICED, cap, [], None, now_s, name)
            self._of_arms = {**self._of_arms, name: opened}  # others may be going over it

    def of_arm(self, arm: str) -> Pacing | None:
        """Return the pacing of an arm that has, or had, a ceiling."""
        return self._of_arms.get(arm)

    def limited(
        self, question: Question, holder: Holder, arms: Iterable[Arm], now_s: float
    ) -> Question:
        """Return the question with what is left of the tightest budget, and of each arm's own."""
        for pacing in self._all(holder, now_s):
            question = pacing.limited(question, self._says(pacing, holder), now_s)
        own, demand = self._capped(arms), question.demand
        if not own:
            return question
        is_alone = demand.left_usd is None or demand.is_alone
        demand = replace(
            demand,
            own_left_usd={name: pacing.left_usd(now_s) for name, pacing in own.items()},
            is_alone=is_alone and all(pacing.is_alone for pacing in own.values()),
        )
        return replace(question, demand=demand)

    def _capped(self, arms: Iterable[Arm]) -> dict[str, Pacing]:
        """Return the pacing of each arm that has a ceiling, with that of the catalogue now."""
        own = {}
        for arm in arms:
            if arm.max_usd_per_day is not None and arm.name in self._of_arms:
                own[arm.name] = pacing = self._of_arms[arm.name]
                cap = Budget(arm.max_usd_per_day, "day")
                if pacing.pacer.cap != cap:
                    pacing.capped(cap)
        return own

    def _says(self, pacing: Pacing, holder: Holder) -> str:
        """Return whose budget leaves too little; what all have spent is not for each to know."""
        held = "" if pacing.is_alone else " beside what is held for other calls"
        if pacing is not self.service:
            return f"the key's budget has ${{}} left{held}"
        left = "${} left" if holder.sees is None else "less left"
        return f"the service's budget has {left}{held}"

    def decided(self, decision_id: str, verdict: Verdict, holder: Holder, now_s: float) -> None:
        """Hold what the call may cost in every budget that it counts in."""
        pricing, *others = self._all(holder, now_s)
        pricing.decided(decision_id, verdict, now_s, is_priced_here=True)
        if verdict.arm in self._of_arms:
            others.append(self._of_arms[verdict.arm])
        for pacing in others:
            pacing.decided(decision_id, verdict, now_s, is_priced_here=False)
        for name in verdict.own_short:
            self._of_arms[name].short()

    def settled(self, decision: Decision, usd: float, now_s: float) -> None:
        """Book what the call of a decision has cost."""
        self.service.settled(decision.id, usd, now_s)
        if decision.key_id in self._of_keys:
            self._of_keys[decision.key_id].settled(decision.id, usd, now_s)
        if decision.arm in self._of_arms:
            self._of_arms[decision.arm].settled(decision.id, usd, now_s)

    def forget(self, before_s: float, now_s: float) -> None:
        """Give back what is held for calls that began before a moment."""
        for pacing in (self.service, *self._of_keys.values(), *self._of_arms.values()):
            pacing.forget(before_s, now_s)

    def shared(self) -> dict[str, Pacing]:
        """Return what is spent by other processes too, by name."""
        of_arms = {OF_ARM.format(name): each for name, each in self._of_arms.items()}
        every = {SERVICE: self.service, **self._of_keys, **of_arms}
        return {name: pacing for name, pacing in every.items() if pacing.is_shared}

    def shared_of(
        self, error: BudgetExceeded, holder: Holder, arms: Iterable[Arm], now_s: float
    ) -> dict[str, Pacing]:
        """Return which of it is in the way of a request."""
        own = self._capped(arms)
        counted = [*self._all(holder, now_s), *(own[arm] for arm in error.short if arm in own)]
        return {name: each for name, each in self.shared().items() if each in counted}

    def exceeded(
        self, error: BudgetExceeded, holder: Holder, arms: Iterable[Arm], now_s: float
    ) -> None:
        """Say in the error when the first of the budgets that are in the way may leave enough."""
        whole, own = self._all(holder, now_s), self._capped(arms)
        waits_s = []
        for arm, usd in error.short.items():
            counted = [*whole, own[arm]] if arm in own else whole
            tightest = min(counted, key=lambda pacing: pacing.left_usd(now_s))
            waits_s.append(tightest.leaves_in_s(usd, now_s))
        error.retry_after_s = min((each for each in waits_s if each is not None), default=None)

    def _all(self, holder: Holder, now_s: float) -> list[Pacing]:
        """Return every pacing that a request counts in, first the one that sets its price."""
        pricing = self.of(holder, now_s)
        return [pricing] if pricing is self.service else [pricing, self.service]

    def _opened(
        self,
        goal: Goal,
        cap: Budget | None,
        decisions: list[Decision],
        key_id: str | None,
        now_s: float,
        arm: str | None = None,
    ) -> Pacing:
        window_s = window_of(ceiling_of(goal, cap))
        spent_usd = 0.0
        if window_s is not None:
            since_s = now_s - now_s % window_s
            # In this order: what comes into the log meanwhile counts twice then, and never not.
            spent_usd = self._unbooked.usd(since_s, key_id, arm)
            until_s = since_s + window_s
            spent_usd += self._log.spend_usd(since_s, until_s, key_id=key_id, arm=arm)
        return Pacing.start(
            goal, cap, Past(decisions, spent_usd, self._is_shared), self._learned(), now_s
        )
