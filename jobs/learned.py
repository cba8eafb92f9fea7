"""Everything derived from the log: feature space and beliefs, as one fold over its events.

Start-up, live feedback, retrain and bench all learn through `fold`. The same events in the same
order give the same bytes; a new policy version starts the fold again in its own feature space.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from structlog import get_logger

from features.space import GROUPS, Space
from policy.belief import Belief
from policy.decide import Beliefs
from policy.drift import Change, Watch
from policy.errors import ConfigError
from policy.evidence import Evidence
from policy.hyper import Hyper
from policy.tokens import log_tokens
from policy.types import HOUR_S, Floats
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent, PolicyEvent
from storage.records import Decision, PolicyVersion

LOGGER = get_logger()
FOLD = 10
"""Counts up when the same events give another result, so that no older snapshot is taken."""
LONGEST_RUN = 1_000
CELLS_PER_HALF_LIFE = 64  # forgetting happens in steps of about one per cent

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Learned:
    """What has been learned up to one position of the log, under one policy version.

    `cell` is how far forgetting has gone, in steps of half_life_s / 64 since the epoch, and `hour`
    that of arms that have changed; `watches` is what is remembered of each arm to see a change.
    """

    upto_seq: int
    policy_version: int
    space: Space
    beliefs: Beliefs
    cell: int = 0
    hour: int = 0
    watches: Mapping[str, Watch] = field(default_factory=dict)

    @classmethod
    def under(cls, policy_version: int, space: Space, hyper: Hyper) -> Self:
        """Return what a policy version knows before its first event."""
        quality = Belief(hyper.quality_prior(GROUPS))
        tokens = Belief(hyper.tokens_prior(GROUPS))
        return cls(0, policy_version, space, Beliefs(quality, tokens, hyper))

    @classmethod
    def start(cls, policy: PolicyEvent | PolicyVersion) -> Self:
        """Return what an adopted policy version knows before its first event.

        raises : ConfigError if it has hyper-parameters that this program does not know
        """
        try:
            hyper = Hyper.from_json(policy.hyper)
        except TypeError as error:
            raise ConfigError(
                f"policy version {policy.version} of the log was made by another Turnpike "
                f"({error}): run the one that made it, or a newer one"
            ) from error
        return cls.under(policy.version, Space.from_bytes(policy.space), hyper)

    @property
    def hyper(self) -> Hyper:
        """Return the hyper-parameters in force."""
        return self.beliefs.hyper

    def fold(self, events: Iterable[Event]) -> Self:
        """Return what is learned after these events, given in the order of the log.

        Adoptions among them are passed over: to serve a newly adopted version, start from it and
        fold all that came before.
        """
        learned, run, seq = self, list[OutcomeEvent](), self.upto_seq
        for event in events:
            if isinstance(event, OutcomeEvent):
                if event.teaches and self.is_sound(event):
                    if run and not learned._goes_on(run, event):
                        learned, run = learned._completed(run), []
                    run.append(event)
            elif not isinstance(event, PolicyEvent):
                learned, run = learned._completed(run)._after(event), []
            seq = event.seq
        return replace(learned._completed(run), upto_seq=seq)

    def context(self, event: OutcomeEvent | FeedbackEvent | EvalEvent | Decision) -> Floats:
        """Return an event's context in this version's space, encoded anew if need be."""
        if not isinstance(event, EvalEvent) and event.feature_version == self.space.version:
            return event.context
        return self.space.encoded(event.sketch)

    def knows(self, event: OutcomeEvent | FeedbackEvent | EvalEvent | Decision) -> bool:
        """Return whether an event's context in this version's space is made of numbers.

        Nothing of ours writes a row of which it is not. One that another hand has put there must
        not keep the service from starting, or from learning what came before and after it.
        """
        return isfinite(self.context(event).sum())  # of what is not finite no sum is

    def is_sound(self, event: OutcomeEvent | FeedbackEvent | EvalEvent) -> bool:
        """Return whether an event can be learned from; what cannot is passed over and told."""
        if self.knows(event):
            return True
        decision = None if isinstance(event, EvalEvent) else event.decision_id
        LOGGER.error("nothing is learned from an event", seq=event.seq, decision=decision)
        return False

    def changed_at_s(self, arm: str) -> list[float]:
        """Return when an arm was found changed, oldest first."""
        return [each.at_s for each in self.changes.get(arm, ())]

    @property
    def changes(self) -> dict[str, tuple[Change, ...]]:
        """Return the changes of the arms that were found changed, oldest first."""
        return {arm: watch.changes for arm, watch in self.watches.items() if watch.changes}

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that must be remembered, as arrays for a snapshot."""
        arrays = {
            "cell": np.array([self.cell, self.hour]),
            "fingerprint": fingerprint(self.space, self.hyper),
        }
        for kind, evidence in self._kinds().items():
            for arm, seen in evidence.items():
                arrays[f"{kind}/{arm}/gram"] = seen.gram
                arrays[f"{kind}/{arm}/moment"] = seen.moment
                arrays[f"{kind}/{arm}/sums"] = np.array([seen.square, seen.weight, seen.exp])
        for arm, outcomes in self.beliefs.quality.late.items():
            arrays[f"late/{arm}/outcomes"] = np.array([outcomes])
        for arm, watch in self.watches.items():
            arrays |= {f"watch/{arm}/{name}": array for name, array in watch.to_arrays().items()}
        return arrays

    def restored(self, arrays: Arrays, upto_seq: int) -> Self | None:
        """Return this policy version as a snapshot left it; None if the snapshot is of another."""
        if not np.array_equal(arrays["fingerprint"], fingerprint(self.space, self.hyper)):
            return None
        rated, evals, tokens = (_evidence(arrays, kind) for kind in self._kinds())
        late = {arm: float(kept["outcomes"][0]) for arm, kept in _named(arrays, "late").items()}
        beliefs = replace(
            self.beliefs,
            quality=replace(self.beliefs.quality, rated=rated, evals=evals, late=late),
            tokens=replace(self.beliefs.tokens, rated=tokens),
        )
        return replace(
            self,
            beliefs=beliefs,
            upto_seq=upto_seq,
            cell=int(arrays["cell"][0]),
            hour=int(arrays["cell"][1]),
            watches={arm: Watch.from_arrays(kept) for arm, kept in _named(arrays, "watch").items()},
        )

    def _kinds(self) -> dict[str, Mapping[str, Evidence]]:
        quality, tokens = self.beliefs.quality, self.beliefs.tokens
        return {"rated": quality.rated, "evals": quality.evals, "tokens": tokens.rated}

    def _after(self, event: Event) -> Self:
        match event:
            case FeedbackEvent() if event.teaches and self.is_sound(event):
                return self._aged(event.at_s)._rated(event)
            case EvalEvent() if event.teaches and self.is_sound(event):
                context, quality = self.context(event), self.beliefs.quality
                return self._with(quality=quality.learn_eval(event.arm, context, event.score))
            case _:
                return self

    def _rated(self, event: FeedbackEvent) -> Self:
        """Take back what the same rater had given before, as far as it is remembered; then add."""
        context, quality = self.context(event), self.beliefs.quality
        watch = self.watches.get(event.arm, Watch.new())
        before, before_s = event.previous_reward, event.previous_at_s
        if before is not None and before_s is not None:
            kept = self._faded_since(before_s) * watch.left_at(before_s, self.hour)
            quality = quality.update(event.arm, context, before, -kept)
            watch = watch.returned(context, before, before_s, kept, bet=event.is_first)
        if event.reward is not None:
            if event.is_first and before is None:
                watch = _watched(watch, quality, event.arm)
                watch = watch.observe(context, event.reward, event.at_s)
            else:  # a change of mind, or one more reader of the same answer, is no news of the arm
                watch = watch.counted(context, event.reward, event.at_s)
            quality = quality.update(event.arm, context, event.reward)
        if watch.alarmed:
            quality = quality.relearned(event.arm, watch.boldest.seen)
            watch = watch.changed(event.at_s)
        return replace(self._with(quality=quality), watches={**self.watches, event.arm: watch})

    def _goes_on(self, run: Sequence[OutcomeEvent], event: OutcomeEvent) -> bool:
        """Return whether nothing is forgotten between a run of answers and one more."""
        first_s, at_s = run[0].at_s, event.at_s
        cell, hour = max(self.cell, self._cell(first_s)), max(self.hour, int(first_s // HOUR_S))
        is_same = self._cell(at_s) <= cell and int(at_s // HOUR_S) <= hour
        return is_same and len(run) < LONGEST_RUN

    def _completed(self, run: Sequence[OutcomeEvent]) -> Self:
        """Learn lengths from answers between which nothing is forgotten: one step for them all."""
        if not run:
            return self
        aged = self._aged(run[0].at_s)
        contexts = np.array([self.context(event) for event in run])
        lengths = np.array([log_tokens(event.length) for event in run])
        arms = [event.arm for event in run]
        return aged._with(tokens=aged.beliefs.tokens.update_all(arms, contexts, lengths))

    def _aged(self, at_s: float) -> Self:
        """Return what is left at this moment: less of all, and still less of arms that changed."""
        hour = int(at_s // HOUR_S)
        faded = self._faded(at_s)
        return replace(faded._unsettled(hour), hour=hour) if hour > self.hour else faded

    def _unsettled(self, hour: int) -> Self:
        quality, watches = self.beliefs.quality, dict(self.watches)
        for arm, watch in self.watches.items():
            left = watch.faded(self.hour, hour)
            if left < 1.0:
                quality, watches[arm] = quality.doubted(arm, left), watch.scaled(left)
        return replace(self._with(quality=quality), watches=watches)

    def _faded(self, at_s: float) -> Self:
        cell = self._cell(at_s)
        if cell <= self.cell:
            return self
        factor = 2.0 ** ((self.cell - cell) / CELLS_PER_HALF_LIFE) if self.cell else 1.0
        quality, tokens = self.beliefs.quality, self.beliefs.tokens
        aged = self._with(quality=quality.faded(factor), tokens=tokens.faded(factor))
        watches = {arm: watch.scaled(factor) for arm, watch in self.watches.items()}
        return replace(aged, cell=cell, watches=watches)

    def _faded_since(self, at_s: float) -> float:
        return float(2.0 ** ((min(self._cell(at_s), self.cell) - self.cell) / CELLS_PER_HALF_LIFE))

    def _cell(self, at_s: float) -> int:
        return int(at_s * CELLS_PER_HALF_LIFE // self.hyper.half_life_s)

    def _with(self, **changed: Belief) -> Self:
        return replace(self, beliefs=replace(self.beliefs, **changed))  # type: ignore[arg-type]


def fingerprint(space: Space, hyper: Hyper) -> NDArray[np.uint8]:
    """Return what tells one policy's evidence from another's, (32,)."""
    described = json.dumps([FOLD, space.version, hyper.to_json()], sort_keys=True).encode()
    arrays = (space.facts_mean, space.buckets, space.rarity, space.directions, space.words_mean)
    content = b"".join(array.tobytes() for array in arrays)
    return np.frombuffer(sha256(described + content).digest(), np.uint8)


def _watched(watch: Watch, quality: Belief, arm: str) -> Watch:
    """Return the watch with a new reference if one is due."""
    return watch.against(quality.mean_weights(arm)) if watch.is_due else watch


def _evidence(arrays: Arrays, kind: str) -> dict[str, Evidence]:
    return {
        arm: Evidence(kept["gram"], kept["moment"], *kept["sums"].tolist())
        for arm, kept in _named(arrays, kind).items()
    }


def _named(arrays: Arrays, kind: str) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the arrays of each arm by name; an arm's own name may hold a slash."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    for path, array in arrays.items():
        if path.startswith(f"{kind}/"):
            arm, _, name = path.removeprefix(f"{kind}/").rpartition("/")
            found.setdefault(arm, {})[name] = array
    return found
