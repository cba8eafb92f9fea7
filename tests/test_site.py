"""The pages as a site: every link leads somewhere, and reading asks nobody outside."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.installing import ROOT, python_with

LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]*)"')


def test_the_first_page_leads_to_every_page_of_the_site() -> None:
    site = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    first = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = set(re.findall(r'= "([\w/.-]+\.md)"', site)) - {"index.md"}
    assert len(pages) > 20
    assert sorted(page for page in pages if f"]({page})" not in first) == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_outside() -> None:
    zensical = python_with(ROOT / "docs" / "requirements.txt").with_name("zensical")
    made = subprocess.run(
        [zensical, "build", "--clean", "--strict"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    pages = list((ROOT / "build/site/pages").rglob("*.html"))
    assert len(pages) > 20
    assert {page.name: outside for page in pages if (outside := _loaded(page))} == {}


def _loaded(page: Path) -> list[str]:
    return LOADED.findall(page.read_text(encoding="utf-8"))
