"""A real Chromium before the pages: what it finds wrong by itself fails whatever test it is in."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
PHONE, WIDE = 390, 1440
BETWEEN = (800, 1000, 1200)
HIGHEST = 4_000
WITHIN_MS = 30_000
WHERE = Path(__file__).parents[3] / "build" / "screenshots"


def chromium() -> str | None:
    """Return the browser: TURNPIKE_CHROMIUM, one in the PATH, playwright's own, or None."""
    named = os.environ.get("TURNPIKE_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return found
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def browsing() -> Iterator[Browser]:
    """Yield a browser that has nothing from before."""
    with sync_playwright() as playwright:
        yield _launched(playwright)


def _launched(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


@contextmanager
def looking(
    browser: Browser, url: str, width: int = WIDE, expected: str | None = None
) -> Iterator[Page]:
    """Yield a page of the service at this address.

    Whatever is loaded from elsewhere, runs though it should not, or fails, is told at the end, but
    for the error that is expected.
    """
    context = browser.new_context(
        base_url=url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(WITHIN_MS)
    page = context.new_page()
    wrong = _wrong(page, urlsplit(url).netloc)
    try:
        yield page
    finally:
        context.close()
    unexpected = [one for one in wrong if expected is None or expected not in one]
    assert not unexpected, unexpected


def _wrong(page: Page, here: str) -> list[str]:
    """Return what will have gone wrong on the page; everything it asks is to come from here."""
    wrong: list[str] = []

    def asked(request: Any) -> None:
        if urlsplit(request.url).netloc != here:
            wrong.append(f"asked elsewhere: {request.url}")

    def popped_up(dialog: Any) -> None:
        wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def complained(said: Any) -> None:
        if said.type == "error":
            wrong.append(f"{said.text} ({said.location['url']})")

    page.on("request", asked)
    page.on("dialog", popped_up)
    page.on("pageerror", lambda error: wrong.append(f"a script failed: {error}"))
    page.on("console", complained)
    return wrong


def drawn(page: Page) -> None:
    """Return when every chart of the page is drawn, or says that there is nothing to draw."""
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every(one => one.firstElementChild)"
    )


def resize(page: Page, width: int) -> None:
    """Give the window another width, and return when charts have followed, two frames later."""
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def keep(page: Page, name: str) -> None:
    """Keep a picture of the page among the build's artefacts, of a long one the upper part."""
    WHERE.mkdir(parents=True, exist_ok=True)
    high = int(page.evaluate("document.documentElement.scrollHeight"))
    width = int(page.evaluate("window.innerWidth"))
    shown: Any = {"x": 0, "y": 0, "width": width, "height": min(high, HIGHEST)}
    page.screenshot(path=WHERE / f"{name}.png", full_page=True, clip=shown)


def flaws(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe-core finds that somebody could not use, by these rules or by all."""
    options = {"runOnly": list(rules)} if rules else None
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]}"
        for one in found
        for node in one["nodes"]
    ]


def sticks_out(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


def cut_off(page: Page) -> list[str]:
    """Return the tables of the page that reach beyond what holds them, and do not scroll there."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("table")].filter(one => {
            if (one.closest(".scroll, details")) return false;
            const right = (each) => each.getBoundingClientRect().right;
            const padding = parseFloat(getComputedStyle(one.parentElement).paddingRight);
            const sticksOut = right(one) > right(one.parentElement) - padding + 1;
            return sticksOut || one.scrollWidth > one.clientWidth;
        }).map(one => one.caption.textContent)"""
    )
    return found
