"""The fold of a long log as sums over its stretches, here or on the machines of a Dask cluster.

Evidence equals that of the fold in order, to rounding. What cannot be added up are the bets by
which a changed arm is found, and which arms came late, because each depends on all before it: what
was found so far is taken as given, and the newest events are folded in order, so that it goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from structlog import get_logger

from jobs.intake import saved
from jobs.learned import Learned
from jobs.lessons import KINDS, DecayedTo, EvidenceByArm, Lessons, StretchTerms, added, read, summed
from policy.belief import Belief
from policy.drift import Watch
from policy.evidence import Evidence
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.learnable import LearnableLog
from storage.reader import LogReader

LOGGER = get_logger()
LARGE = 200_000
"""Beyond so many learning events the log is added up; below it a fold takes seconds."""
STRETCH = 100_000
TAIL = 20_000
TOGETHER = 8

Compute = Callable[[Sequence[Any]], Sequence[Any]]
Fold = Callable[[Learned, int], Learned]


class Source(Protocol):
    """Where a stretch of the log is read: it travels to the machine that adds it up."""

    def newest_at_s(self, after_seq: int, upto_seq: int) -> float:
        """Return the latest moment of what lets time pass in after_seq < seq <= upto_seq."""
        ...

    def lessons(self, start: Learned, after_seq: int, upto_seq: int) -> Iterator[Lessons]:
        """Yield what the events with after_seq < seq <= upto_seq teach, in bounded memory."""
        ...

    def events(self, after_seq: int, upto_seq: int) -> Iterator[Event]:
        """Yield these events themselves."""
        ...


def _unheard(_events: int) -> None:
    """Record nothing."""


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log, opened wherever a stretch of it is read; `told` is told how many more events were."""

    opened: Callable[[], AbstractContextManager[LogReader]]
    told: Callable[[int], None] = _unheard

    def newest_at_s(self, after_seq: int, upto_seq: int) -> float:
        """Return the latest moment of what lets time pass in after_seq < seq <= upto_seq."""
        with self.opened() as log:
            return log.newest_lesson_s(after_seq, upto_seq)

    def lessons(self, start: Learned, after_seq: int, upto_seq: int) -> Iterator[Lessons]:
        """Yield what the events with after_seq < seq <= upto_seq teach, in bounded memory."""
        return read(self.events(after_seq, upto_seq), start)

    def events(self, after_seq: int, upto_seq: int) -> Iterator[Event]:
        """Yield these events themselves."""
        with self.opened() as log:
            for event in log.events(after_seq, upto_seq):
                yield event
                self.told(1)


def in_order(log: LearnableLog | Source) -> Fold:
    """Return the fold of a log event by event, from where what was learned stands."""
    return lambda start, upto_seq: start.fold(log.events(start.upto_seq, upto_seq))


def as_found(start: Learned, log: LearnableLog, upto_seq: int, found: Learned) -> Learned:
    """Return what a policy version has learned if its arms changed when `found` says they did.

    Its own bets are not asked: what it has learned rests on the very outcomes that `found` does.
    """
    begun, lessons = _unlearned(start), (OutcomeEvent, FeedbackEvent)
    taught = (each for each in log.events(0, upto_seq) if isinstance(each, lessons))
    newest_s = max((each.at_s for each in taught if each.teaches), default=0.0)
    known, end = _until(found, newest_s), DecayedTo().after(newest_s, start.hyper.half_life_s)
    runs = read(log.events(0, upto_seq), begun)
    total = summed(runs, StretchTerms(begun, end, known.watches), DecayedTo())
    return _learned(begun, total, end, known, upto_seq)


@contextmanager
def folding(
    log: LogReader,
    source: Source,
    address: str | None,
    found: Callable[[], Learned],
    large: int = LARGE,
) -> Iterator[Fold]:
    """Yield the fold that suits the log: in order, or by sums if it is large.

    The sums are made here, or by the cluster at the address; `found` gives what the service knows.
    """
    if log.position() < large:
        yield in_order(source)
        return
    with computing(address) as compute:
        known = found()
        yield lambda start, upto_seq: refolded(start, source, upto_seq, known, compute)


def refolded(
    start: Learned,
    source: Source,
    upto_seq: int,
    found: Learned,
    compute: Compute,
    size: int = STRETCH,
    tail: int = TAIL,
) -> Learned:
    """Return what a policy version has learned up to a position, from sums over stretches.

    `found` has learned whoever followed the log so far: which arms have changed, and which came
    late, is taken from it as given.
    """
    cut = max(upto_seq - tail, 0)
    stretches = [(low, min(low + size, cut)) for low in range(0, cut, size)]
    learned = _unlearned(start)
    if stretches:
        learned = _added_up(learned, source, stretches, found, compute)
    return learned.fold(source.events(cut, upto_seq))


def _added_up(
    start: Learned,
    source: Source,
    stretches: Sequence[tuple[int, int]],
    found: Learned,
    compute: Compute,
) -> Learned:
    from dask.delayed import delayed  # half a second, and only a long log needs it

    # Each is one node of the graph, sent once; Dask would look through them for work otherwise.
    read_from = delayed(source, traverse=False)
    newest = compute([delayed(partial(_newest, span=each))(read_from) for each in stretches])
    half_life_s = start.hyper.half_life_s
    reached = list(
        accumulate(newest, lambda r, at_s: r.after(at_s, half_life_s), initial=DecayedTo())
    )
    known = _until(found, max(newest))
    terms = delayed(StretchTerms(start, reached[-1], known.watches), traverse=False)
    parts = [
        delayed(partial(_stretch, span=each, begun=begun))(read_from, terms)
        for each, begun in zip(stretches, reached, strict=False)
    ]
    while len(parts) > 1:
        groups = [parts[i : i + TOGETHER] for i in range(0, len(parts), TOGETHER)]
        parts = [delayed(_together)(group) for group in groups]
    [total] = compute(parts)
    return _learned(start, total, reached[-1], known, stretches[-1][1])


def _newest(source: Source, span: tuple[int, int]) -> float:
    return source.newest_at_s(*span)


def _stretch(
    source: Source, terms: StretchTerms, span: tuple[int, int], begun: DecayedTo
) -> EvidenceByArm:
    return summed(source.lessons(terms.start, *span), terms, begun)


def _together(parts: Sequence[EvidenceByArm]) -> EvidenceByArm:
    return reduce(added, parts)


def _unlearned(start: Learned) -> Learned:
    """Return the policy version before its first event."""
    quality, tokens = (Belief(each.prior) for each in (start.beliefs.quality, start.beliefs.tokens))
    beliefs = replace(start.beliefs, quality=quality, tokens=tokens)
    return Learned(0, start.policy_version, start.space, beliefs)


def _until(found: Learned, at_s: float) -> Learned:
    """Return what was found, with the watches of the arms that had changed by then alone."""
    changes = {
        arm: tuple(change for change in watch.changes if change.at_s <= at_s)
        for arm, watch in found.watches.items()
    }
    watches = {arm: Watch.resumed(0.0, known) for arm, known in changes.items() if known}
    return replace(found, watches=watches)


def _learned(
    start: Learned, total: EvidenceByArm, reached: DecayedTo, known: Learned, upto_seq: int
) -> Learned:
    by_kind: dict[str, dict[str, Evidence]] = {kind: {} for kind in KINDS}
    for (kind, arm), evidence in sorted(total.items()):
        by_kind[kind][arm] = evidence
    rated, late = by_kind["rated"], known.beliefs.quality.late
    quality = replace(
        start.beliefs.quality,
        rated=rated,
        evals=by_kind["evals"],
        late={arm: late[arm] for arm in rated if arm in late},
    )
    tokens = replace(start.beliefs.tokens, rated=by_kind["tokens"])
    resumed = {
        arm: Watch.resumed(seen.weight, known.watches.get(arm, Watch.new()).changes)
        for arm, seen in rated.items()
    }
    return replace(
        start,
        upto_seq=upto_seq,
        beliefs=replace(start.beliefs, quality=quality, tokens=tokens),
        cell=reached.cell,
        hour=reached.hour,
        watches=resumed,
    )


@contextmanager
def computing(address: str | None) -> Iterator[Compute]:
    """Yield what works a graph of Dask off: this process, or the cluster at an address."""
    if address is None:
        from dask.base import compute

        yield lambda graph: compute(*graph, scheduler="synchronous")
        return
    from distributed import Client

    with Client(address) as client:
        yield lambda graph: client.gather(client.compute(list(graph)))


def followed(data: Path, log: LogReader, incumbent: Learned) -> Learned:
    """Return what the service that follows the log has learned, as its newest snapshot has it.

    Where the service is on other machines, it is what its policy was adopted with. Without either,
    or if both are of an earlier version of ours, that is said, and it is what a policy starts with.
    """
    known = saved(data, log, incumbent)
    if known is None:
        version = incumbent.policy_version
        LOGGER.warning("what was found of arms earlier is not known", policy_version=version)
        return incumbent
    return known
