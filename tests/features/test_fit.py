"""A fit is the SVD of the weighted counts, the same to the byte, and usable after few prompts."""

import numpy as np
import pytest

from features.facts import NAMES
from features.fit import FEWEST_PROMPTS, FIT_PROMPTS, PROMPTS_PER_DIRECTION, fit
from features.sketch import BUCKETS, Sketch
from features.space import TAG_NORM, TAGS, WORDS, Space
from policy.types import Floats
from tests.features.texts import SUBJECTS, asked, sketches

TASK = slice(len(NAMES) + WORDS, len(NAMES) + WORDS + TAGS)


def pointing(space: Space, found: list[Sketch]) -> Floats:
    return np.stack([space.words(sketch) for sketch in found])


def weighted(found: list[Sketch]) -> Floats:
    """Return the dense table of unit tf-idf rows, built one number at a time."""
    present = np.zeros(BUCKETS)
    for sketch in found:
        present[sketch.buckets] += 1
    table = np.zeros((len(found), BUCKETS))
    for row, sketch in zip(table, found, strict=True):
        for bucket, count in zip(sketch.buckets.tolist(), sketch.counts.tolist(), strict=True):
            if present[bucket] >= 2:
                rarity = np.log((1 + len(found)) / (1 + present[bucket])) + 1
                row[bucket] = (1 + np.log(count)) * rarity
    kept = table[:, present >= 2]
    unit: Floats = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    return unit


def test_the_same_prompts_give_the_same_bytes() -> None:
    assert fit(sketches(60), 1).to_bytes() == fit(sketches(60), 1).to_bytes()
    assert fit(sketches(60), 1).to_bytes() != fit(sketches(60, seed=1), 1).to_bytes()


def test_directions_are_those_of_a_dense_singular_value_decomposition() -> None:
    found = sketches(120)
    table = weighted(found)
    k = 120 // PROMPTS_PER_DIRECTION
    left, values, _ = np.linalg.svd(table, full_matrices=False)
    ours = pointing(fit(found, 1), found)
    # signs and near-equal directions are free; what a regression sees, the inner products, is not
    first = 4
    np.testing.assert_allclose(np.linalg.norm(ours[:, :first], axis=0), values[:first], rtol=1e-3)
    for i in range(first):
        assert abs(ours[:, i] @ left[:, i]) == pytest.approx(values[i], rel=1e-3)
    kept = (ours**2).sum()
    assert 0.97 * (values[:k] ** 2).sum() < kept <= (values[:k] ** 2).sum() * (1 + 1e-5)


def test_directions_are_orthonormal_and_those_not_fitted_are_nought() -> None:
    directions = fit(sketches(80), 1).directions.astype(float)
    k = 80 // PROMPTS_PER_DIRECTION
    np.testing.assert_allclose(directions[:, :k].T @ directions[:, :k], np.eye(k), atol=1e-5)
    assert not directions[:, k:].any()


def test_prompts_about_one_subject_point_the_same_way_even_when_never_seen() -> None:
    space = fit(sketches(400), 1)
    found = pointing(space, sketches(200, seed=1))
    subject = np.arange(200) % len(SUBJECTS)
    centres = np.stack([found[subject == s].mean(axis=0) for s in range(len(SUBJECTS))])
    asked_later = pointing(space, sketches(200, seed=2))
    nearest = ((asked_later[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == subject).mean() > 0.95


def test_with_many_prompts_every_direction_is_used() -> None:
    space = fit(sketches(PROMPTS_PER_DIRECTION * WORDS), 1)
    assert np.linalg.norm(space.directions, axis=0).min() > 0.99


def test_words_of_one_prompt_only_are_left_out() -> None:
    lonely = Sketch.of(asked("zyzzyva"))
    space = fit([*sketches(40), lonely], 1)
    assert not set(lonely.buckets.tolist()) & set(space.buckets.tolist())
    np.testing.assert_array_equal(space.words(lonely), space.words_mean)


def test_facts_are_standardised_by_their_own_prompts() -> None:
    found = sketches(100)
    space = fit(found, 1)
    facts = np.stack([sketch.facts for sketch in found])
    np.testing.assert_allclose(space.facts_mean, facts.mean(axis=0))
    assert (space.facts_sd >= facts.std(axis=0)).all()
    assert (space.facts_sd > 0).all()


@pytest.mark.parametrize("text", ["", "the same", "? ? ?"])
def test_prompts_that_are_all_alike_still_give_a_space(text: str) -> None:
    found = [Sketch.of(asked(text))] * FEWEST_PROMPTS
    space = fit(found, 1)
    for sketch in (*found[:1], *sketches(5)):
        assert np.isfinite(space.context(sketch)).all()


def test_too_few_prompts_are_refused_with_their_number() -> None:
    with pytest.raises(ValueError, match="needs 20 prompts to fit on, not 19"):
        fit(sketches(FEWEST_PROMPTS - 1), 1)
    assert fit(sketches(FEWEST_PROMPTS), 7).version == 7


def test_only_the_newest_prompts_are_fitted_on() -> None:
    old, new = Sketch.of(asked("old" * 9)), Sketch.of(asked("new? " * 9))
    space = fit([old] * 50 + [new] * FIT_PROMPTS, 1)
    np.testing.assert_allclose(space.facts_mean, new.facts)
    assert set(space.buckets.tolist()) == set(new.buckets.tolist())


def test_every_tag_has_a_slot_of_its_own_while_they_are_few() -> None:
    few = [Sketch.of(asked("x", f"task {i % TAGS}")) for i in range(40)]
    assert fit(few, 1).tags == tuple(sorted(f"task {i}" for i in range(TAGS)))
    assert np.count_nonzero(fit(few, 1).context(few[0])[TASK]) == 1


def test_of_many_tags_the_frequent_ones_are_told_apart_best() -> None:
    often = [Sketch.of(asked("x", f"often {i % 10}")) for i in range(1000)]
    seldom = [Sketch.of(asked("x", f"seldom {i % 30}")) for i in range(60)]
    space = fit(often + seldom, 1)
    pointing = np.array([space.context(each)[TASK] for each in often[:10] + seldom[:30]])
    between = np.abs(pointing @ pointing.T) / TAG_NORM**2
    np.testing.assert_allclose(np.diag(between[:10, :10]), 1.0, atol=0.02)
    assert (between[:10, :10] - np.diag(np.diag(between[:10, :10]))).max() < 0.02
    assert (np.diag(between)[10:] > 0.05).all()


def test_a_tag_and_its_part_share_what_they_have_in_common() -> None:
    tasks = [f"kind {i % 12}/part {i % 24}" for i in range(480)]
    space = fit([Sketch.of(asked("x", task)) for task in tasks], 1)
    one, sibling, other = (space.context(Sketch.of(asked("x", tasks[i])))[TASK] for i in (0, 12, 1))
    assert one @ sibling > 2 * abs(one @ other)
