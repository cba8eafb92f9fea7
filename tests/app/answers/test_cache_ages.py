"""How old a stored answer may be that is given again, also where clocks are set."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from policy.types import HOUR_S
from tests.app.answers.test_cache import USE
from tests.app.faulty import faulty, good
from tests.app.running import BESIDE


@pytest.mark.parametrize(
    ("older_s", "cache"), [(0, "hit"), (30, "hit"), (90, "miss"), (-90, "miss")]
)
def test_an_answer_that_is_too_old_or_of_the_future_is_asked_for_anew(
    tmp_path: Path, older_s: int, cache: str
) -> None:
    """One from the future was stored before the clock was set back: nobody knows its age."""
    with faulty(tmp_path, {"a": good}, cache_fresh_s=60) as made:
        made.service.ask(**USE)
        with closing(sqlite3.connect(tmp_path / BESIDE / "cache.db")) as file, file:
            file.execute("UPDATE answers SET created_at_s = created_at_s - ?", [older_s])
        assert made.service.ask(**USE)["cache"] == cache


def test_what_is_too_old_is_forgotten_also_after_the_clock_was_set_back(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": good}, cache_fresh_s=60, cache_stale_s=60) as made:
        made.service.ask(**USE)
        with closing(sqlite3.connect(tmp_path / BESIDE / "cache.db")) as file, file:
            file.execute("UPDATE answers SET created_at_s = created_at_s - 90")
        cache = made.service.parts.cache
        cache._pruned_s = time.time() + HOUR_S  # pruned before the clock was set back
        cache.prune()
        assert cache.figures()["answers"] == 0
