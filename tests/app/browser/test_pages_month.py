"""The pages over a month of 100,000 decisions: seen, kept as pictures, usable by everybody."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.app.browser.browsing import (
    BETWEEN,
    PHONE,
    WIDE,
    cut_off,
    drawn,
    flaws,
    keep,
    resize,
    sticks_out,
)
from tests.app.browser.filling import ASKED, running_with
from tests.app.running import Provider, Running
from tests.app.serving import served

DECISIONS = 100_000
PAGES = {
    "today": "/",
    "policy": "/pages/policy",
    "decisions": "/pages/decisions",
    "retrains": "/pages/retrains",
    "settings": "/pages/settings",
}


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Running]:
    with running_with(tmp_path_factory.mktemp("month"), provider, DECISIONS) as service:
        yield service


@pytest.fixture(scope="module")
def url(month: Running) -> Iterator[str]:
    with served(month) as address:
        yield address


def look_from_everywhere(page: Page, name: str) -> None:
    """Look at a page in both themes and widths, keep what is seen, and say what is wrong."""
    drawn(page)
    for width in BETWEEN:
        resize(page, width)
        assert (sticks_out(page), cut_off(page)) == (0, []), f"{name} at {width} px"
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        for width in (PHONE, WIDE):
            resize(page, width)
            assert (sticks_out(page), cut_off(page)) == (0, []), f"{name} at {width} px"
            keep(page, f"{name}-{width}-{theme}")
        rules = () if theme == "light" else ("color-contrast",)
        assert flaws(page, rules) == [], f"{name} in the {theme} theme"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_usable_in_both_themes_and_widths(page: Page, name: str) -> None:
    page.goto(PAGES[name])
    expect(page.locator("h1")).to_have_text(name.capitalize())
    if name == "settings":
        expect(page.locator("#findings table")).to_be_visible()
    look_from_everywhere(page, name)


@pytest.mark.slow
def test_the_why_of_a_decision_is_whole_and_usable(page: Page) -> None:
    page.goto("/pages/decisions?rated=up")
    page.locator("tbody th a").first.click()
    expect(page.get_by_role("heading", name="Who could have been asked")).to_be_visible()
    look_from_everywhere(page, "decision")


@pytest.mark.slow
def test_today_counts_all_of_the_month(page: Page) -> None:
    page.goto("/?span=30d")
    shown = page.locator("#requests").inner_text()
    counted = int(shown.replace(",", ""))
    assert DECISIONS - DECISIONS // 20 < counted <= DECISIONS + ASKED


@pytest.mark.slow
def test_pages_of_decisions_follow_each_other(page: Page) -> None:
    page.goto("/pages/decisions?arm=gpt-4o")
    first = page.locator("tbody th a").evaluate_all("all => all.map(one => one.href)")
    page.get_by_role("link", name="Older").click()
    page.wait_for_url(re.compile("before="))
    then = page.locator("tbody th a").evaluate_all("all => all.map(one => one.href)")
    assert (len(first), len(then)) == (50, 50)
    assert not set(first) & set(then)
    assert set(page.locator("td[data-label=Arm]").all_inner_texts()) == {"gpt-4o"}


@pytest.mark.slow
def test_a_filter_that_finds_nothing_says_how_far_it_looked(page: Page) -> None:
    page.goto("/pages/decisions")
    page.get_by_label("Outcome").select_option("under way")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile("ending=open"))
    expect(page.locator("#list")).to_contain_text("Nothing like that among the newest")
    expect(page.get_by_role("navigation", name="Older")).to_contain_text("Looked back to")
