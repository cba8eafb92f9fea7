"""The fold against its definition: sums of what was rated, taken back, faded with time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.prompt import Prompt
from features.sketch import Sketch
from features.space import Space
from jobs.learned import CELLS_PER_HALF_LIFE, Learned, fingerprint
from policy.hyper import Hyper
from policy.types import DAY_S, Floats
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent
from storage.snapshots import digest

SPACE = Space.from_bytes(b"")
HALF_LIFE_S = 64 * DAY_S  # so that a cell of forgetting is one day
HYPER = Hyper(half_life_s=HALF_LIFE_S)
NOON_S = 20_000 * DAY_S + DAY_S / 2
TEXTS = ("What is 2 + 3?", "Write a poem about the sea.", "def f(x): return x", "Hola, que tal?")


def sketch(text: str) -> bytes:
    return Sketch.of(Prompt.of([{"role": "user", "content": text}])).to_bytes()


def context(text: str) -> Floats:
    return SPACE.context(Sketch.from_bytes(sketch(text)))


def rated(seq: int, text: str, reward: float | None, **more: Any) -> FeedbackEvent:
    given: dict[str, Any] = {
        "seq": seq,
        "at_s": NOON_S,
        "decision_id": f"d{text}",
        "tenant": "default",
        "rater": "ann",
        "arm": "a",
        "feature_version": SPACE.version,
        "context": context(text),
        "sketch": sketch(text),
        "reward": reward,
        "previous_reward": None,
        "previous_at_s": None,
        "excluded": False,
    }
    return FeedbackEvent(**{**given, **more})


def answered(seq: int, text: str, tokens: int, **more: Any) -> OutcomeEvent:
    given: dict[str, Any] = {
        "seq": seq,
        "at_s": NOON_S,
        "decision_id": f"d{text}",
        "tenant": "default",
        "arm": "a",
        "feature_version": SPACE.version,
        "context": context(text),
        "sketch": sketch(text),
        "output_tokens": tokens,
        "status": "ok",
        "cache": "miss",
        "usage_estimated": False,
    }
    return OutcomeEvent(**{**given, **more})


def scored(seq: int, text: str, score: float) -> EvalEvent:
    return EvalEvent(
        seq=seq,
        at_s=NOON_S,
        prompt_sha256="p",
        sketch=sketch(text),
        arm="a",
        score=score,
    )


def learned(*events: Event) -> Learned:
    return Learned.under(1, SPACE, HYPER).fold(events)


def same(one: Learned, other: Learned) -> bool:
    ours, theirs = one.to_arrays(), other.to_arrays()
    names = {name for name in ours if not name.startswith(("cell", "fingerprint", "watch"))}
    return all(np.allclose(ours[name], theirs[name], atol=1e-12) for name in names)


def test_a_fold_is_the_sum_over_what_was_rated() -> None:
    rewards = (1.0, 0.0, 1.0, 0.25)
    events = [rated(n + 1, TEXTS[n], reward) for n, reward in enumerate(rewards)]
    seen = learned(*events).beliefs.quality.rated["a"]
    rows = np.array([context(text) for text in TEXTS])
    assert seen.gram == pytest.approx(rows.T @ rows)
    assert seen.moment == pytest.approx(rows.T @ np.array(rewards))
    assert seen.weight == pytest.approx(4)
    assert seen.square == pytest.approx(sum(reward**2 for reward in rewards))


def test_the_same_events_in_one_go_or_one_by_one_give_the_same_bytes() -> None:
    events = [rated(n + 1, text, n % 2) for n, text in enumerate(TEXTS)]
    slowly = Learned.under(1, SPACE, HYPER)
    for event in events:
        slowly = slowly.fold([event])
    assert digest(slowly.to_arrays()) == digest(learned(*events).to_arrays())
    assert slowly.upto_seq == 4


@pytest.mark.parametrize("seed", range(4))
def test_runs_of_answers_learned_in_one_step_give_the_same_bytes(seed: int) -> None:
    """Over hours and cells of forgetting, with a clock that sometimes goes back."""
    drawn, at_s, events = np.random.default_rng(seed), NOON_S, list[Event]()
    for seq in range(1, 300):
        at_s += float(
            drawn.choice([0.0, 60.0, 1_800.0, DAY_S, -7_200.0], p=[0.4, 0.4, 0.1, 0.05, 0.05])
        )
        text, arm = str(drawn.choice(TEXTS)), str(drawn.choice(["a", "b", "c"]))
        kind = drawn.random()
        if kind < 0.8:
            status = "ok" if drawn.random() < 0.9 else "error"
            tokens = int(drawn.integers(1, 900))
            events.append(answered(seq, text, tokens, at_s=at_s, arm=arm, status=status))
        elif kind < 0.95:
            excluded = bool(drawn.random() < 0.2)
            reward = float(drawn.random())
            events.append(rated(seq, text, reward, at_s=at_s, arm=arm, excluded=excluded))
        else:
            events.append(scored(seq, text, 0.5))
    one_by_one = learned()
    for event in events:
        one_by_one = one_by_one.fold([event])
    assert same(learned(*events), one_by_one)
    assert same(learned(*events[:150]).fold(events[150:]), one_by_one)


def test_a_changed_thumb_counts_as_if_it_had_been_so_from_the_start() -> None:
    changed = learned(
        rated(1, TEXTS[0], 1.0), rated(2, TEXTS[0], 0.0, previous_reward=1.0, previous_at_s=NOON_S)
    )
    assert same(changed, learned(rated(1, TEXTS[0], 0.0)))


def test_a_withdrawn_thumb_counts_for_nothing() -> None:
    gone = learned(
        rated(1, TEXTS[0], 1.0), rated(2, TEXTS[0], None, previous_reward=1.0, previous_at_s=NOON_S)
    )
    seen = gone.beliefs.quality.rated["a"]
    assert np.abs(seen.gram).max() == pytest.approx(0, abs=1e-12)
    assert seen.weight == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("days", [0, 1, 64, 400])
def test_a_change_of_mind_long_after_takes_back_what_is_left(days: int) -> None:
    later = NOON_S + days * DAY_S
    other = rated(1, TEXTS[1], 1.0)
    changed = learned(
        other,
        rated(2, TEXTS[0], 1.0),
        rated(3, TEXTS[0], None, at_s=later, previous_reward=1.0, previous_at_s=NOON_S),
    )
    never = learned(other, rated(2, TEXTS[2], None, at_s=later))
    assert same(changed, never)


def test_excluded_feedback_teaches_nothing() -> None:
    assert learned(rated(1, TEXTS[0], 1.0, excluded=True)).beliefs.quality.rated == {}


@pytest.mark.parametrize(
    "more",
    [{"status": "error"}, {"status": "truncated_upstream"}, {"cache": "hit"},
     {"usage_estimated": True}],
    ids=str,
)  # fmt: skip
def test_only_whole_counted_answers_teach_length(more: dict[str, Any]) -> None:
    assert learned(answered(1, TEXTS[0], 50, **more)).beliefs.tokens.rated == {}


def test_an_answer_teaches_the_logarithm_of_its_length_and_no_quality() -> None:
    known = learned(answered(1, TEXTS[0], 99))
    seen = known.beliefs.tokens.rated["a"]
    assert seen.moment == pytest.approx(np.log(100) * context(TEXTS[0]))
    assert known.beliefs.quality.rated == {}


@pytest.mark.parametrize(
    ("more", "length"), [({"choices": 4}, 25.0), ({"finish_reason": "length"}, 200.0)]
)
def test_of_many_answers_one_counts_and_one_that_was_cut_as_longer(
    more: dict[str, Any], length: float
) -> None:
    seen = learned(answered(1, TEXTS[0], 100, **more)).beliefs.tokens.rated["a"]
    assert seen.moment == pytest.approx(np.log1p(length) * context(TEXTS[0]))


def test_evals_are_kept_apart_from_thumbs() -> None:
    known = learned(scored(1, TEXTS[0], 0.5), rated(2, TEXTS[0], 1.0)).beliefs.quality
    assert (known.evals["a"].weight, known.rated["a"].weight) == (1.0, 1.0)
    assert known.evals["a"].square == pytest.approx(0.25)


def test_evals_that_are_withdrawn_teach_nothing() -> None:
    known = learned(replace(scored(1, TEXTS[0], 0.5), withdrawn=True)).beliefs.quality
    assert known.evals == {}


def test_after_a_half_life_half_of_it_is_left() -> None:
    aged = learned(rated(1, TEXTS[0], 1.0), rated(2, TEXTS[1], 0.0, at_s=NOON_S + HALF_LIFE_S))
    expected = 0.5 * np.outer(context(TEXTS[0]), context(TEXTS[0]))
    expected += np.outer(context(TEXTS[1]), context(TEXTS[1]))
    assert aged.beliefs.quality.rated["a"].gram == pytest.approx(expected)


def test_forgetting_in_many_steps_is_forgetting_in_one() -> None:
    steps = [
        rated(n + 2, TEXTS[0], None, at_s=NOON_S + n * DAY_S)
        for n in range(CELLS_PER_HALF_LIFE + 1)
    ]
    slowly = learned(rated(1, TEXTS[0], 1.0), *steps)
    at_once = learned(rated(1, TEXTS[0], 1.0), steps[-1])
    assert same(slowly, at_once)


def test_a_clock_that_goes_back_forgets_nothing_and_invents_nothing() -> None:
    back = learned(rated(1, TEXTS[0], 1.0), rated(2, TEXTS[1], 1.0, at_s=NOON_S - 9 * DAY_S))
    assert back.beliefs.quality.rated["a"].weight == pytest.approx(2)


def test_what_is_saved_is_restored_byte_for_byte_and_goes_on_alike() -> None:
    known = learned(rated(1, TEXTS[0], 1.0), answered(2, TEXTS[1], 40), scored(3, TEXTS[2], 0.5))
    restored = Learned.under(1, SPACE, HYPER).restored(known.to_arrays(), known.upto_seq)
    assert restored is not None
    more = rated(4, TEXTS[3], 0.0, at_s=NOON_S + 3 * DAY_S)
    assert digest(restored.to_arrays()) == digest(known.to_arrays())
    assert digest(restored.fold([more]).to_arrays()) == digest(known.fold([more]).to_arrays())


def test_an_arm_that_came_late_has_done_so_after_a_restart_and_forgetting() -> None:
    before = [rated(n + 1, TEXTS[n % 4], n % 2) for n in range(30)]
    known = learned(*before, rated(31, TEXTS[0], 1.0, arm="late/arm"))
    restored = Learned.under(1, SPACE, HYPER).restored(known.to_arrays(), known.upto_seq)
    assert restored is not None
    later = restored.fold([rated(32, TEXTS[1], 0.0, at_s=NOON_S + 9 * DAY_S)])
    assert later.beliefs.quality.late == {"late/arm": pytest.approx(30.0)}
    assert digest(restored.to_arrays()) == digest(known.to_arrays())


def test_what_another_policy_saved_is_not_taken() -> None:
    known = learned(rated(1, TEXTS[0], 1.0))
    for other in (Hyper(), replace(HYPER, hints={"a": 0.9}), replace(HYPER, listed={"a": 0.9})):
        assert not np.array_equal(fingerprint(SPACE, other), fingerprint(SPACE, HYPER))
        assert Learned.under(1, SPACE, other).restored(known.to_arrays(), 1) is None


def test_a_context_of_another_space_is_encoded_anew() -> None:
    stale = rated(1, TEXTS[0], 1.0, feature_version=7, context=np.zeros(3))
    assert same(learned(stale), learned(rated(1, TEXTS[0], 1.0)))


def declining(
    good: int = 120, bad: int = 60, least: float = 0.0, every_s: float = 60.0
) -> list[Event]:
    """Return the thumbs of an arm that pleased and then did not, one a minute."""
    rewards = [1.0] * good + [least] * bad
    return [
        rated(n + 1, TEXTS[n % 4], reward, decision_id=f"d{n}", at_s=NOON_S + every_s * n)
        for n, reward in enumerate(rewards)
    ]


def test_of_an_arm_that_has_changed_is_known_what_it_showed_since() -> None:
    known = learned(*declining())
    since, never = known.beliefs.quality.rated["a"], learned(*declining(bad=0))
    assert [each.since_s for each in known.watches["a"].changes] == [NOON_S + 60 * 120]
    assert (since.weight, since.square) == (60.0, 0.0)
    assert known.beliefs.quality.predict(context(TEXTS[0]), ("a",)).mean[0] < 0.2
    assert never.watches["a"].changes == ()


@pytest.mark.parametrize("seed", range(6))
def test_an_arm_that_goes_on_after_a_pause_as_it_was_before_has_not_changed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pleased = [*(rng.random(150) < 0.8), *(rng.random(31) < 0.1), *(rng.random(60) < 0.1)]
    at = [NOON_S + 60 * n + (132 * 3_600 if n >= 181 else 0) for n in range(241)]
    found = [
        len(known.watches["a"].changes)
        for known in (learned(*before_and_after(pleased[:n], at)) for n in (181, 241))
    ]
    assert found == [1, 1]


def before_and_after(pleased: list[Any], at: list[float]) -> list[Event]:
    """Return the thumbs of an arm beside another that goes on pleasing."""
    return [
        rated(2 * n + 1 + i, TEXTS[0], reward, decision_id=f"d{n}{arm}", at_s=at_s, arm=arm)
        for n, (down, at_s) in enumerate(zip(pleased, at, strict=False))
        for i, (arm, reward) in enumerate((("a", float(down)), ("b", float(n % 5 > 0))))
    ]


def test_evals_of_an_arm_that_has_changed_count_no_more() -> None:
    evals: list[Event] = [scored(0, TEXTS[n % 4], 1.0) for n in range(50)]
    known = learned(*evals, *declining()).beliefs.quality
    assert known.evals["a"].weight == 0
    assert known.predict(context(TEXTS[0]), ("a",)).mean[0] < 0.2


def test_a_changed_arm_is_restored_byte_for_byte_and_found_alike_one_by_one() -> None:
    events = declining()
    known, slowly = learned(*events), Learned.under(1, SPACE, HYPER)
    for event in events:
        slowly = slowly.fold([event])
        restored = Learned.under(1, SPACE, HYPER).restored(slowly.to_arrays(), slowly.upto_seq)
        assert restored is not None
        slowly = restored
    assert digest(slowly.to_arrays()) == digest(known.to_arrays())


@pytest.mark.parametrize("hours", [0, 5, 24 * 20])
def test_a_thumb_from_before_a_change_leaves_nothing_when_it_is_withdrawn(hours: int) -> None:
    events = declining()
    later = NOON_S + 60 * len(events) + hours * 3_600
    seen = len(events)
    gone = [
        rated(seen + 1 + n, TEXTS[n % 4], None, at_s=later, previous_reward=float(n < 120),
              previous_at_s=NOON_S + 60 * n)
        for n in range(seen)
    ]  # fmt: skip
    left = learned(*events, *gone).beliefs.quality.rated["a"]
    assert left.weight == pytest.approx(0, abs=1e-9)
    assert np.abs(left.gram).max() == pytest.approx(0, abs=1e-9)


def test_a_thumb_that_was_withdrawn_before_the_alarm_is_no_evidence_after_it() -> None:
    events = declining()
    gone = rated(124, TEXTS[121 % 4], None, at_s=NOON_S + 60 * 122.5, previous_reward=0.0,
                 previous_at_s=NOON_S + 60 * 121)  # fmt: skip
    known = learned(*events[:123], gone, *events[123:])
    [change] = known.watches["a"].changes
    assert change.since_s < NOON_S + 60 * 121 < gone.at_s < change.at_s
    left = [context(TEXTS[n % 4]) for n in range(120, 180) if n != 121]
    assert known.beliefs.quality.rated["a"].weight == pytest.approx(59)
    assert known.beliefs.quality.rated["a"].gram == pytest.approx(np.transpose(left) @ left)


def pleased(n: int = 200) -> list[Event]:
    """Return thumbs up of an arm, one for each of so many answers."""
    return [rated(i + 1, TEXTS[i % 4], 1.0, decision_id=f"d{i}") for i in range(n)]


def down(n: int, *, first: bool = True, **more: Any) -> FeedbackEvent:
    return rated(n, TEXTS[0], 0.0, is_first=first, **more)


def withdrawn(n: int, *, first: bool = True) -> FeedbackEvent:
    more = {"previous_reward": 0.0, "previous_at_s": NOON_S}
    return rated(n, TEXTS[0], None, is_first=first, **more)


@pytest.mark.parametrize("same", [True, False])
def test_thumbs_that_are_withdrawn_at_once_say_nothing_of_an_arm(same: bool) -> None:
    """They are those of one rater who toggles, or of many who each had slipped."""
    slips = [
        event
        for n in range(201, 241, 2)
        for first in [n == 201 or not same]
        for event in (down(n, first=first), withdrawn(n + 1, first=first))
    ]
    before, after = learned(*pleased()), learned(*pleased(), *slips)
    assert after.watches["a"].changes == ()
    assert after.watches["a"].worse.wealth == 0.0
    assert after.beliefs.quality.rated["a"].weight == pytest.approx(200)
    told = [
        each.beliefs.quality.predict(context(TEXTS[0]), ("a",)).mean for each in (before, after)
    ]
    assert told[0] == pytest.approx(told[1], abs=1e-12)


def test_many_readers_of_one_answer_are_evidence_and_one_outcome_to_bet_on() -> None:
    readers = [down(201 + n, first=n == 0, rater=f"reader {n}") for n in range(20)]
    known = learned(*pleased(), *readers)
    assert known.watches["a"].changes == ()
    assert known.beliefs.quality.rated["a"].weight == 220.0
    once = learned(*pleased(), readers[0]).watches["a"]
    assert known.watches["a"].worse.wealth == once.worse.wealth > 0.0
    assert (once.worse.seen.weight, known.watches["a"].worse.seen.weight) == (1.0, 20.0)
