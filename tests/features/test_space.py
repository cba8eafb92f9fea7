"""A context is the closed form of tf-idf and SVD, finite for every text, the same after storage."""

from dataclasses import fields, replace
from io import BytesIO

import numpy as np
import pytest
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import TfidfTransformer

from features.facts import NAMES
from features.fit import fit
from features.sketch import BUCKETS, Sketch
from features.space import CLIP, GROUPS, TAG_NORM, TAGS, WORDS, D, Space
from policy.types import Floats
from tests.features.texts import STRANGE, asked, sketches

TASK = slice(len(NAMES) + WORDS, D - 1)


@pytest.fixture(scope="module")
def space() -> Space:
    return fit(sketches(200), version=1)


@pytest.fixture(scope="module", params=["built in", "fitted"])
def each_space(request: pytest.FixtureRequest, space: Space) -> Space:
    return space if request.param == "fitted" else Space.built_in()


def counted(found: list[Sketch]) -> csr_matrix:
    """Return the hashed counts of prompts as one sparse table."""
    rows = np.repeat(np.arange(len(found)), [len(sketch.buckets) for sketch in found])
    columns = np.concatenate([sketch.buckets for sketch in found])
    counts = np.concatenate([sketch.counts for sketch in found])
    shape = (len(found), BUCKETS)
    return csr_matrix((counts.astype(float), (rows, columns)), shape=shape)


def test_where_words_point_is_the_closed_form_of_tf_idf_and_svd(space: Space) -> None:
    fitted, asked_later = counted(sketches(200)), sketches(50, seed=1)
    present = np.asarray((fitted[:, space.buckets] > 0).sum(axis=0)).ravel()
    idf = np.log(201 / (1 + present)) + 1
    table = counted(asked_later)[:, space.buckets]
    table.data = 1 + np.log(table.data)
    weighted = table @ diags(idf)
    lengths = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    expected = np.asarray(weighted @ space.directions.astype(float)) / np.asarray(lengths)
    ours = np.stack([space.words(sketch) for sketch in asked_later])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_where_words_point_is_what_scikit_learn_weighs(space: Space) -> None:
    weigh = TfidfTransformer(sublinear_tf=True).fit(counted(sketches(200))[:, space.buckets])
    asked_later = sketches(50, seed=2)
    weighted = weigh.transform(counted(asked_later)[:, space.buckets])
    ours = np.stack([space.words(sketch) for sketch in asked_later])
    np.testing.assert_allclose(ours, weighted @ space.directions, rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_the_context_of_any_text_is_finite_clipped_and_ends_in_one(
    each_space: Space, text: str
) -> None:
    context = each_space.context(Sketch.of(asked(text, "never/seen")))
    assert context.shape == (D,) == (len(GROUPS),)
    assert np.isfinite(context).all()
    assert context[-1] == 1.0
    assert np.abs(context[: len(NAMES) + WORDS]).max() <= CLIP
    assert np.abs(context[TASK]).max() <= 2 * TAG_NORM


def test_words_never_seen_say_nothing_rather_than_something(space: Space) -> None:
    context = space.context(Sketch.of(asked("zyzzyva qoph \u16a0\u16a2")))
    np.testing.assert_array_equal(context[len(NAMES) : len(NAMES) + WORDS], np.zeros(WORDS))


@pytest.mark.parametrize("n", [60, 200])  # with 60 prompts half of the directions are fitted
def test_a_direction_counts_as_far_as_prompts_spread_along_it(n: int) -> None:
    found = sketches(n)
    space = fit(found, 1)
    words = np.stack([space.context(sketch) for sketch in found])[:, len(NAMES) :][:, :WORDS]
    pointing = np.stack([space.words(sketch) for sketch in found])
    spread = pointing.std(axis=0)
    unit = np.sqrt((spread[spread > 1e-6] ** 2).mean())
    expected = np.clip((pointing - pointing.mean(axis=0)) / unit, -CLIP, CLIP)
    np.testing.assert_allclose(words, expected, atol=1e-3)
    assert expected.std(axis=0).max() > 1.5
    assert np.median(expected.std(axis=0)) < 1


@pytest.mark.parametrize("stored_twice", [False, True])
def test_a_space_read_back_gives_the_same_bits(each_space: Space, stored_twice: bool) -> None:
    back = Space.from_bytes(each_space.to_bytes())
    if stored_twice:
        back = Space.from_bytes(back.to_bytes())
    for field in fields(Space):
        one, other = getattr(each_space, field.name), getattr(back, field.name)
        assert np.array_equal(one, other), field.name
    for sketch in sketches(20, seed=3):
        np.testing.assert_array_equal(back.context(sketch), each_space.context(sketch))


def test_nothing_stored_is_the_built_in_space() -> None:
    sketch = sketches(1)[0]
    nothing = Space.from_bytes(b"")
    assert nothing.version == 0
    np.testing.assert_array_equal(nothing.context(sketch), Space.built_in().context(sketch))


def tagged(space: Space, task: str | None) -> Floats:
    return space.context(Sketch.of(asked("the same text", task)))[TASK]


def test_known_tags_have_slots_of_their_own_and_unseen_ones_none(space: Space) -> None:
    assert space.tags == ("code", "code/python", "maths", "support")
    expected = np.zeros(TAGS)
    expected[:2] = TAG_NORM
    np.testing.assert_array_equal(tagged(space, "code/python"), expected)
    np.testing.assert_array_equal(tagged(space, "code/rust"), expected * (np.arange(TAGS) < 1))
    np.testing.assert_array_equal(tagged(space, "unheard of"), np.zeros(TAGS))
    np.testing.assert_array_equal(tagged(space, None), np.zeros(TAGS))


def test_a_space_stored_before_directions_of_tags_were_is_read_with_a_slot_for_each(
    space: Space,
) -> None:
    with np.load(BytesIO(space.to_bytes())) as arrays:
        kept = {name: each for name, each in arrays.items() if name != "tag_directions"}
    older = BytesIO()
    np.savez_compressed(older, **kept)
    back = Space.from_bytes(older.getvalue())
    for task in (*space.tags, "code/rust", "unheard of", None):
        np.testing.assert_array_equal(tagged(back, task), tagged(space, task))


def test_before_any_fit_tags_are_told_apart_by_codes_that_hardly_overlap() -> None:
    codes = np.stack([tagged(Space.built_in(), f"task {i}") for i in range(200)])
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), TAG_NORM)
    cosines = codes @ codes.T / TAG_NORM**2
    others = cosines[~np.eye(200, dtype=bool)]
    assert abs(others.mean()) < 4 / np.sqrt(TAGS * len(others) / 2)
    assert others.std() < 1.1 / np.sqrt(TAGS)
    assert len(np.unique(codes, axis=0)) == 200


def test_a_tag_and_its_parent_are_added() -> None:
    built_in = Space.built_in()
    parent, child = tagged(built_in, "a"), tagged(built_in, "a/b")
    own = child - parent
    assert np.linalg.norm(own) == pytest.approx(TAG_NORM)


def test_a_fact_far_from_usual_is_clipped_and_not_believed(space: Space) -> None:
    narrow = replace(space, facts_sd=np.full(len(NAMES), 1e-6))
    facts = narrow.context(Sketch.of(asked("Why? " * 50)))[: len(NAMES)]
    assert set(np.abs(facts)) <= {0.0, CLIP}


def test_a_fact_counts_by_how_many_deviations_it_is_from_usual(space: Space) -> None:
    wide = replace(space, facts_sd=np.full(len(NAMES), 1e3))
    sketch = Sketch.of(asked("Why is 7 odd?"))
    facts = wide.context(sketch)[: len(NAMES)]
    np.testing.assert_allclose(facts, (sketch.facts - space.facts_mean) / 1e3)
    np.testing.assert_array_equal(wide.encoded(sketch.to_bytes()), wide.context(sketch))
