"""A few kills through the whole bench; and that it would say so if something were lost."""

from pathlib import Path

import pytest

from bench.callers import Diary
from bench.crash import Crashed, run
from bench.crash_page import lines
from jobs.witness import Journal

SEED = 0  # draws all processes at once, then a worker


@pytest.mark.slow
def test_what_was_acknowledged_before_kills_is_there_after_them(tmp_path: Path) -> None:
    told: list[str] = []
    crashed = run(2, SEED, tmp_path, told.append)
    assert crashed.broken == []
    assert (crashed.lost, crashed.doubled, crashed.kills) == (0, 0, 2)
    assert crashed.back_s.keys() == {"worker", "everything"}
    assert len(crashed.journal.outcomes) > 20
    assert len(crashed.journal.thumbs) > 10
    page = "\n".join(lines(crashed, SEED))
    assert "| **lost** | **0** |" in page
    assert "bounds the chance of a loss in one kill at 77.6%" in page


def made(**changes: object) -> Crashed:
    given: dict = {
        "back_s": {"worker": [1.0, 3.0]},
        "journal": Journal(frozenset({"a", "b"})),
        "seen": {"thumbs": 3},
        "broken": [],
        "lost": 0,
        "doubled": 0,
        "decisions": 4,
        "retrains": 1,
        "versions": 1,
        "seconds": 60.0,
    }
    return Crashed(**{**given, **changes})


def test_a_page_says_what_was_lost_and_bounds_nothing_then() -> None:
    lossy = made(broken=["I1: the outcome of a was acknowledged and is not there"], lost=1)
    page = "\n".join(lines(lossy, 0))
    assert lossy.is_lossy
    assert "| **lost** | **1** |" in page
    assert "- I1: the outcome of a was acknowledged and is not there" in page
    assert "bounds" not in page
    assert "| the worker that serves | 2 | 2.0 | 3.0 |" in page
    assert not made().is_lossy


def test_an_answer_that_is_none_is_excused_only_by_a_kill_meanwhile(tmp_path: Path) -> None:
    with Diary(tmp_path / "journal.jsonl") as diary:
        diary.fault(diary.kills, "while nobody was killed")
        before = diary.kills
        diary.kills += 1
        diary.fault(before, "killed since it was asked")
        diary.excused.set()
        diary.fault(diary.kills, "while being killed")
        assert diary.journal.malformed == ("while nobody was killed",)
        assert diary.seen["cut off by a kill"] == 2


def test_a_journal_is_on_the_disk_line_by_line(tmp_path: Path) -> None:
    with Diary(tmp_path / "journal.jsonl") as diary:
        diary.outcome("plain", "a")
        diary.thumb("a", "ann", {"status": "recorded", "revision": 1}, 1.0)
        diary.thumb("b", "ann", {"status": "duplicate", "revision": 0}, None)
        raw = (tmp_path / "journal.jsonl").read_text().splitlines()
        assert len(raw) == 3
        assert diary.journal.outcomes == {"a"}
        assert diary.journal.thumbs == {("a", "ann", 1): 1.0}
