"""The page on the mathematics is true where it can be run, and names files that exist."""

import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/mathematics.md"
NAMED = re.compile(r"`((?:features|policy|jobs)/\w+\.py)`")


def test_the_example_runs_and_prints_what_the_page_shows() -> None:
    failed, attempted = doctest.testfile(str(PAGE), module_relative=False)
    assert attempted > 10
    assert failed == 0


def test_every_file_on_the_page_exists() -> None:
    named = set(NAMED.findall(PAGE.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_page_can_be_read_in_one_sitting() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 280
