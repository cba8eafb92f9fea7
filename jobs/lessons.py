"""Learning events as arrays, and what a stretch of them adds up to.

Evidence is a sum, and what an outcome counts for at the end of a fold follows from its moment, from
how far forgetting has gone by then, and from the changes of its arm. So a stretch of the log can be
added up anywhere, without what came before it, and the sums of all stretches are the fold.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jobs.learned import CELLS_PER_HALF_LIFE, Learned
from policy.drift import Watch
from policy.evidence import Evidence
from policy.tokens import log_tokens
from policy.types import HOUR_S, Floats
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent

KINDS = ("rated", "evals", "tokens")
RATED, EVALS, TOKENS = range(len(KINDS))
ROWS = 2_000
"""So many events are held as arrays at a time."""

EvidenceByArm = Mapping[tuple[str, str], Evidence]
"""Evidence by kind and arm."""
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """A run of what teaches, in the order of the log.

    `kind` and `arm` are places in KINDS and `arms`. `value` is NaN where a reward was withdrawn;
    `before` is the reward that is taken back, given at `before_at_s`, NaN where there is none.

    shapes : kind, arm, at_s, value, before, before_at_s (n,); contexts (n, d)
    """

    arms: tuple[str, ...]
    kind: Integers
    arm: Integers
    at_s: Floats
    contexts: Floats
    value: Floats
    before: Floats
    before_at_s: Floats

    @classmethod
    def of(cls, events: Iterable[Event], learned: Learned) -> Self | None:
        """Return what these events teach in the space of `learned`; None if it is nothing."""
        rows = [row for row in (_row(event, learned) for event in events) if row is not None]
        if not rows:
            return None
        kind, arms, at_s, contexts, value, before, before_at_s = zip(*rows, strict=True)
        names = tuple(sorted(set(arms)))
        return cls(
            names,
            np.array(kind),
            np.array([names.index(arm) for arm in arms]),
            np.array(at_s),
            np.stack(contexts),
            np.array(value, float),
            np.array(before, float),
            np.array(before_at_s, float),
        )

    def ages(self) -> NDArray[np.bool_]:
        """Return which of them let time pass: an imported eval does not."""
        ages: NDArray[np.bool_] = self.kind != EVALS
        return ages


@dataclass(frozen=True, slots=True)
class DecayedTo:
    """How far forgetting has gone: in cells of the half-life, and in hours, since the epoch."""

    cell: int = 0
    hour: int = 0

    def after(self, at_s: float, half_life_s: float) -> "DecayedTo":
        """Return how far it has gone at a moment; a clock that was set back undoes nothing."""
        cell = int(at_s * CELLS_PER_HALF_LIFE // half_life_s)
        return DecayedTo(max(self.cell, cell), max(self.hour, int(at_s // HOUR_S)))


@dataclass(frozen=True, slots=True, eq=False)
class StretchTerms:
    """What every stretch must know of the whole: the space, how it ends, and which arms changed."""

    start: Learned
    end: DecayedTo
    watches: Mapping[str, Watch]


def read(events: Iterable[Event], learned: Learned) -> Iterator[Lessons]:
    """Yield what events teach, so many at a time that memory is bounded."""
    reading = iter(events)
    while page := list(islice(reading, ROWS)):
        lessons = Lessons.of(page, learned)
        if lessons is not None:
            yield lessons


def summed(runs: Iterable[Lessons], terms: StretchTerms, begun: DecayedTo) -> EvidenceByArm:
    """Return what a stretch of the log adds to the evidence at the end of the fold."""
    total: EvidenceByArm = {}
    for lessons in runs:
        counted, begun = _counted(lessons, terms, begun)
        total = added(total, _evidence(lessons, *counted))
    return total


def added(one: EvidenceByArm, other: EvidenceByArm) -> EvidenceByArm:
    """Return the sums of two stretches together."""
    total = dict(one)
    for name, evidence in other.items():
        total[name] = total[name].plus(evidence) if name in total else evidence
    return total


def _row(event: Event, learned: Learned) -> tuple[Any, ...] | None:
    match event:
        case FeedbackEvent() if event.teaches and learned.is_sound(event):
            kind, value, before = RATED, event.reward, event.previous_reward
            before_at_s = event.previous_at_s
        case OutcomeEvent() if event.teaches and learned.is_sound(event):
            kind, value, before = TOKENS, log_tokens(event.length), None
            before_at_s = None
        case EvalEvent() if event.teaches and learned.is_sound(event):
            kind, value, before, before_at_s = EVALS, event.score, None, None
        case _:
            return None
    return kind, event.arm, event.at_s, learned.context(event), value, before, before_at_s


def _counted(
    lessons: Lessons, terms: StretchTerms, begun: DecayedTo
) -> tuple[tuple[Floats, Floats], DecayedTo]:
    """Return what each row counts for at the end, what its taking back does, and how far it went.

    shapes : (n,), (n,)
    """
    half_life_s = terms.start.hyper.half_life_s
    ages, end = lessons.ages(), terms.end
    cells = _running(_cells(lessons.at_s, half_life_s), ages, begun.cell)
    hours = _running((lessons.at_s // HOUR_S).astype(np.int64), ages, begun.hour)
    counts = np.where(ages, _left(cells - end.cell), 1.0)
    before_at_s = np.nan_to_num(lessons.before_at_s)
    taken = _left(np.minimum(_cells(before_at_s, half_life_s), cells) - end.cell)
    for row, watch in _changed(lessons, terms.watches):
        at_s = float(lessons.at_s[row])
        says = watch.counts_eval(at_s) if lessons.kind[row] == EVALS else watch.counts(at_s)
        counts[row] *= says * watch.faded(int(hours[row]), end.hour)
        taken[row] *= watch.left_at(float(before_at_s[row]), end.hour)
    return (counts, taken), DecayedTo(int(cells[-1]), int(hours[-1]))


def _evidence(lessons: Lessons, counts: Floats, taken: Floats) -> EvidenceByArm:
    total: EvidenceByArm = {}
    place = lessons.kind * len(lessons.arms) + lessons.arm
    for each in np.unique(place).tolist():
        rows = place == each
        given = rows & ~np.isnan(lessons.value)
        evidence = Evidence.of(lessons.contexts[given], lessons.value[given], counts[given])
        back = rows & ~np.isnan(lessons.before)
        if back.any():
            earlier = Evidence.of(lessons.contexts[back], lessons.before[back], -taken[back])
            evidence = evidence.plus(earlier)
        kind, arm = divmod(each, len(lessons.arms))
        total = added(total, {(KINDS[kind], lessons.arms[arm]): evidence})
    return total


def _changed(lessons: Lessons, watches: Mapping[str, Watch]) -> Iterator[tuple[int, Watch]]:
    """Yield the rows of arms that have changed; how long answers are is not judged anew."""
    for place, arm in enumerate(lessons.arms):
        if arm in watches and watches[arm].changes:
            rows = np.flatnonzero((lessons.arm == place) & (lessons.kind != TOKENS))
            yield from ((row, watches[arm]) for row in rows.tolist())


def _running(reached: Integers, ages: NDArray[np.bool_], begun: int) -> Integers:
    """Return how far it has gone by each row: as far as the farthest so far."""
    return np.maximum.accumulate(np.maximum(np.where(ages, reached, begun), begun))


def _cells(at_s: Floats, half_life_s: float) -> Integers:
    return (at_s * CELLS_PER_HALF_LIFE // half_life_s).astype(np.int64)


def _left(cells: Integers) -> Floats:
    left: Floats = 2.0 ** (cells / CELLS_PER_HALF_LIFE)
    return left
