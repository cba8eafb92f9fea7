"""A tenant in bad faith is heard in full, or for its part, and the others' requests are judged."""

import pytest

from bench import bad_faith
from bench.bad_faith import BadFaith, Heard, Moved, page
from policy.turnout import FREE
from tests.bench.worlds import easy


@pytest.mark.slow
def test_what_it_moves_is_less_where_it_is_heard_for_its_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bad_faith, "PROMPTS", 600)
    monkeypatch.setattr(bad_faith, "SHARE", 0.2)
    heard: tuple[Heard, ...] = ("honest", "all", "shipped")
    honest, everything, shipped = (BadFaith(easy(200), 0.1, 1e-6, each).of(0) for each in heard)
    assert 0 < honest.votes < FREE < shipped.votes < 60
    assert everything.votes > 90
    assert 0 <= shipped.dearest <= 1
    assert 0 <= shipped.reward <= 1


def test_the_page_has_a_row_for_every_stream() -> None:
    streams = [BadFaith(easy(80), 0.1, 0.05, heard) for heard in bad_faith.IN_WORDS]
    text = "\n".join(page([(each, [Moved(0.1, 0.7, 3), Moved(0.3, 0.7, 5)]) for each in streams]))
    told = "| 2 | 0.200 ± 0.100 | 0.700 ± 0.000 | 4 |"
    for words in bad_faith.IN_WORDS.values():
        assert f"| easy | $0.05 | 10% | {words} {told}" in text
