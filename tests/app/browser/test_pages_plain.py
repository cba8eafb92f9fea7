"""The pages in a browser that lacks something: a script, a place to keep what was chosen."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

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
        for drawn in page.locator("[role=img], input[type=range]").all():
            expect(drawn).to_be_hidden()
        told = page.get_by_text("As a table")
        expect(told).to_have_count(tables)
        told.first.click()
        expect(page.locator("details table").first).to_be_visible()
    page.close()
