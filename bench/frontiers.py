"""The picture of the budgets: reward against spend, table by table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bench.drawing import COLOURS
from bench.peers.player import PREFIX


def frontiers(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Record, for every table, what each policy got at each budget for what it spent."""
    tables = list(dict.fromkeys(each["table"] for each in found.values()))
    figure, rows = plt.subplots(len(tables), 1, figsize=(9, 4 * len(tables)), squeeze=False)
    for table, axes in zip(tables, rows[:, 0], strict=True):
        _curves(axes, [each for each in found.values() if each["table"] == table])
        axes.set_title(table)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _curves(axes: Axes, budgets: list[Mapping[str, Any]]) -> None:
    policies = list(budgets[0]["policies"])
    ours = [each["policies"][policies[0]]["static_mixture"] for each in budgets]
    curves = [(name, [each["policies"][name] for each in budgets], "o-") for name in policies]
    curves.append((f"static mixture at the spend of {policies[0]}", ours, "s--"))
    for name in ("category_beta", "full_information", "oracle"):
        curves.append((name.replace("_", " "), [each["baselines"][name] for each in budgets], ":"))
    for (name, figures, style), colour in zip(curves, COLOURS, strict=False):
        spend, reward = ([each[key] for each in figures] for key in ("cost_usd", "reward"))
        error = [2.0 * (each["reward_se"] or 0.0) for each in figures]
        axes.errorbar(
            spend, reward, error, fmt=style, color=colour, ms=4, label=name.removeprefix(PREFIX)
        )
    axes.set_xscale("log")
    axes.set_xlabel("dollars per request (error bars: two standard errors)")
    axes.set_ylabel("mean reward")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
