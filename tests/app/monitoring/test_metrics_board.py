"""The dashboard for Grafana asks only for metrics, labels and values that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.monitoring.gauges import Gauges
from app.monitoring.metrics import Metrics

BOARD = json.loads((Path(__file__).parents[3] / "deploy/grafana.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], each["expr"]) for panel in PANELS for each in panel["targets"]]
METRICS = Metrics()
Gauges(METRICS)
TOLD = {each.name: each for each in METRICS.told}
PARTS = re.compile(r"_(bucket|count|sum)$")


def metrics_of(expression: str) -> set[str]:
    return set(re.findall(r"turnpike_\w+", expression))


def metric(name: str) -> Any:
    return TOLD.get(name) or TOLD[PARTS.sub("", name)]


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_every_query_names_a_metric_with_these_labels(title: str, expression: str) -> None:
    assert metrics_of(expression), title
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        labels |= {label.strip() for label in grouped.split(",")}
    for name in metrics_of(expression):
        found = metric(name)
        is_part = PARTS.search(name) is not None
        assert is_part == (found.kind == "histogram"), name
        assert labels - {"le"} <= set(found.labels), (name, labels)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_what_a_legend_shows_is_grouped_by(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), panel["title"]


def test_every_metric_is_on_the_board() -> None:
    shown = {PARTS.sub("", name) for _, expression in QUERIES for name in metrics_of(expression)}
    assert set(TOLD) == shown


def test_no_panel_lies_on_another_and_each_has_its_own_id() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        columns, rows = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = {(x, y) for x in columns for y in rows}
        assert not cells & taken, panel["title"]
        assert max(columns) < 24
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
