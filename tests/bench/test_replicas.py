"""The page of a run with replicas says what was seen; the run itself is tried by the cluster's."""

import random
from collections import Counter
from dataclasses import replace

from bench.callers import ASKED, CHATTED, RATED_AT
from bench.replicas import Restarted, lines, shuffled
from jobs.witness import Journal

GOOD = Restarted(
    disturbed=Counter({"a replica restarts": 3, "PostgreSQL is killed": 1}),
    journal=Journal(frozenset({"a", "b"})),
    seen=Counter({"thumbs": 7, "cut off by a kill": 2, f"5xx of {RATED_AT}": 3}),
    agreed_s=0.5,
    broken=[],
    events=9,
    seconds=60.0,
)


def test_a_good_run_says_what_was_done_and_that_all_agree() -> None:
    page = "\n".join(lines(GOOD, 4))
    assert "`python -m bench replicas --restarts 1 --seed 4`" in page
    assert "| PostgreSQL is killed | 1 |" in page
    assert "| a replica is killed | 0 |" in page
    assert "after the last answer | 0.5 s |" in page
    assert "| answers that were none, during kills | 2 |" in page
    assert "| questions answered with a 5xx, whatever was done | 0 |" in page
    assert "| thumbs answered with a 5xx | 3 |" in page
    assert GOOD.is_good


def test_what_was_seen_lost_or_unlike_is_on_the_page() -> None:
    bad = [
        replace(GOOD, journal=Journal(malformed=("caller 1 was answered 503",))),
        replace(GOOD, broken=["I1: the outcome of a was acknowledged and is not there"]),
        replace(GOOD, agreed_s=None),
        replace(GOOD, agreed_s=2.1),
        replace(GOOD, seen=Counter({f"5xx of {ASKED}": 1, f"5xx of {CHATTED}": 1})),
    ]
    assert not any(each.is_good for each in bad)
    pages = ["\n".join(lines(each, 0)) for each in bad]
    assert "- caller 1 was answered 503" in pages[0]
    assert "- I1: the outcome of a was acknowledged and is not there" in pages[1]
    assert "after the last answer | never |" in pages[2]
    assert "| questions answered with a 5xx, whatever was done | 2 |" in pages[4]


def test_every_kind_is_drawn_as_often_as_belongs_to_it() -> None:
    drawn = random.Random(0)
    assert Counter(shuffled(50, drawn)) == {
        "PostgreSQL is killed": 50,
        "a replica restarts": 25,
        "a replica is killed": 12,
    }
    assert len(set(shuffled(1, drawn))) == 3
    assert shuffled(50, random.Random(1)) != shuffled(50, random.Random(2))
