"""Which arms can be asked now: their breakers, the quotas they share, the calls under way.

This is a belief about providers, never about answers: all that reaches the policy are reasons why
an arm cannot serve now. It is learned from the traffic itself and begins anew with the process.
"""

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from policy.errors import UpstreamBusy, UpstreamError
from policy.types import Arm
from upstream.breaker import WINDOW, Breaker, State
from upstream.doubt import is_doubtful, is_the_requests, rejects
from upstream.retries import Retries

LATELY_S = 30.0
SOUND = 0.1
# How an arm stands, the smaller the better; the first number: well, full, on trial, left alone.
Rank = tuple[float, ...]
WELL, FULL, ON_TRIAL, ALONE, BARRED = range(5)


@dataclass(frozen=True, slots=True)
class Step:
    """Who may be asked: `unavailable` says of everybody else why not.

    `sound` when it lets in only arms that have hardly failed lately; `lifted` when it lets in one
    that does not stand well, because the steps before had nobody.
    """

    unavailable: Mapping[str, str]
    sound: bool
    lifted: bool


@dataclass(frozen=True, slots=True)
class ArmStanding:
    """How an arm stands, for people; `ttft_s` is the median of its last few calls."""

    state: State
    why: str | None
    tried_again_in_s: float | None
    under_way: int
    calls: int
    failures: int
    ttft_s: float | None


@dataclass(slots=True)
class _Kept:
    """What is known of one arm; a failed call has no seconds, `rejections` are in a row."""

    breaker: Breaker = field(default_factory=Breaker)
    under_way: int = 0
    answered_s: float = -math.inf
    rejections: int = 0
    recent: deque[float | None] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def is_sound(self) -> bool:
        """Return whether it has hardly failed lately; one that was not asked has not failed."""
        return self.recent.count(None) <= SOUND * len(self.recent)


class Health:
    """How every arm stands; safe for many threads.

    `limit` is how many calls to one arm may be under way before others are asked instead, where
    the catalogue does not say; `notice` is told which arm is left alone and why, and with no reason
    when it is back.
    """

    def __init__(
        self,
        limit: int,
        clock: Callable[[], float] = time.monotonic,
        notice: Callable[[str, str], None] = lambda _arm, _why: None,
    ) -> None:
        self._limit = limit
        self._clock = clock
        self._notice = notice
        self._lock = threading.Lock()
        self._arms: defaultdict[str, _Kept] = defaultdict(_Kept)
        self._quotas: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._retries = Retries()

    def steps(self, arms: Iterable[Arm], failed: Collection[Arm] = ()) -> Iterator[Step]:
        """Yield who may be asked, the healthiest first; `failed` have failed this very request.

        An arm whose provider has said when to come back is in no step before that moment.
        """
        names = {arm.name for arm in failed}
        with self._lock:
            now_s = self._clock()
            stands = {
                arm.name: self._stands(arm, failed, now_s) for arm in arms if arm.name not in names
            }
        ranks = sorted({rank for rank, _ in stands.values() if rank[0] != BARRED})
        for worst in ranks or [(WELL,)]:
            unavailable = {name: why for name, (rank, why) in stands.items() if rank > worst}
            yield Step(unavailable, sound=worst < (WELL, 1), lifted=worst[0] > WELL)

    def begin(self, arm: Arm, after: Sequence["Call"] = ()) -> "Call":
        """Return a call that is under way until it ends."""
        with self._lock:
            if after:
                self._retries.spend()
            else:
                self._retries.earn()
            kept, now_s = self._of(arm), self._clock()
            kept.under_way += 1
            tried = [each for each in self._breakers(arm) if each.state(now_s) != "closed"]
            for each in tried:
                each.trials += 1
            return Call(self, arm, now_s, tried, after)

    @property
    def can_pay(self) -> bool:
        """Return whether the retry budget has one more call."""
        with self._lock:
            return self._retries.can_pay

    def anybody_lately(self) -> bool:
        """Return whether any arm has answered in the last half minute."""
        with self._lock:
            now_s = self._clock()
            return any(now_s - kept.answered_s <= LATELY_S for kept in self._arms.values())

    def waits_s(self, arms: Iterable[Arm]) -> float | None:
        """Return the seconds until the first of these arms may be asked, of those told to wait."""
        with self._lock:
            now_s = self._clock()
            quotas = [self._quota(arm) for arm in arms]
            return min(
                (each.until_s - now_s for each in quotas if each.waits and each.until_s > now_s),
                default=None,
            )

    def standing(self, arm: Arm) -> ArmStanding:
        """Return how an arm stands now."""
        with self._lock:
            now_s, kept = self._clock(), self._of(arm)
            breaker = max(self._breakers(arm), key=lambda each: each.until_s)
            state = breaker.state(now_s)
            answered = [each for each in kept.recent if each is not None]
            return ArmStanding(
                state=state,
                why=breaker.why or None,
                tried_again_in_s=breaker.until_s - now_s if state == "open" else None,
                under_way=kept.under_way,
                calls=len(kept.recent),
                failures=len(kept.recent) - len(answered),
                ttft_s=median(answered) if answered else None,
            )

    def answered(self, call: "Call") -> None:
        """Record that the first content of a call has come."""
        with self._lock:
            now_s = self._clock()
            self._of(call.arm).answered_s = now_s
            was_away = self._is_away(call.arm)
            for each in self._breakers(call.arm):
                each.answer(begun_s=call.begun_s, now_s=now_s)
            is_back = was_away and not self._is_away(call.arm)
        if is_back:
            self._notice(call.arm.name, "")

    def over(self, call: "Call") -> None:
        """Record that a call is no longer under way."""
        with self._lock:
            self._of(call.arm).under_way -= 1
            for each in call.tried:
                each.trials -= 1

    def learn(self, call: "Call", error: UpstreamError | None) -> None:
        """Record how a call has ended; what may be its request's own fault is only doubted."""
        with self._lock:
            kept = self._of(call.arm)
            if error is None:
                kept.breaker.succeed()
                kept.recent.append(call.ttft_s)
                kept.rejections = 0
                return
            kept.rejections += rejects(error)
            if is_doubtful(error, kept.rejections):
                call.doubted = error
        if call.doubted is None and not is_the_requests(error):
            self.fail(call, error)

    def fail(self, call: "Call", error: UpstreamError) -> None:
        """Record that a call has failed by the fault of its arm."""
        with self._lock:
            kept, was_away = self._of(call.arm), self._is_away(call.arm)
            kept.recent.append(None)
            breaker = self._quota(call.arm) if isinstance(error, UpstreamBusy) else kept.breaker
            at_once, now_s = not self._retries.can_pay, self._clock()
            breaker.fail(error, begun_s=call.begun_s, now_s=now_s, at_once=at_once)
            why = breaker.why
        if why and not was_away:
            self._notice(call.arm.name, why)

    def _stands(self, arm: Arm, failed: Collection[Arm], now_s: float) -> tuple[Rank, str]:
        """Return how an arm stands, and why it is passed over while others stand better."""
        kept, limit = self._of(arm), arm.max_concurrent or self._limit
        for breaker in self._breakers(arm):
            if left := self._left_alone(breaker, bool(failed), now_s):
                return left
        if kept.under_way >= limit:
            return (FULL,), f"{kept.under_way} calls to it are under way, its limit is {limit}"
        return _second_choice(arm, kept, failed, now_s) if failed else ((WELL,), "")

    def _left_alone(self, breaker: Breaker, again: bool, now_s: float) -> tuple[Rank, str] | None:
        state = breaker.state(now_s)
        if state == "open":
            left_s = breaker.until_s - now_s
            why = f"it is left alone for {left_s:.0f} s more: {breaker.why}"
            return (BARRED if breaker.waits else ALONE, breaker.until_s), why
        if state == "half-open" and (breaker.trials or again or not self._retries.can_pay):
            return (ON_TRIAL,), f"another request is to try it out: {breaker.why}"
        return None

    def _of(self, arm: Arm) -> _Kept:
        return self._arms[arm.name]

    def _quota(self, arm: Arm) -> Breaker:
        return self._quotas[_quota_name(arm)]

    def _breakers(self, arm: Arm) -> tuple[Breaker, Breaker]:
        return self._quota(arm), self._of(arm).breaker

    def _is_away(self, arm: Arm) -> bool:
        return any(each.why for each in self._breakers(arm))


def _second_choice(
    arm: Arm, kept: _Kept, failed: Collection[Arm], now_s: float
) -> tuple[Rank, str]:
    """Return how well an arm that stands well may stand in for those that have failed."""
    if not kept.is_sound:
        return (WELL, 1), "after a failure: it has failed lately too"
    if now_s - kept.answered_s > LATELY_S:
        return (WELL, 0, 1), f"after a failure: it has not answered in the last {LATELY_S:.0f} s"
    if _quota_name(arm) in {_quota_name(each) for each in failed}:
        return (WELL, 0, 0, 1), "after a failure: it shares a quota group with one that failed"
    return (WELL, 0, 0, 0), ""


def _quota_name(arm: Arm) -> str:
    return arm.quota_group or arm.name


@dataclass(slots=True, eq=False)
class Call:
    """One call under way, until it ends or is dropped; `after` are others that failed its request.

    `doubted` is how it has failed, while nobody knows whose fault that is.
    """

    health: Health
    arm: Arm
    begun_s: float
    tried: Sequence[Breaker]
    after: Sequence["Call"]
    ttft_s: float = 0.0
    doubted: UpstreamError | None = None
    is_over: bool = False

    def answer(self, ttft_s: float) -> None:
        """Record that the first content has come: the arm lives."""
        self.ttft_s = ttft_s
        self.health.answered(self)

    def end(self, error: UpstreamError | None = None, *, speaks: bool = True) -> None:
        """Record how it has ended; nothing happens when it is over already.

        If it `speaks`, the request can be answered: what failed it before was the arms' fault.
        """
        if not self.is_over:
            self.drop()
            self.health.learn(self, error)
            for each in self.after if error is None and speaks else ():
                each.blame()

    def blame(self) -> None:
        """Record that a failure that was doubted was the arm's."""
        doubted, self.doubted = self.doubted, None
        if doubted is not None:
            self.health.fail(self, doubted)

    def drop(self) -> None:
        """Record that it is over, and nothing of how; nothing happens when it is over already."""
        if not self.is_over:
            self.is_over = True
            self.health.over(self)
