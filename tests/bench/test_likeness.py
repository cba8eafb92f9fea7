"""The pairs on which the cache is judged, and what the bench says of them."""

from collections import Counter

from bench.likeness import Pair, Way, _judged, measure, merged, pairs


def test_there_are_enough_pairs_and_none_twice() -> None:
    found = pairs()
    same = [pair for pair in found if pair.is_same]
    assert min(len(same), len(found) - len(same)) >= 150
    texts = Counter((pair.one, pair.other) for pair in found)
    assert max(texts.values()) == 1
    assert all(pair.one != pair.other for pair in found)


def test_the_default_gives_no_wrong_answer_on_any_pair() -> None:
    told = "\n".join(measure())
    default = next(line for line in told.splitlines() if "(default)" in line)
    assert default.endswith("| 0 |")
    wrong = [line for line in told.splitlines() if line.startswith("| different")]
    assert len(wrong) > 8
    assert all(line.endswith("| 0 |") for line in wrong)


def test_a_way_that_finds_everything_alike_is_found_out() -> None:
    careless = Way("careless", lambda _: 1.0, lambda _: True, 0.0)
    half = [Pair("name", "a", "b", is_same=False), Pair("case", "a", "A", is_same=True)]
    assert _judged(careless, 0.95, half) == (1, 1)


def test_merged_lines_are_shown_where_more_than_signs_differ() -> None:
    texts = ["What is a cow?", "what is the cow", "What is a cow", "What is a dog?"]
    assert merged(texts) == [["What is a cow?", "what is the cow", "What is a cow"]]
    assert merged(["A. cow", "A. Cow!"]) == []
