"""A fold by stretches against the fold in order, on logs in which order matters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from features.sketch import Sketch
from jobs.learned import Learned
from jobs.lessons import Lessons, read
from jobs.refold import as_found, computing, refolded
from policy.types import DAY_S, HOUR_S
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent
from tests.jobs.test_learned import HYPER, NOON_S, SPACE, TEXTS, context, declining, rated, sketch
from tests.storage.rounds import but

EXACT = 1e-9
KINDS = (OutcomeEvent, FeedbackEvent, EvalEvent)
ARMS = ("small", "large", "vendor/huge")


@dataclass(frozen=True)
class Listed:
    """A log in memory: the newest moment is asked of the events themselves, not of SQL."""

    all: tuple[Event, ...]

    def newest_at_s(self, after_seq: int, upto_seq: int) -> float:
        lessons = (each for each in self.events(after_seq, upto_seq) if teaches_and_ages(each))
        return max((each.at_s for each in lessons), default=0.0)

    def lessons(self, start: Learned, after_seq: int, upto_seq: int) -> Iterator[Lessons]:
        return read(self.events(after_seq, upto_seq), start)

    def events(self, after_seq: int, upto_seq: int) -> Iterator[Event]:
        yield from (each for each in self.all if after_seq < each.seq <= upto_seq)


def teaches_and_ages(event: Event) -> bool:
    return isinstance(event, OutcomeEvent | FeedbackEvent) and event.teaches


def history(n: int, seed: int = 0) -> tuple[Event, ...]:
    """Return half a year of a log: revisions, withdrawals, evals, what teaches nothing, and a clock
    that is now and then set back by days.
    """
    rng = np.random.default_rng(seed)
    given: dict[int, tuple[float | None, float, str]] = {}
    return tuple(_event(rng, seq, n, given) for seq in range(1, n + 1))


def _event(
    rng: np.random.Generator, seq: int, n: int, given: dict[int, tuple[float | None, float, str]]
) -> Event:
    text, arm = TEXTS[rng.integers(4)], ARMS[rng.integers(3)]
    back = rng.random() < 0.05
    at_s = NOON_S + 180 * DAY_S * seq / n + rng.normal() * HOUR_S - back * rng.random() * 9 * DAY_S
    kind = rng.random()
    if kind < 0.05:
        return EvalEvent(seq=seq, at_s=at_s, prompt_sha256="p", sketch=sketch(text), arm=arm,
                         score=float(rng.random()), withdrawn=rng.random() < 0.3)  # fmt: skip
    shared: dict[str, Any] = {
        "seq": seq, "at_s": at_s, "decision_id": f"d{seq}", "tenant": "t",
        "feature_version": int(rng.integers(2)), "context": context(text), "sketch": sketch(text),
    }  # fmt: skip
    if kind < 0.4:
        return OutcomeEvent(
            **shared, arm=arm, output_tokens=int(rng.integers(2_000)),
            status="ok" if rng.random() < 0.8 else "error",
            cache="miss" if rng.random() < 0.9 else "hit", usage_estimated=rng.random() < 0.1,
        )  # fmt: skip
    before: tuple[float | None, float | None] = None, None
    if given and rng.random() < 0.3:
        earlier = int(rng.choice(list(given)))
        reward, when, arm = given.pop(earlier)
        before = (None, None) if reward is None else (reward, when)
    reward = None if rng.random() < 0.1 else float(rng.integers(2))
    excluded = bool(rng.random() < 0.05)
    if not excluded:
        given[seq] = reward, at_s, arm
    return FeedbackEvent(**shared, arm=arm, rater="ann", reward=reward, excluded=excluded,
                         previous_reward=before[0], previous_at_s=before[1])  # fmt: skip


def start() -> Learned:
    return Learned.under(1, SPACE, HYPER)


def by_sums(
    events: Sequence[Event], found: Learned, size: int = 100, tail: int = 0, upto: int = 0
) -> Learned:
    with computing(None) as compute:
        source = Listed(tuple(events))
        return refolded(start(), source, upto or events[-1].seq, found, compute, size, tail)


def apart(one: Learned, other: Learned) -> float:
    """Return the largest difference of two folds, relative to the size of what differs."""
    ours, theirs = one.to_arrays(), other.to_arrays()
    names = {name for name in ours if not name.startswith("watch/")}
    assert names == {name for name in theirs if not name.startswith("watch/")}
    return max(
        float(np.abs(ours[name] - theirs[name]).max() / max(np.abs(ours[name]).max(), 1.0))
        for name in names - {"fingerprint"}
    )


@pytest.mark.parametrize("size", [7, 37, 450, 5_000])
def test_sums_over_stretches_are_the_fold(size: int) -> None:
    events = history(900)
    in_order = start().fold(events)
    assert not any(watch.changes for watch in in_order.watches.values())
    sums = by_sums(events, start(), size)
    assert apart(in_order, sums) < EXACT
    assert (sums.cell, sums.hour, sums.upto_seq) == (in_order.cell, in_order.hour, 900)


def test_of_sketches_that_another_hand_has_spoilt_neither_learns() -> None:
    events, known = list(history(900)), Sketch.from_bytes(sketch(TEXTS[0]))
    none = but(known, facts=np.full_like(known.facts, np.nan)).to_bytes()
    at = [next(n for n, each in enumerate(events) if isinstance(each, kind)) for kind in KINDS]
    for n in at:
        events[n] = but(events[n], sketch=none)
        if not isinstance(events[n], EvalEvent):
            events[n] = but(events[n], feature_version=SPACE.version + 1)
    in_order = start().fold(events)
    assert all(np.isfinite(array).all() for array in in_order.to_arrays().values())
    assert apart(in_order, by_sums(events, start())) < EXACT


@pytest.mark.parametrize("tail", [0, 1, 200, 899, 2_000])
def test_the_newest_events_are_folded_in_order(tail: int) -> None:
    events = history(900, seed=1)
    sums = by_sums(events, start(), tail=tail)
    assert apart(start().fold(events), sums) < EXACT


def test_a_fold_up_to_a_position_knows_nothing_of_what_came_after() -> None:
    events = history(900, seed=2)
    assert apart(start().fold(events[:411]), by_sums(events, start(), upto=411)) < EXACT


def test_the_order_of_adding_makes_the_bytes_so_that_machines_do_not() -> None:
    events = history(300, seed=3)
    once, again = (by_sums(events, start()).to_arrays() for _ in range(2))
    assert all(np.array_equal(once[name], again[name]) for name in once)


def unsettled() -> list[Event]:
    """Return the thumbs of an arm that changes, withdrawn in part later, with evals before it."""
    first: list[Event] = [
        EvalEvent(seq=n + 1, at_s=NOON_S - DAY_S, prompt_sha256=f"p{n}", arm="a", score=1.0,
                  sketch=sketch(TEXTS[n % 4]))
        for n in range(9)
    ]  # fmt: skip
    told = [
        rated(n + 10, TEXTS[n % 4], event.reward, decision_id=f"d{n}", at_s=event.at_s)
        for n, event in enumerate(declining())
        if isinstance(event, FeedbackEvent)
    ]
    later = [
        rated(len(told) + 10 + n, TEXTS[n % 4], None, previous_reward=told[n].reward,
              previous_at_s=told[n].at_s, at_s=NOON_S + 3 * DAY_S + n * HOUR_S)
        for n in range(0, 180, 3)
    ]  # fmt: skip
    return [*first, *told, *later]


@pytest.mark.parametrize("size", [10, 64, 1_000])
def test_changes_that_were_found_are_taken_as_given(size: int) -> None:
    events = unsettled()
    in_order = start().fold(events)
    assert len(in_order.watches["a"].changes) == 1
    sums = by_sums(events, in_order, size)
    assert apart(in_order, sums) < EXACT
    assert sums.changed_at_s("a") == in_order.changed_at_s("a")
    assert apart(in_order, by_sums(events, start(), size)) > 0.1  # the test can fail


def reconsidered(every_s: float) -> list[Event]:
    """Return the thumbs of an arm that changes, some of them given anew before it was found."""
    told = declining(least=0.8, every_s=every_s)
    anew: list[Event] = [
        replace(event, reward=0.5, previous_reward=event.reward, previous_at_s=event.at_s,
                at_s=NOON_S + every_s * 124.5)
        for event in told[100:124:4] if isinstance(event, FeedbackEvent)
    ]  # fmt: skip
    later = EvalEvent(seq=0, at_s=NOON_S + every_s * 150, prompt_sha256="p", arm="a", score=1.0,
                      sketch=sketch(TEXTS[0]))  # fmt: skip
    ordered = [*told[:125], *anew, *told[125:150], later, *told[150:]]
    return [replace(event, seq=n) for n, event in enumerate(ordered, start=1)]


@pytest.mark.parametrize("every_s", [60.0, DAY_S / 5])
def test_thumbs_given_anew_before_a_change_was_found_count_as_in_order(every_s: float) -> None:
    events = reconsidered(every_s)
    in_order = start().fold(events)
    [change] = in_order.watches["a"].changes
    assert change.since_s <= NOON_S + every_s * 120
    assert change.at_s > NOON_S + every_s * 125
    assert apart(in_order, by_sums(events, in_order)) < EXACT


def twice() -> list[Event]:
    """Return the thumbs of an arm that changes, and again while what it shows is forgotten soon."""
    recovered = [
        rated(n + 1, TEXTS[n % 4], 0.85, decision_id=f"d{n}", at_s=NOON_S + 900.0 * n)
        for n in range(180, 300)
    ]
    return [*declining(least=0.2, every_s=900.0), *recovered]


def test_a_change_that_is_found_while_much_is_forgotten_is_as_in_order() -> None:
    events = twice()
    in_order = start().fold(events)
    _, second = in_order.watches["a"].changes
    assert second.at_s - second.since_s > HOUR_S  # what the bet has seen is forgotten like the rest
    assert apart(in_order, by_sums(events, in_order)) < EXACT


@pytest.mark.parametrize("events", [twice(), reconsidered(60.0), history(900)])
def test_a_fold_with_the_changes_that_another_has_found_rests_on_the_same_outcomes(
    events: list[Event],
) -> None:
    in_order, log, newest = start().fold(events), Listed(tuple(events)), events[-1].seq
    assert apart(in_order, as_found(start(), log, newest, in_order)) < EXACT
    blind = as_found(start(), log, newest, start())
    assert blind.changes == {}
    assert blind.beliefs.quality.weight >= in_order.beliefs.quality.weight


def joined() -> list[Event]:
    """Return thumbs of an arm, of one that joins it after 60, and of one more after 200."""
    arms = ["a"] * 60 + ["a", "b"] * 70 + ["a", "b", "c"] * 20
    return [rated(n + 1, TEXTS[n % 4], (n // 3) % 2, arm=arm) for n, arm in enumerate(arms)]


@pytest.mark.parametrize("tail", [0, 30, 90, 250])
def test_which_arms_came_late_is_taken_as_given_or_found_anew(tail: int) -> None:
    events = joined()
    in_order = start().fold(events)
    assert in_order.beliefs.quality.late == {"b": pytest.approx(61), "c": pytest.approx(202)}
    assert apart(in_order, by_sums(events, in_order, tail=tail)) < EXACT
    assert "c" not in by_sums(events, in_order, upto=200).beliefs.quality.late


def test_a_change_that_came_later_is_not_known_before() -> None:
    events = declining()
    half = by_sums(events, start().fold(events), upto=90)
    assert half.watches["a"].changes == ()
    assert apart(start().fold(events[:90]), half) < EXACT


def test_bets_go_on_over_the_newest_events() -> None:
    events = declining(good=3_000, bad=60)
    found = by_sums(events, start(), size=500, tail=300).watches["a"].changes
    in_order = start().fold(events).watches["a"].changes
    assert len(in_order) == len(found) == 1
    assert abs(found[0].at_s - in_order[0].at_s) < 20 * 60  # a thumb comes every minute


def test_nothing_to_learn_is_nothing_learned() -> None:
    only = [rated(1, TEXTS[0], 1.0, excluded=True)]
    assert apart(start().fold(only), by_sums(only, start())) == 0.0
    assert by_sums(only, start()).upto_seq == 1
