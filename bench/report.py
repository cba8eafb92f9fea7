"""From seeds to figures: means with intervals over paired seeds, as JSON and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.replay import Played
from bench.tables import Table
from policy.types import Floats


def summary(table: Table, played: Sequence[Played]) -> dict[str, Any]:
    """Return reward, cost, shares and times of one policy over its seeds."""
    reward = np.array([each.reward for each in played])
    cost = np.array([each.cost_usd for each in played])
    half = reward.shape[1] // 2
    arms = np.array([each.arms for each in played])
    n = reward.shape[1]
    return {
        "reward": float(reward.mean()),
        "reward_se": standard_error(reward.mean(axis=1)),
        "second_half": float(reward[:, half:].mean()),
        "second_half_se": standard_error(reward[:, half:].mean(axis=1)),
        "cost_usd": float(cost.mean()),
        "second_half_cost_usd": float(cost[:, half:].mean()),
        "shares": {arm: float((arms == i).mean()) for i, arm in enumerate(table.arms)},
        "decision_us": float(np.mean([each.decide_s for each in played]) / n * 1e6),
        "update_us": float(np.mean([each.update_s for each in played]) / n * 1e6),
        "retrains": played[0].retrains,
    }


def standard_error(per_seed: Floats) -> float:
    """Return the standard error of a mean over seeds, 0 for one seed."""
    return float(per_seed.std(ddof=1) / np.sqrt(len(per_seed))) if len(per_seed) > 1 else 0.0


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result as a Markdown table, the baselines beside it."""
    yield f"{result['table']}: {result['prompts']} prompts, {result['seeds']} seeds"
    yield ""
    yield "| policy | reward | s.e. | second half | s.e. | USD per prompt |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, each in result["policies"].items():
        yield (
            f"| {name} | {each['reward']:.4f} | {each['reward_se']:.4f} "
            f"| {each['second_half']:.4f} | {each['second_half_se']:.4f} | {each['cost_usd']:.3g} |"
        )
    for name, each in result["baselines"].items():
        arm = f" ({each['arm']})" if "arm" in each else ""
        yield f"| {name}{arm} | {each['reward']:.4f} | | | | {each['cost_usd']:.3g} |"
