"""From seeds to figures: means with their errors over seeds, as JSON and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.replay import Options, Played
from bench.tables import Table
from bench.yardsticks import static_mixture
from policy.types import Floats


def result(
    table: Table,
    options: Options,
    policies: Mapping[str, Sequence[Played]],
    yardsticks: Mapping[str, Floats],
) -> dict[str, Any]:
    """Return everything a replay found, as plain JSON data; each policy has a mixture beside it."""
    played = next(iter(policies.values()))
    orders = [each.rows for each in played]
    compared = {name: _figures(table, choice, orders) for name, choice in yardsticks.items()}
    found = {}
    for name, seeds in policies.items():
        found[name] = _policy(table, seeds)
        mixture = static_mixture(table.scores, table.cost_usd, found[name]["cost_usd"])
        everywhere = np.tile(mixture, (len(table), 1))
        found[name]["static_mixture"] = _figures(table, everywhere, orders)
    return {
        "table": table.name,
        "prompts": len(table),
        "arms": list(table.names),
        "seeds": len(played),
        "options": {key: value for key, value in asdict(options).items() if key != "policy"},
        "policies": found,
        "baselines": compared,
    }


def _policy(table: Table, seeds: Sequence[Played]) -> dict[str, Any]:
    requests = sum(len(each.rows) for each in seeds)
    shares = np.mean([np.bincount(each.arms, minlength=len(table.arms)) for each in seeds], axis=0)
    verdicts = [line.partition(" ")[0] for each in seeds for line in each.retrains]
    return {
        **_means([each.reward for each in seeds], [each.cost_usd for each in seeds]),
        "shares": _shares(table, shares * len(seeds) / requests),
        "decision_us": round(sum(each.decide_s for each in seeds) / requests * 1e6, 1),
        "update_us": round(sum(each.update_s for each in seeds) / requests * 1e6, 1),
        "promoted": verdicts.count("promoted") / len(seeds),
        "refused": verdicts.count("refused") / len(seeds),
        "retrains": list(seeds[0].retrains),
    }


def _figures(
    table: Table, choice: Floats, orders: Sequence[np.ndarray[Any, Any]]
) -> dict[str, Any]:
    reward, cost = (choice * table.scores).sum(axis=1), (choice * table.cost_usd).sum(axis=1)
    shares = np.mean([choice[rows].mean(axis=0) for rows in orders], axis=0)
    means = _means([reward[rows] for rows in orders], [cost[rows] for rows in orders])
    return {**means, "shares": _shares(table, shares)}


def _means(reward: Sequence[Floats], cost_usd: Sequence[Floats]) -> dict[str, float | None]:
    late = [each[len(each) // 2 :] for each in reward]
    return {
        "reward": _mean(reward),
        "reward_se": _error(reward),
        "second_half": _mean(late),
        "second_half_se": _error(late),
        "cost_usd": _mean(cost_usd),
        "cost_usd_se": _error(cost_usd),
    }


def _mean(seeds: Sequence[Floats]) -> float:
    return float(np.mean([each.mean() for each in seeds]))


def _error(seeds: Sequence[Floats]) -> float | None:
    """Return the standard error of the mean over seeds; one seed has none."""
    means = np.array([each.mean() for each in seeds])
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None


def _shares(table: Table, shares: Floats) -> dict[str, float]:
    return {arm: round(float(share), 4) for arm, share in zip(table.names, shares, strict=True)}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found as Markdown: the table, then times and retrains."""
    yield f"{found['table']}: {found['prompts']} prompts, {found['seeds']} seeds, {_said(found)}"
    yield ""
    yield from rows(found)
    for name, each in found["policies"].items():
        took = f"{each['decision_us']:.0f} us a decision, {each['update_us']:.0f} us to learn"
        gate = f"{each['promoted']:.1f} retrains promoted, {each['refused']:.1f} refused"
        yield ""
        yield f"{name}: {took}; {gate}; shares {each['shares']}"


def rows(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the policies and what they are compared with as a Markdown table."""
    yield "| | reward | +- | second half | +- | USD per prompt |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name, each in found["policies"].items():
        yield _line(name, each)
        yield _line(f"static mixture at the spend of {name}", each["static_mixture"])
    for name, each in found["baselines"].items():
        yield _line(name.replace("_", " "), each)


def _said(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in found["options"].items())


def _line(name: str, each: Mapping[str, Any]) -> str:
    figures = (
        f"{each[key]:.4f} | {_spread(each[key + '_se'])}" for key in ("reward", "second_half")
    )
    return f"| {name} | {' | '.join(figures)} | {each['cost_usd']:.3g} |"


def _spread(error: float | None) -> str:
    return "" if error is None else f"{error:.4f}"
