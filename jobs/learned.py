"""Everything derived from the log: feature space and beliefs, as one fold over its events.

Start-up, live feedback, retrain and bench all learn through `fold`. The same events in the same
order give the same bytes; a new policy version starts the fold again in its own feature space.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.sketch import Sketch
from features.space import GROUPS, Space
from policy.belief import Belief
from policy.decide import Beliefs
from policy.evidence import Evidence
from policy.hyper import Hyper
from policy.tokens import log_tokens
from policy.types import Floats
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent, PolicyEvent
from storage.records import Decision, PolicyVersion

CELLS_PER_HALF_LIFE = 64  # forgetting happens in steps of about one per cent

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Learned:
    """What has been learned up to one position of the log, under one policy version.

    `cell` is how far forgetting has gone, in steps of half_life_s / 64 since the epoch.
    """

    upto_seq: int
    policy_version: int
    space: Space
    beliefs: Beliefs
    cell: int = 0

    @classmethod
    def under(cls, policy_version: int, space: Space, hyper: Hyper) -> Self:
        """Return what a policy version knows before its first event."""
        quality = Belief(hyper.quality_prior(GROUPS))
        tokens = Belief(hyper.tokens_prior(GROUPS))
        return cls(0, policy_version, space, Beliefs(quality, tokens, hyper))

    @classmethod
    def start(cls, policy: PolicyEvent | PolicyVersion) -> Self:
        """Return what an adopted policy version knows before its first event."""
        hyper = Hyper.from_json(policy.hyper)
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
        learned = self
        for event in events:
            learned = replace(learned._after(event), upto_seq=event.seq)
        return learned

    def context(self, event: OutcomeEvent | FeedbackEvent | EvalEvent | Decision) -> Floats:
        """Return an event's context in this version's space, encoded anew if need be."""
        if not isinstance(event, EvalEvent) and event.feature_version == self.space.version:
            return event.context
        return self.space.context(Sketch.from_bytes(event.sketch))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all that must be remembered, as arrays for a snapshot."""
        arrays = {"cell": np.array(self.cell), "fingerprint": fingerprint(self.space, self.hyper)}
        for kind, evidence in self._kinds().items():
            for arm, seen in evidence.items():
                arrays[f"{kind}/{arm}/gram"] = seen.gram
                arrays[f"{kind}/{arm}/moment"] = seen.moment
                arrays[f"{kind}/{arm}/sums"] = np.array([seen.square, seen.weight])
        return arrays

    def restored(self, arrays: Arrays, upto_seq: int) -> Self | None:
        """Return this policy version as a snapshot left it; None if the snapshot is of another."""
        if not np.array_equal(arrays["fingerprint"], fingerprint(self.space, self.hyper)):
            return None
        rated, evals, tokens = (_evidence(arrays, kind) for kind in self._kinds())
        beliefs = replace(
            self.beliefs,
            quality=replace(self.beliefs.quality, rated=rated, evals=evals),
            tokens=replace(self.beliefs.tokens, rated=tokens),
        )
        return replace(self, beliefs=beliefs, upto_seq=upto_seq, cell=int(arrays["cell"]))

    def _kinds(self) -> dict[str, Mapping[str, Evidence]]:
        quality, tokens = self.beliefs.quality, self.beliefs.tokens
        return {"rated": quality.rated, "evals": quality.evals, "tokens": tokens.rated}

    def _after(self, event: Event) -> Self:
        match event:
            case FeedbackEvent() if not event.excluded:
                return self._aged(event.at_s)._rated(event)
            case OutcomeEvent(status="ok", cache="miss", usage_estimated=False):
                return self._aged(event.at_s)._completed(event)
            case EvalEvent():
                context, quality = self.context(event), self.beliefs.quality
                return self._with(quality=quality.learn_eval(event.arm, context, event.score))
            case _:
                return self

    def _rated(self, event: FeedbackEvent) -> Self:
        """Take back what the same rater had given before, as far as it is remembered; then add."""
        context, quality = self.context(event), self.beliefs.quality
        if event.previous_reward is not None and event.previous_at_s is not None:
            kept = self._faded_since(event.previous_at_s)
            quality = quality.update(event.arm, context, event.previous_reward, -kept)
        if event.reward is not None:
            quality = quality.update(event.arm, context, event.reward)
        return self._with(quality=quality)

    def _completed(self, event: OutcomeEvent) -> Self:
        length, context = log_tokens(event.output_tokens), self.context(event)
        return self._with(tokens=self.beliefs.tokens.update(event.arm, context, length))

    def _aged(self, at_s: float) -> Self:
        cell = self._cell(at_s)
        if cell <= self.cell:
            return self
        factor = 2.0 ** ((self.cell - cell) / CELLS_PER_HALF_LIFE) if self.cell else 1.0
        quality, tokens = self.beliefs.quality, self.beliefs.tokens
        aged = self._with(quality=quality.faded(factor), tokens=tokens.faded(factor))
        return replace(aged, cell=cell)

    def _faded_since(self, at_s: float) -> float:
        return float(2.0 ** ((min(self._cell(at_s), self.cell) - self.cell) / CELLS_PER_HALF_LIFE))

    def _cell(self, at_s: float) -> int:
        return int(at_s * CELLS_PER_HALF_LIFE // self.hyper.half_life_s)

    def _with(self, **changed: Belief) -> Self:
        return replace(self, beliefs=replace(self.beliefs, **changed))  # type: ignore[arg-type]


def fingerprint(space: Space, hyper: Hyper) -> NDArray[np.uint8]:
    """Return what tells one policy's evidence from another's, (32,)."""
    described = json.dumps([space.version, hyper.to_json()], sort_keys=True).encode()
    arrays = (space.facts_mean, space.buckets, space.rarity, space.directions, space.words_mean)
    content = b"".join(array.tobytes() for array in arrays)
    return np.frombuffer(sha256(described + content).digest(), np.uint8)


def _evidence(arrays: Arrays, kind: str) -> dict[str, Evidence]:
    arms = [
        name.removeprefix(f"{kind}/").removesuffix("/gram")
        for name in arrays
        if name.startswith(f"{kind}/") and name.endswith("/gram")
    ]
    return {
        arm: Evidence(
            arrays[f"{kind}/{arm}/gram"],
            arrays[f"{kind}/{arm}/moment"],
            float(arrays[f"{kind}/{arm}/sums"][0]),
            float(arrays[f"{kind}/{arm}/sums"][1]),
        )
        for arm in arms
    }
