"""How old a stored answer may be that is given again, also where clocks are set."""

import shutil
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


def test_what_a_log_says_nothing_of_that_was_put_back_is_not_given_again(tmp_path: Path) -> None:
    """A hit names the decision that made the answer, and what it had cost is what was saved."""
    with faulty(tmp_path, {"a": good}) as made:
        kept = made.service.ask(**USE)["id"]
    shutil.copy(tmp_path / "turnpike.db", tmp_path / "backup.db")
    with faulty(tmp_path, {"a": good}) as made:
        made.service.ask("Another question", cache="use")
    (tmp_path / "backup.db").rename(tmp_path / "turnpike.db")
    with faulty(tmp_path, {"a": good}) as made:
        assert made.service.ask("Another question", cache="use")["cache"] == "miss"
        hit = made.service.ask(**USE)
        assert hit["cache"] == "hit"
        assert made.service.get(f"/decisions/{hit['id']}")["answer_of"] == kept
