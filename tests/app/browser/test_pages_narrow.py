"""The pages where room is short: amounts stay whole, and long names leave room for the rest."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.browser.browsing import PHONE, cut_off, drawn, flaws, keep, looking, sticks_out
from tests.app.browser.test_pages_used import LOOK_NOW
from tests.app.faulty import faulty, good
from tests.app.hostile import status
from tests.app.running import CATALOGUE, Provider, Running, eventually, running
from tests.app.serving import served

PATHS = ("/", "/pages/policy", "/pages/decisions", "/pages/report")
LONG = "customer_support_tickets_of_the_european_region_in_4_languages_2"
BROKEN = r"""() => {
  const words = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  const broken = [];
  for (let at = words.nextNode(); at; at = words.nextNode()) {
    for (const found of at.data.matchAll(/\$[\d.,]+|[\d.]+ %/g)) {
      const amount = document.createRange();
      amount.setStart(at, found.index);
      amount.setEnd(at, found.index + found[0].length);
      const lines = new Set([...amount.getClientRects()].map((each) => Math.round(each.top)));
      if (lines.size > 1) broken.push(found[0]);
    }
  }
  return broken;
}"""
SPILLED = """() => [...document.querySelectorAll("main td, main dd")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.innerText)"""


@pytest.fixture(scope="module")
def url(shared: Running) -> Iterator[str]:
    for i, arm in enumerate([*shared.parts.catalogue().arms] * 3):
        answer = shared.ask(f"What is {i} + {i}?", task=("maths", LONG)[i % 2], models=[arm])
        shared.rate(answer["id"], "up" if i % 4 else "down")
    with served(shared) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("width", [320, PHONE])
def test_no_amount_is_broken_within_its_digits(page: Page, path: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path)
    drawn(page)
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(SPILLED) == []
    assert sticks_out(page) == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, PHONE, 768, 1440])
def test_a_long_name_of_a_task_leaves_room_for_the_arms(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/pages/policy")
    scroll = page.locator("#tasks .scroll")
    first = scroll.get_by_role("rowheader", name=LONG)
    scroll.evaluate("each => { each.scrollLeft = 200; }")
    box, around = first.bounding_box(), scroll.bounding_box()
    assert box is not None
    assert around is not None
    assert box["x"] == pytest.approx(around["x"], abs=1)  # it stays while the arms pass by
    assert box["width"] < around["width"] / 2
    if width == 1440:
        assert scroll.evaluate("each => each.scrollWidth - each.clientWidth") < box["width"] / 2
    keep(page, f"long-{width}")
    page.goto("/pages/decisions")
    assert (sticks_out(page), cut_off(page)) == (0, [])
    highest = page.locator("tbody tr").evaluate_all(
        "all => Math.max(...all.map(r => r.clientHeight))"
    )
    assert highest < 400


@pytest.mark.slow
def test_every_arm_of_a_task_has_room_or_the_table_fades_where_it_goes_on(page: Page) -> None:
    fades = "each => getComputedStyle(each).maskImage !== 'none'"
    hidden = "each => each.scrollWidth - each.clientWidth"
    page.goto("/pages/policy")
    scroll = page.locator("#tasks .scroll")
    for width in (1100, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        assert (scroll.evaluate(hidden) > 0) == scroll.evaluate(fades) == (width == PHONE)
    scroll.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
    assert eventually(lambda: not scroll.evaluate(fades))


@pytest.mark.slow
def test_a_table_stays_where_it_was_moved_to_when_the_page_keeps_up(
    page: Page, shared: Running
) -> None:
    page.set_viewport_size({"width": PHONE, "height": 900})
    page.goto("/pages/policy")
    scroll = page.locator("#tasks .scroll")
    scroll.evaluate("each => { each.scrollLeft = 120; }")
    page.evaluate("document.getElementById('tasks').dataset.old = ''")
    shared.ask("What is 1 + 1?", task="maths", models=["gpt-4o"])
    page.evaluate(LOOK_NOW)
    expect(page.locator("#tasks[data-old]")).to_have_count(0)
    assert scroll.evaluate("each => each.scrollLeft") == 120


@pytest.mark.slow
def test_what_a_provider_and_a_rater_wrote_stays_in_its_place(
    browser: Browser, tmp_path: Path
) -> None:
    says = b'{"error": {"message": "' + b"x" * 300 + b'"}}'
    with faulty(tmp_path, {"a": status(500, body=says), "b": good}) as made:
        answer = made.service.ask("hi", models=["a"], fallbacks=["b"])
        made.service.rate(answer["id"], "up", rater="r\u202e")
        with served(made.service) as address, looking(browser, address, PHONE) as page:
            page.goto(f"/pages/decisions/{answer['id']}")
            assert sticks_out(page) == 0
            assert flaws(page, ["target-size"]) == []
            expect(page.locator(".ratings bdi")).to_have_text("r\u202e")


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 1100])
def test_what_an_arm_may_have_at_most_takes_no_room_from_the_rest(
    browser: Browser, provider: Provider, tmp_path: Path, width: int
) -> None:
    ceilings, path = "max_share = 0.15\nmax_usd_per_day = 0.05\n", tmp_path / "arms.toml"
    first = "[arm.deepseek-v4-pro]\n"
    path.write_text(CATALOGUE.read_text().replace(first, first + ceilings))
    with running(tmp_path, path, sandbox_url=provider.url) as made:
        for arm in made.parts.catalogue().arms:
            made.rate(made.ask("What is 1 + 1?", models=[arm])["id"], "up")
        with served(made) as address, looking(browser, address, width) as page:
            page.goto("/pages/policy")
            expect(page.locator("main")).to_contain_text("at most $0.05 a day: ")
            assert sticks_out(page) == 0


@pytest.mark.slow
def test_what_was_wrong_in_an_address_stays_in_its_place(browser: Browser, url: str) -> None:
    with looking(browser, url, PHONE, "status of 400") as page:
        page.goto(f"/pages/decisions?least_usd={'x' * 100}")
        expect(page.locator("main")).to_contain_text("least_usd is")
        assert sticks_out(page) == 0


@pytest.mark.slow
def test_the_link_to_a_decision_is_called_what_is_read_there(page: Page) -> None:
    page.goto("/pages/decisions")
    shown = page.locator("tbody th a").first
    moment = shown.locator("time").inner_text()
    expect(shown).to_have_accessible_name(re.compile(f"^{moment}"), timeout=3000)
