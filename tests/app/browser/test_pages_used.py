"""The pages as somebody uses them: by mouse, by keyboard, with the key, with nothing there yet."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from app.figures import NONE
from tests.app.browser.browsing import (
    BETWEEN,
    PHONE,
    cut_off,
    drawn,
    flaws,
    keep,
    looking,
    resize,
    sticks_out,
)
from tests.app.hostile_rows import as_they_are
from tests.app.pages.test_sign_in import KEY, PAGES
from tests.app.running import CATALOGUE, Provider, Running, catalogue, running
from tests.app.serving import served
from tests.storage.rounds import but
from upstream.catalogue import load

LOOK_NOW = "document.dispatchEvent(new Event('visibilitychange'))"
HIDE = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
COUNT = "#requests"
WRITTEN = """
  const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.clearRect = function (...all) {
    this.canvas.written = [];
    clearRect.apply(this, all);
  };
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const { width } = this.measureText(text), { e, f } = this.getTransform();
    const before = { center: width / 2, right: width }[this.textAlign] ?? 0;
    const box = [e + x - before, e + x - before + width, f + y];
    if (text) (this.canvas.written ??= []).push([text, box]);
    fillText.call(this, text, x, y);
  };
"""
COLOURS = """canvas => {
  const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const found = new Set();
  for (let i = 0; i < seen.length; i += 4)
    if (seen[i + 3] === 255) found.add(`rgb(${seen[i]}, ${seen[i + 1]}, ${seen[i + 2]})`);
  return [...found];
}"""


@pytest.fixture(scope="module")
def url(shared: Running) -> Iterator[str]:
    for i in range(8):
        answer = shared.ask(f"What is {i} + {i}?", task="maths" if i % 2 else "sums")
        if i < 4:
            shared.rate(answer["id"], "up")
    with served(shared) as address:
        yield address


@pytest.mark.slow
def test_a_thumb_given_here_is_learned_at_once(page: Page, shared: Running) -> None:
    before = shared.get("/policy")["counts"]["rated"]
    page.goto("/pages/decisions?rated=unrated")
    page.locator("tbody th a").first.click()
    page.get_by_role("button", name="thumbs up").click()
    expect(page.get_by_role("button", name="thumbs up")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".ratings")).to_contain_text("dashboard")
    assert shared.get("/policy")["counts"]["rated"] == before + 1
    page.get_by_role("button", name="withdraw").click()
    expect(page.get_by_text("Nobody has rated it yet.")).to_be_visible()
    assert shared.get("/policy")["counts"]["rated"] == before


@pytest.mark.slow
def test_a_page_keeps_up_without_being_loaded_again(page: Page, shared: Running) -> None:
    page.goto("/")
    drawn(page)
    page.evaluate("window.kept = true")
    page.locator("#charts details summary").first.click()
    before = int(page.locator(COUNT).inner_text())
    shared.ask("What is 9 + 9?")
    expect(page.locator(COUNT)).to_have_text(str(before + 1))
    assert page.evaluate("window.kept")
    expect(page.locator("#charts details").first).to_have_attribute("open", "")
    assert page.locator("#spend canvas").count() == 1


@pytest.mark.slow
def test_a_page_that_nobody_looks_at_asks_nothing(page: Page) -> None:
    page.goto("/")
    asked: list[str] = []
    page.on("request", lambda one: "/static/" in one.url or asked.append(one.url))
    page.evaluate(f"{HIDE}; {LOOK_NOW}")
    expect(page.locator("#pulse")).to_have_text("Paused")
    assert asked == []
    page.evaluate(f"delete document.hidden; {LOOK_NOW}")
    expect(page.locator("#pulse")).to_have_text("Live")
    page.wait_for_function("true")
    assert len(asked) == 1


@pytest.mark.slow
def test_the_slider_asks_what_another_price_would_do(page: Page) -> None:
    page.goto("/pages/policy")
    drawn(page)
    slider = page.get_by_label("If a thumbs-up were worth")
    with page.expect_response("**/pages/policy/at?pay=*") as told:
        slider.press("Home")
    cheapest = told.value.json()
    expect(page.locator("[data-says]")).to_have_text(cheapest["says"])
    expect(page.locator("[data-quality]")).to_have_text(f"{cheapest['quality']:.3f}")
    expect(page.locator("[data-shares] li")).to_have_count(len(cheapest["shares"]))
    assert (slider.get_attribute("aria-valuetext") or "").endswith("for one more thumbs-up")
    with page.expect_response("**/pages/policy/at?pay=*") as told:
        slider.press("End")
    assert told.value.json()["quality"] >= cheapest["quality"]


@pytest.mark.slow
def test_the_slider_follows_what_sets_the_price_until_somebody_moves_it(
    page: Page, shared: Running
) -> None:
    page.goto("/pages/policy")
    slider, months = page.get_by_label("If a thumbs-up were worth"), page.locator("[data-month]")
    before = months.inner_text()
    for i in range(3):
        shared.ask(f"What is {i} + 90?")
    page.evaluate(LOOK_NOW)
    expect(months).not_to_have_text(before)
    with page.expect_response("**/pages/policy/at?pay=*"):
        slider.press("Home")
    slider.blur()
    page.locator("#frontier-region").evaluate("each => { each.dataset.old = ''; }")
    shared.ask("What is 9 + 90?")
    page.evaluate(LOOK_NOW)
    expect(page.locator("#frontier-region[data-old]")).to_have_count(0)
    assert slider.input_value() == slider.get_attribute("min")


@pytest.mark.slow
def test_the_slider_says_when_it_has_no_answer(browser: Browser, url: str) -> None:
    with looking(browser, url, expected="net::ERR") as page:
        page.goto("/pages/policy")
        slider, says = page.get_by_label("If a thumbs-up were worth"), page.locator("[data-says]")
        for gone in (
            lambda route: route.abort(),
            lambda route: route.fulfill(status=303, headers={"location": "/pages/sign-in"}),
        ):
            page.route("**/pages/policy/at?pay=*", gone)
            slider.press("Home")
            expect(says).to_have_text("No answer.")
            expect(page.locator("[data-cost]")).to_have_text(NONE)
            page.unroute_all()
            slider.press("End")
            expect(says).not_to_have_text("No answer.")
            expect(page.locator("[data-shares] li").first).to_be_visible()


@pytest.mark.slow
def test_a_theme_that_was_chosen_stays(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/pages/policy")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.slow
@pytest.mark.parametrize("forced", ["none", "active"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_drawn_in_the_colours_of_its_legend(
    page: Page, scheme: Literal["light", "dark"], forced: Literal["none", "active"]
) -> None:
    page.emulate_media(color_scheme=scheme, forced_colors=forced)
    page.goto("/")
    expect(page.locator(".plot canvas").first).to_be_visible()
    legend = page.locator(".legend").first.locator(".arm i")
    colours = legend.evaluate_all("all => all.map(each => getComputedStyle(each).backgroundColor)")
    found = page.locator(".plot canvas").first.evaluate(COLOURS)
    assert set(colours) & set(found)  # an arm that cost next to nothing is less than a pixel high
    assert ("rgb(0, 0, 0)" in found) == (forced == "active" and scheme == "light")


@pytest.mark.slow
@pytest.mark.parametrize("width", [280, 320, PHONE, 1200])
def test_nothing_that_is_written_on_what_a_dollar_buys_runs_into_another(
    page: Page, width: int
) -> None:
    page.add_init_script(WRITTEN)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/pages/policy")
    canvas = page.locator(".plot canvas").first
    expect(canvas).to_be_visible()
    written = canvas.evaluate("each => each.written")
    assert sum(text.startswith("$") for text, _ in written) > 1
    for (one, (left, right, y)), (other, (start, end, at)) in combinations(written, 2):
        assert right < start or end < left or abs(y - at) > 8, (one, other)


@pytest.mark.slow
@pytest.mark.parametrize("width", [280, PHONE, 1200])
def test_every_arm_is_named_once_beside_its_dot_or_in_the_legend(page: Page, width: int) -> None:
    page.add_init_script(WRITTEN)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/pages/policy")
    canvas = page.locator(".plot canvas").first
    expect(canvas).to_be_visible()
    page.evaluate("document.getElementById('frontier-region').dataset.old = ''")
    page.evaluate(LOOK_NOW)
    expect(page.locator("#frontier-region[data-old]")).to_have_count(0)
    beside = [text for text, _ in canvas.evaluate("each => each.written")]
    below = page.locator("#frontier-legend li").all_inner_texts()
    for arm in load(CATALOGUE).arms:
        assert [*beside, *below].count(arm) == 1, arm


@pytest.mark.slow
def test_on_a_phone_a_figure_with_its_interval_and_what_an_arm_can_have_the_whole_width(
    page: Page,
) -> None:
    page.set_viewport_size({"width": PHONE, "height": 900})
    wide = {"report": ("Mean rating", "What it is"), "settings": ("Can", "Address", "Key", "Value")}
    for path, cells in wide.items():
        page.goto(f"/pages/{path}")
        for cell in cells:
            shares = page.locator(f"td[data-label='{cell}']").evaluate_all(
                "all => all.map(one => one.clientWidth / one.parentElement.clientWidth)"
            )
            assert min(shares) > 0.95, (path, cell)


@pytest.mark.slow
def test_no_table_is_cut_off_whatever_the_width(page: Page) -> None:
    for path in (*PAGES, "/pages/report"):
        page.goto(path)
        for width in (320, PHONE, *BETWEEN, 1440):
            resize(page, width)
            assert (sticks_out(page), cut_off(page)) == (0, []), f"{path} at {width} px"


@pytest.mark.slow
def test_what_an_arm_can_stands_under_its_heading(page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/pages/settings")
    begins = """one => {
        const words = document.createRange();
        words.selectNodeContents(one);
        return words.getBoundingClientRect().left;
    }"""
    heading = page.locator("th", has_text="Can").evaluate(begins)
    words = page.locator("td[data-label=Can]").first.evaluate(begins)
    assert words == pytest.approx(heading, abs=2)


@pytest.mark.slow
def test_arms_that_are_nearly_alike_have_a_scale_that_tells_them_apart(
    browser: Browser, service: Running
) -> None:
    for i in range(30):
        service.rate(service.ask(f"What is {i} + {i}?")["id"], "up")
    with served(service) as address, looking(browser, address, 1440) as page:
        page.add_init_script(WRITTEN)
        page.goto("/pages/policy")
        canvas = page.locator(".plot canvas").first
        expect(canvas).to_be_visible()
        written = [text for text, _ in canvas.evaluate("each => each.written")]
        assert sorted(set(written)) == sorted(written)


@pytest.mark.slow
def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".segments a").first).to_be_focused()
    page.get_by_role("link", name="Decisions", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/pages/decisions")
    page.locator("select[name=arm]").focus()
    page.keyboard.press("Tab")
    expect(page.locator("input[name=task]")).to_be_focused()
    page.keyboard.type("maths")
    page.keyboard.press("Enter")
    page.wait_for_url("**task=maths**")
    page.locator("tbody th a").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Who could have been asked")).to_be_visible()
    page.get_by_role("button", name="thumbs up").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.slow
def test_a_service_that_went_away_is_told(browser: Browser, service: Running) -> None:
    service.ask()
    with served(service) as address, looking(browser, address, expected="503") as page:
        page.goto("/")
        page.route("**/*", lambda route: route.fulfill(status=503, body="away"))
        page.evaluate(LOOK_NOW)
        expect(page.locator("#pulse")).to_have_text("No answer; trying again")
        page.unroute_all()
        page.evaluate(LOOK_NOW)
        expect(page.locator("#pulse")).to_have_text("Live")


@pytest.mark.slow
def test_a_service_that_nobody_used_teaches_the_next_step(
    browser: Browser, service: Running
) -> None:
    with served(service) as address, looking(browser, address, PHONE) as page:
        for path in PAGES:
            page.goto(path)
            assert sticks_out(page) <= 0
            assert flaws(page) == []
        page.goto("/")
        expect(page.locator("main")).to_contain_text(f"curl {address}/complete")
        keep(page, f"empty-{PHONE}-light")
        page.evaluate("window.kept = true")
        service.ask()
        page.evaluate(LOOK_NOW)
        expect(page.locator(COUNT)).to_have_text("1")


@pytest.mark.slow
def test_hostile_text_runs_nothing_and_loads_nothing(browser: Browser, service: Running) -> None:
    service.ask()
    identity = as_they_are(service)
    with served(service) as address, looking(browser, address, PHONE) as page:
        for path in (*PAGES, f"/pages/decisions/{identity}"):
            page.goto(path)
            drawn(page)
            assert page.evaluate("document.querySelectorAll('img, main script').length") == 0
            assert sticks_out(page) <= 0
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        keep(page, f"hostile-{PHONE}-light")


@pytest.mark.slow
def test_with_a_key_one_signs_in_and_out(
    browser: Browser, tmp_path: Path, provider: Provider
) -> None:
    with (
        running(tmp_path, sandbox_url=provider.url, api_key=KEY) as locked,
        served(locked) as address,
        looking(browser, address) as page,
    ):
        page.goto("/pages/policy?span=7d")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert flaws(page) == []
        page.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.wait_for_url("**/pages/policy?span=7d")
        [cookie] = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.context.cookies() == []


@pytest.mark.slow
def test_an_earlier_policy_can_be_taken_up_again_and_is_once_if_asked_for_twice(
    browser: Browser, tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = catalogue(tmp_path, provider.url, {"small": {}, "large": {}})
    monkeypatch.setenv("TURNPIKE_ARMS", str(arms))
    monkeypatch.setenv("TURNPIKE_DATABASE", str(tmp_path / "turnpike.db"))
    with running(tmp_path, arms=arms) as service, served(service) as address:
        first = service.parts.log.policy_version(1)
        service.parts.log.adopt(but(first, version=2, source="retrain")).wait()
        with looking(browser, address) as page:
            page.goto("/pages/retrains")
            page.get_by_text("Roll back …").click()
            posts: list[str] = []
            page.on("request", lambda asked: asked.method == "POST" and posts.append(asked.url))
            said = page.get_by_role("button", name="Yes, roll back").evaluate(
                """each => {
                    each.click();
                    setTimeout(() => each.click(), 100);
                    return document.querySelector("[role=status]")?.textContent;
                }"""
            )
            expect(page.locator("#serving")).to_contain_text("Policy 3 serves")
            assert (said[:10], len(posts)) == ("Going back", 1)
        assert service.learned.policy_version == 3
        latest = service.parts.log.latest_policy()
        assert latest is not None
        assert (latest.version, latest.source) == (3, "rollback")
