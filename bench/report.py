"""From seeds to figures: means with their errors over seeds, as JSON and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.category_beta import CategoryBeta
from bench.figures import Figures, figures
from bench.options import Options
from bench.replay import Played
from bench.tables import Table
from bench.yardsticks import Foreseen
from policy.types import Floats

Seeds = Mapping[str, Sequence[Figures]]

REWARDS = ("reward", "second_half", "changed")
AVERAGED = (*REWARDS, "cost_usd")


def result(
    table: Table,
    options: Options,
    played: Mapping[str, Sequence[Played]],
    foreseen: Sequence[Foreseen],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Return everything a replay found, as plain JSON data; each policy has a mixture beside it."""
    by_seed = [
        figures(table, options, seed, {name: each[i] for name, each in played.items()}, foreseen)
        for i, seed in enumerate(seeds)
    ]
    policies = {name: [each.policies[name] for each in by_seed] for name in played}
    baselines = {name: [s.yardsticks[name] for s in by_seed] for name in by_seed[0].yardsticks}
    if CategoryBeta.name in policies:
        baselines[CategoryBeta.name] = policies.pop(CategoryBeta.name)
    mixtures = {name: [each.mixtures[name] for each in by_seed] for name in policies}
    return {
        "table": table.name,
        "prompts": len(next(iter(played.values()))[0].rows),
        "arms": list(table.names),
        "seeds": len(seeds),
        "options": {key: value for key, value in asdict(options).items() if key != "policy"},
        "policies": {
            name: {
                **_means(table, options, each),
                **_times_and_retrains(played[name]),
                "static_mixture": _means(table, options, mixtures[name]),
                **_compared(each, _others(name, policies, baselines, mixtures)),
            }
            for name, each in policies.items()
        },
        "baselines": {name: _means(table, options, each) for name, each in baselines.items()},
    }


def _others(name: str, policies: Seeds, baselines: Seeds, mixtures: Seeds) -> Seeds:
    """Return everything a policy is compared with: baselines, other policies and its mixture."""
    found = {**baselines, **policies, "static_mixture": mixtures[name]}
    return {other: each for other, each in found.items() if other != name}


def _compared(ours: Sequence[Figures], others: Seeds) -> dict[str, Any]:
    """Return how far a policy is ahead of others; of the pick from evals, stretch by stretch."""
    return {
        "windows": _windows(ours, others.get("evals_pick", [])),
        "ahead": {other: _ahead(ours, theirs) for other, theirs in others.items()},
    }


def _means(table: Table, options: Options, seeds: Sequence[Figures]) -> dict[str, Any]:
    """Return the means over seeds with their standard errors; one seed has none."""
    found: dict[str, Any] = {}
    for name in AVERAGED:
        values = np.array([getattr(each, name) for each in seeds])
        if np.isfinite(values).all():
            found[name], found[name + "_se"] = float(values.mean()), standard_error(values)
    budget = options.budget_usd_per_request
    shares = np.mean([each.shares for each in seeds], axis=0)
    return {
        **found,
        "budget_use": None if budget is None else found["cost_usd"] / budget,
        "shares": {arm: round(float(s), 6) for arm, s in zip(table.names, shares, strict=True)},
    }


def _times_and_retrains(seeds: Sequence[Played]) -> dict[str, Any]:
    verdicts = [line.partition(" ")[0] for each in seeds for line in each.retrains]
    return {
        "decision_us": _median_us([each.decide_s for each in seeds]),
        "update_us": _median_us([each.update_s for each in seeds]),
        "promoted": verdicts.count("promoted") / len(seeds),
        "refused": verdicts.count("refused") / len(seeds),
        "retrains": list(seeds[0].retrains),
    }


def _ahead(ours: Sequence[Figures], theirs: Sequence[Figures]) -> dict[str, float | None]:
    """Return how much more of each reward a policy got than another, over pairs of equal seeds."""
    found: dict[str, float | None] = {}
    for kind in REWARDS:
        pairs = zip(ours, theirs, strict=True)
        more = np.array([getattr(one, kind) - getattr(other, kind) for one, other in pairs])
        if np.isfinite(more).all():
            found[kind], found[kind + "_se"] = float(more.mean()), standard_error(more)
    return found


def _windows(ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[dict[str, float | None]]:
    """Return how much more reward than another a policy got in each stretch of the stream."""
    more = [one.windows - other.windows for one, other in zip(ours, theirs, strict=False)]
    each = np.array(more).T if more else np.zeros((0, 0))
    return [{"reward": float(one.mean()), "reward_se": standard_error(one)} for one in each]


def _median_us(seeds: Sequence[np.ndarray[Any, Any]]) -> float:
    return round(float(np.median(np.concatenate(list(seeds)))) * 1e6, 1)


def standard_error(values: Floats) -> float | None:
    """Return that of a mean over seeds, None of a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found as Markdown: the table, then times and retrains."""
    yield f"{found['table']}: {found['prompts']} prompts, {found['seeds']} seeds, {_said(found)}"
    yield ""
    yield from rows(found)
    for name, each in found["policies"].items():
        took = f"{each['decision_us']:.0f} us a decision, {each['update_us']:.0f} us to learn"
        gate = f"{each['promoted']:.1f} retrains promoted, {each['refused']:.1f} refused"
        yield ""
        yield f"{name}: {took} (medians); {gate}; shares {each['shares']}"


def rows(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the policies and what they are compared with as a Markdown table.

    "+-" is one standard error over seeds.
    """
    kinds = [kind for kind in REWARDS if _has(found, kind)]
    paced = found["options"]["budget_usd_per_request"] is not None
    head = " | ".join(f"{kind.replace('_', ' ')} | +-" for kind in kinds)
    yield f"| | {head} | USD per prompt |{' of budget |' if paced else ''}"
    yield "|---|" + "--:|" * (2 * len(kinds) + 1 + paced)
    for name, each in found["policies"].items():
        yield _line(name, each, kinds)
        yield _line(f"static mixture at the spend of {name}", each["static_mixture"], kinds)
    for name, each in found["baselines"].items():
        yield _line(name.replace("_", " "), each, kinds)


def _has(found: Mapping[str, Any], kind: str) -> bool:
    return all(kind in each for each in found["baselines"].values())


def _said(found: Mapping[str, Any]) -> str:
    said = {key: value for key, value in found["options"].items() if value not in {None, ""}}
    return ", ".join(f"{key} {value}" for key, value in said.items())


def _line(name: str, each: Mapping[str, Any], kinds: Sequence[str]) -> str:
    shown = " | ".join(f"{each[kind]:.4f} | {_spread(each[kind + '_se'])}" for kind in kinds)
    use = "" if each["budget_use"] is None else f" {each['budget_use']:.2f} |"
    named = name.replace("|", "\\|")  # as an arm's may
    return f"| {named} | {shown} | {each['cost_usd']:.3g} |{use}"


def _spread(error: float | None) -> str:
    return "" if error is None else f"{error:.4f}"
