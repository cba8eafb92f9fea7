"""The page and the plot of a live run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from bench.live import Lived, Sending
from bench.report import result, rows
from bench.tables import Table
from bench.yardsticks import foresee
from policy.types import Floats

WINDOW = 200
PICTURE = "live.png"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#f0e442")
"""Told apart by colour-blind eyes too (Okabe and Ito)."""


def page(table: Table, traffic: Sending, lived: Lived) -> Iterator[str]:
    """Yield the lines of the page: what was sent, what came of it, what it is compared with."""
    found = _found(table, traffic, lived)
    figures = found["policies"][traffic.options.policy]
    regret = found["baselines"]["oracle"]["reward"] - figures["reward"]
    booked, recorded = lived.played.cost_usd.sum(), _recorded(table, lived).sum()
    retrains = lived.policy["retrains"]
    yield f"# {table.name} through the running service"
    yield ""
    yield f"{len(lived.played.rows)} real prompts over HTTP, {traffic.per_s:g} a second at most,"
    yield f"{lived.rated} of them rated; the answers are recorded ones, their cost too."
    yield "Figures with hindsight: best single arm, both mixtures, full information, oracle."
    yield ""
    yield from rows(found)
    yield ""
    yield _beside_the_dearest(table, lived, figures["reward"])
    yield f"Regret against the oracle {regret:.4f} per prompt; most is noise nobody can learn."
    yield f"Booked ${booked:.4f}, recorded for the same answers ${recorded:.4f}."
    yield f"Policy version {lived.policy['policy_version']} after {len(retrains)} retrains:"
    yield ""
    for each in reversed(retrains):
        yield f"- {'promoted' if each['promoted'] else 'refused'}: {each['reason']}"
    yield ""
    yield f"![What was earned, spent and chosen, prompt by prompt]({PICTURE})"


def _beside_the_dearest(table: Table, lived: Lived, reward: float) -> str:
    arm = int(table.cost_usd.mean(axis=0).argmax())
    rows = lived.played.rows
    always, usd = table.scores[rows, arm].mean(), table.cost_usd[rows, arm].mean()
    share, cost = reward / always, lived.played.cost_usd.mean() / usd
    told = f"Always {table.names[arm]}, the dearest: {always:.4f} for ${usd:.3g} per prompt;"
    return f"{told} of that the router has {share:.1%}, at {cost:.0%} of the cost."


def plot(table: Table, traffic: Sending, lived: Lived, path: Path) -> None:
    """Record the learning curve, the spend and the shares of the arms over time as a picture."""
    figure, (reward, cost, shares) = plt.subplots(3, 1, figsize=(10, 9), sharex=True)
    chosen, asked = lived.played, np.arange(1, len(lived.played.rows) + 1)
    reward.plot(asked, cumulative(chosen.reward), color="black", label="Turnpike")
    cost.plot(asked, cumulative(chosen.cost_usd), color="black", label="Turnpike")
    for i, arm in enumerate(table.names):
        colour = COLOURS[i % len(COLOURS)]
        recorded = table.scores[chosen.rows, i], table.cost_usd[chosen.rows, i]
        reward.plot(asked, cumulative(recorded[0]), color=colour, lw=0.9, label=f"always {arm}")
        cost.plot(asked, cumulative(recorded[1]), color=colour, lw=0.9)
        shares.plot(asked, moving(chosen.arms == i), color=colour, label=arm)
    utility = table.scores[chosen.rows].max(axis=1)
    reward.plot(asked, cumulative(utility), color="grey", ls=":", label="oracle")
    _label(reward, "mean reward so far", low=float(np.median(cumulative(chosen.reward))) - 0.2)
    _label(cost, "mean dollars so far")
    cost.set_yscale("log")
    _label(shares, f"share of the last {WINDOW}")
    shares.set_xlabel("prompts")
    for axes in (reward, shares):
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    figure.suptitle(f"{table.name} through the running service")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _label(axes: Axes, said: str, low: float | None = None) -> None:
    axes.set_ylabel(said)
    axes.grid(alpha=0.3)
    if low is not None:
        axes.set_ylim(bottom=max(low, 0.0))


def _found(table: Table, traffic: Sending, lived: Lived) -> dict[str, Any]:
    options = traffic.options
    foreseen = foresee(table, table.sketches(options.context))
    return result(table, options, {options.policy: [lived.played]}, foreseen, [traffic.seed])


def _recorded(table: Table, lived: Lived) -> Floats:
    costs: Floats = table.cost_usd[lived.played.rows, lived.played.arms]
    return costs


def cumulative(values: Floats) -> Floats:
    """Return the mean of all values so far, (n,)."""
    means: Floats = np.cumsum(values) / np.arange(1, len(values) + 1)
    return means


def moving(chosen: np.ndarray[Any, Any]) -> Floats:
    """Return the share of True among the last WINDOW, (n,)."""
    total = np.concatenate([[0.0], np.cumsum(chosen)])
    ends = np.arange(1, len(chosen) + 1)
    starts = np.maximum(ends - WINDOW, 0)
    shares: Floats = (total[ends] - total[starts]) / (ends - starts)
    return shares
