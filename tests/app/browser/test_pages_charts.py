"""The charts where the figures are odd: what is free, what is next to nothing."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.figures import dollars
from tests.app.browser.browsing import keep, looking
from tests.app.browser.test_pages_used import WRITTEN
from tests.app.running import Provider, catalogue, running
from tests.app.serving import served

LOCAL = {
    "model": "Qwen/Qwen3-32B",
    "input_usd_per_mtok": 0.0,
    "output_usd_per_mtok": 0.0,
    "quality": 0.3,
}
PAID = {
    "small": {"model": "zhipuai/GLM-4-Plus"},
    "large": {"model": "openai/gpt-4o", "input_usd_per_mtok": 30.0, "quality": 0.95},
}
DEARER = """async () => {
  const place = document.getElementById("frontier");
  const chart = JSON.parse(place.dataset.chart);
  const all = [...chart.curve, ...chart.arms.map((each) => each.at)];
  const least = Math.min(...all.map(([usd]) => usd));
  const told = [];
  for (let i = 0; i < 100; i += 1) {
    const dearer = ([usd, quality]) => [usd * 3e-5 * 10 ** (i / 100) / least, quality];
    const arms = chart.arms.map((each) => ({ ...each, at: dearer(each.at) }));
    const curve = chart.curve.map(dearer);
    place.dataset.chart = JSON.stringify({ ...chart, arms, curve, now: null });
    turnpike.charts();
    await new Promise(requestAnimationFrame);
    told.push(place.querySelector("canvas").written.map(([text]) => text));
  }
  return told;
}"""


def written(page: Page, path: str, chart: str) -> list[tuple[str, list[float]]]:
    """Return what is written on a chart, each with its left, its right and its height."""
    page.add_init_script(WRITTEN)
    page.goto(path)
    canvas = page.locator(f"#{chart} canvas")
    expect(canvas).to_be_visible()
    found: list[tuple[str, list[float]]] = canvas.evaluate("each => each.written")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("paid", [PAID, {}], ids=["one of three", "all"])
def test_an_arm_that_costs_nothing_stands_at_0_dollars(
    browser: Browser, tmp_path: Path, provider: Provider, paid: dict[str, dict[str, Any]]
) -> None:
    arms = catalogue(tmp_path, provider.url, {"local": LOCAL, **paid})
    with running(tmp_path, arms=arms) as service, served(service) as address:
        for i in range(8):
            service.ask(f"What is {i} + {i}?")
        with looking(browser, address) as page:
            texts = [text for text, _ in written(page, "/pages/policy", "frontier")]
            assert "$0" in texts
            named = [*texts, *page.locator("#frontier-legend li").all_inner_texts()]
            assert [named.count(name) for name in ("local", *paid)] == [1] * (1 + len(paid))
            slider = page.get_by_label("If a thumbs-up were worth")
            with page.expect_response("**/pages/policy/at?pay=*") as told:
                slider.press("Home")
            cost_usd = told.value.json()["cost_usd_per_request"]
            assert paid or cost_usd == 0
            expect(page.locator("[data-cost]")).to_have_text(dollars(cost_usd))
            keep(page, f"free-{len(paid)}")


@pytest.mark.slow
def test_what_a_dollar_buys_is_drawn_wherever_its_dollars_begin(
    browser: Browser, tmp_path: Path, provider: Provider
) -> None:
    arms = catalogue(tmp_path, provider.url, PAID)
    with running(tmp_path, arms=arms) as service, served(service) as address:
        service.ask()
        with looking(browser, address) as page:
            written(page, "/pages/policy", "frontier")
            for labels in page.evaluate(DEARER):  # a decade in a hundred steps
                assert any(text.startswith("$") for text in labels), labels
            amounts = [0.0, 3.1e-7, 0.00012, 0.0001, 0.01, 0.0149, 0.05, 0.126, 1.5, 1234.5]
            assert page.evaluate("each => each.map(turnpike.dollars)", amounts) == [
                *map(dollars, amounts)
            ]


@pytest.mark.slow
@pytest.mark.parametrize("prices", [0.001, 0.1, 2_000.0])
def test_dollars_beside_a_chart_are_whole(
    browser: Browser, tmp_path: Path, provider: Provider, prices: float
) -> None:
    price = {"input_usd_per_mtok": prices, "output_usd_per_mtok": prices}
    arms = catalogue(tmp_path, provider.url, {"only": {"model": "openai/gpt-4o", **price}})
    with running(tmp_path, arms=arms) as service, served(service) as address:
        service.ask()
        with looking(browser, address, 320) as page:
            labels = [each for each in written(page, "/", "spend") if each[0].startswith("$")]
            assert len(labels) > 1
            assert not [text for text, _ in labels if "e" in text]
            assert min(left for _, (left, _, _) in labels) >= 0, labels
