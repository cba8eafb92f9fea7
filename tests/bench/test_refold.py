"""The made-up log of `bench refold`: its arrays and its events say the same."""

from bench.refold import BLOCK, Folded, InOrder, MadeUp, begun, in_order, page
from jobs.refold import computing, refolded

SMALL = MadeUp(BLOCK + 500, 64, 0.1)


def test_the_arrays_and_the_events_teach_the_same() -> None:
    start = begun(64)
    with computing(None) as compute:
        sums = refolded(start, SMALL, SMALL.decisions, start, compute, BLOCK, tail=0)
    beside = in_order(SMALL.events(0, SMALL.decisions), sums, start)
    assert beside.difference < 1e-9
    assert SMALL.decisions < beside.events < SMALL.decisions * 1.2
    assert sums.beliefs.tokens.weight > SMALL.decisions / 3  # two half-lives


def test_any_number_of_features_can_be_measured() -> None:
    with computing(None) as compute:
        made_up = MadeUp(300, 7, 0.5)
        learned = refolded(begun(7), made_up, 300, begun(7), compute, BLOCK, tail=0)
    assert learned.beliefs.tokens.rated["small"].gram.shape == (7, 7)


def test_the_page_says_if_workers_disagree() -> None:
    one, other = begun(64), begun(64).fold(SMALL.events(0, 100))
    runs = [Folded(n, 10, 1.0 / n, 1.0, 90.0, 80.0, each) for n, each in ((1, one), (2, other))]
    told = "\n".join(page(SMALL, runs, [runs[0], runs[0]], InOrder(10, 1.0, 1e-12)))
    assert "| 2 | 10 | 0.5 | 20 | 2.00 |" in told
    assert told.count("differs with the number of workers") == 1
    assert told.count("the same, byte for byte") == 1
