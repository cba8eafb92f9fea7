"""A start with a log that is filled: it learns all of it, and the same with a snapshot."""

from pathlib import Path

import pytest

from bench.start import lines, run


@pytest.mark.slow
def test_a_start_folds_the_whole_log_or_takes_a_snapshot(tmp_path: Path) -> None:
    found = run(3_000, tmp_path, lambda _what: None, first=20)
    assert found.is_exact
    without, with_one = found.starts
    assert without.learned_events == with_one.learned_events > 3_000
    page = "\n".join(lines(found))
    assert "| every event is folded |" in page
    assert "are the same bytes" in page
