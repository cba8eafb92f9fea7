"""The catalogue's arms and hints: a policy version that lists them, learned before it serves."""

import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from features.space import Space
from jobs.intake import state_of
from jobs.learned import Learned
from policy.errors import InvalidInput
from policy.hyper import Hyper
from policy.types import Arm
from storage.log import Log
from storage.records import PolicyVersion

PIECE = 2_000
"""How many events are learned from at a time: some twentieth of a second beside all requests."""


class Listing:
    """Makes the policy version that lists what the catalogue has.

    What it has learned goes into the log with it, so that whoever adopts it reads only what came
    after.
    """

    def __init__(self, log: Log, known: Callable[[], Learned]) -> None:
        self._log = log
        self._known = known
        self._arms: tuple[Arm, ...] = ()
        self._next: Learned | None = None

    def first(self, arms: Iterable[Arm], now_s: float) -> PolicyVersion:
        """Return the first policy version of a log that has none, adopted.

        raises : StoreUnavailable
        """
        space = b""
        first = PolicyVersion(
            version=1,
            created_at_s=now_s,
            source="initial",
            feature_version=Space.from_bytes(space).version,
            space=space,
            hyper=Hyper().following(arms).to_json(),
        )
        with suppress(InvalidInput):  # a process that started with us was quicker
            self._log.adopt(first).wait()
        return self._log.policy_version(1)

    def follow(self, arms: Iterable[Arm], now_s: float) -> None:
        """Come nearer to a version for a catalogue with other hints, or an arm that is new.

        Each call learns from a piece of the log; the version is adopted once it knows all of it.

        raises : StoreUnavailable
        """
        arms = tuple(arms)
        policy = None if arms == self._arms else self._log.latest_policy()
        if policy is None:
            return
        served = Learned.start(policy).hyper
        hyper = served.following(arms)
        if hyper == served:
            # Another process of ours may read another catalogue for a while: it is not undone.
            self._arms, self._next = arms, None
            return
        self._arms = ()  # a catalogue that goes back to what it was is another one again
        listed = replace(
            policy,
            version=policy.version + 1,
            created_at_s=now_s,
            source="catalogue",
            hyper=hyper.to_json(),
        )
        known = self._known()
        learned = self._nearer(known, Learned.start(listed))
        if learned.upto_seq >= known.upto_seq:
            self._adopt(listed, learned)

    def _nearer(self, known: Learned, start: Learned) -> Learned:
        """Return what the version knows after one more piece of the log."""
        at = self._next
        if at is None or (at.policy_version, at.hyper) != (start.policy_version, start.hyper):
            at = relisted(known, start) or start
        self._next = at.fold(islice(self._log.events(at.upto_seq), PIECE))
        return self._next

    def _adopt(self, listed: PolicyVersion, learned: Learned) -> None:
        at_s, state = listed.created_at_s, state_of(learned)
        with suppress(InvalidInput):  # another process, or a retrain, was quicker: looked at again
            self._log.receive(uuid.uuid4().hex, "catalogue", at_s, [listed, state]).wait()


def relisted(known: Learned, start: Learned) -> Learned | None:
    """Return what is known under a version that only lists more arms, of which nothing is known.

    It is what folding the log from its first event under that version gives, to the bit, because
    an arm without outcomes has no part in what is believed of the others. None if the version
    differs in more, if it is not the next, or if something is known of an arm that it lists.
    """
    ours, theirs = known.hyper, start.hyper
    new = {arm for arm, usd in theirs.listed.items() if ours.listed.get(arm) != usd}
    quality, tokens = known.beliefs.quality, known.beliefs.tokens
    heard = new & {*quality.rated, *quality.evals, *ours.hints, *known.watches}
    same = (
        replace(ours, listed=theirs.listed) == theirs
        and known.space.version == start.space.version
        and known.policy_version == start.policy_version - 1
    )
    if heard or not same:
        return None
    beliefs = replace(
        start.beliefs,
        quality=quality.under(start.beliefs.quality.prior),
        tokens=tokens.under(start.beliefs.tokens.prior),
    )
    return replace(known, policy_version=start.policy_version, space=start.space, beliefs=beliefs)
