"""A browser for each file of tests; where there is none they are left out, and that is told."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browser.browsing import browsing, chromium, looking
from tests.app.running import Running
from tests.app.serving import served

WITHIN_MS = 30_000
expect.set_options(timeout=WITHIN_MS)  # pages look every five seconds, as long as the default waits

HERE = chromium()
collect_ignore_glob = [] if HERE else ["test_*.py"]
MISSING = (
    "NO BROWSER: the pages were not tried. Install chromium, or name one in TURNPIKE_CHROMIUM."
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"pages tried in {HERE}" if HERE else MISSING)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as launched:
        yield launched


@pytest.fixture
def url(service: Running) -> Iterator[str]:
    """The address of a service that nobody has used yet."""
    with served(service) as address:
        yield address


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page in that browser, at the first page of the service."""
    with looking(browser, url) as opened:
        yield opened
