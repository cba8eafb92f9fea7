"""What may be spent at which price: by the service as a whole, and by each key with a goal."""

from collections.abc import Callable

from app.keys.holder import Holder
from app.routing.goals import Goals
from app.routing.pacing import Pacing, Past
from jobs.learned import Learned
from policy.decide import Question, Verdict
from policy.errors import BudgetExceeded
from policy.pacer import Budget, Goal, WillingnessToPay, ceiling_of, window_of
from policy.ring import RING
from storage.log import Log
from storage.records import Decision

SERVICE = "service"


class Treasury:
    """The pacing of the service and of each key that has a goal of its own.

    What a key spends is spent by the service too, whose ceiling holds for everybody. Calls are
    made one at a time, under the lock of `Live`, but for `of`: a key's books are opened when it
    first asks, and while the log keeps it waiting for that, nobody else has to.
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

    def limited(self, question: Question, holder: Holder, now_s: float) -> Question:
        """Return the question with what is left of the tightest budget."""
        for pacing in self._all(holder, now_s):
            question = pacing.limited(question, self._says(pacing, holder), now_s)
        return question

    def _says(self, pacing: Pacing, holder: Holder) -> str:
        """Return whose budget leaves too little; what all have spent is not for each to know."""
        if pacing is not self.service:
            return "the key's budget has ${} left"
        left = "${} left" if holder.sees is None else "less left"
        return f"the service's budget has {left}"

    def decided(self, decision_id: str, verdict: Verdict, holder: Holder, now_s: float) -> None:
        """Hold what the call may cost in every budget that it counts in."""
        pricing, *others = self._all(holder, now_s)
        pricing.decided(decision_id, verdict, now_s, is_priced_here=True)
        for pacing in others:
            pacing.decided(decision_id, verdict, now_s, is_priced_here=False)

    def settled(self, decision: Decision, usd: float, now_s: float) -> None:
        """Book what the call of a decision has cost."""
        self.service.settled(decision.id, usd, now_s)
        if decision.key_id in self._of_keys:
            self._of_keys[decision.key_id].settled(decision.id, usd, now_s)

    def forget(self, before_s: float, now_s: float) -> None:
        """Give back what is held for calls that began before a moment."""
        for pacing in (self.service, *self._of_keys.values()):
            pacing.forget(before_s, now_s)

    def shared(self) -> dict[str, Pacing]:
        """Return what is spent by other processes too, by name."""
        every = {SERVICE: self.service, **self._of_keys}
        return {name: pacing for name, pacing in every.items() if pacing.is_shared}

    def shared_of(self, holder: Holder, now_s: float) -> dict[str, Pacing]:
        """Return which of it a request counts in."""
        counted = self._all(holder, now_s)
        return {name: each for name, each in self.shared().items() if each in counted}

    def exceeded(self, error: BudgetExceeded, holder: Holder, now_s: float) -> None:
        """Say in the error when the tightest budget starts anew."""
        tightest = min(self._all(holder, now_s), key=lambda pacing: pacing.left_usd(now_s))
        error.retry_after_s = tightest.anew_in_s(now_s)

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
    ) -> Pacing:
        window_s = window_of(ceiling_of(goal, cap))
        spent_usd = 0.0
        if window_s is not None:
            since_s = now_s - now_s % window_s
            # In this order: what comes into the log meanwhile counts twice then, and never not.
            spent_usd = self._unbooked.usd(since_s, key_id)
            spent_usd += self._log.spend_usd(since_s, since_s + window_s, key_id=key_id)
        return Pacing.start(
            goal, cap, Past(decisions, spent_usd, self._is_shared), self._learned(), now_s
        )
