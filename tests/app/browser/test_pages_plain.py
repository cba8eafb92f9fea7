"""The pages in a browser that lacks something: a script, a place to keep what was chosen."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.app.browser.browsing import drawn, looking
from tests.app.running import Running
from tests.app.serving import served


@pytest.fixture(scope="module")
def url(shared: Running) -> Iterator[str]:
    shared.rate(shared.ask()["id"], "up")
    with served(shared) as address:
        yield address


@pytest.mark.slow
def test_without_a_script_no_chart_and_no_slider_is_shown_and_the_tables_are(
    browser: Browser, url: str
) -> None:
    page = browser.new_page(java_script_enabled=False, base_url=url)
    for path, tables in (("/", 2), ("/pages/policy", 2)):
        page.goto(path)
        for dead in page.locator("[role=img], input[type=range]").all():
            expect(dead).to_be_hidden()
        told = page.get_by_text("As a table")
        expect(told).to_have_count(tables)
        told.first.click()
        expect(page.locator("details table").first).to_be_visible()
    page.close()


@pytest.mark.slow
def test_where_nothing_can_be_kept_a_theme_can_be_chosen_and_chosen_back_and_paper_is_light(
    browser: Browser, url: str
) -> None:
    with looking(browser, url) as page:
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none'); }})"
        )
        page.emulate_media(color_scheme="light")
        page.goto("/")
        for theme in ("dark", "light", "dark"):
            page.get_by_role("button", name="Dark theme").click()
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
        page.emulate_media(media="print")
        ink = page.evaluate("getComputedStyle(document.body).color")
        assert max(map(int, re.findall(r"\d+", ink))) < 64  # dark on paper, in the dark theme too


@pytest.mark.slow
def test_a_name_that_the_curve_would_run_through_stands_in_the_legend(
    browser: Browser, url: str
) -> None:
    curve = [[0.0001, 0.5], [0.001, 0.9]]
    arms = [
        {"name": "on-the-curve", "colour": "c0", "at": [0.0003162, 0.7]},
        {"name": "far-from-it", "colour": "c1", "at": [0.0008, 0.55]},
    ]
    chart = {"kind": "frontier", "curve": curve, "now": None, "arms": arms}
    with looking(browser, url) as page:
        page.goto("/pages/policy")
        drawn(page)
        page.evaluate(
            """chart => {
                document.getElementById("frontier").dataset.chart = JSON.stringify(chart);
                window.turnpike.charts();
            }""",
            chart,
        )
        expect(page.locator("#frontier-legend li")).to_have_text(["on-the-curve"])
