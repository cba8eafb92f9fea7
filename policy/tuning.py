"""Hyper-parameters by evidence: the prior scales that make the outcomes seen most likely.

Coordinate ascent on a grid of factors. The log-normal penalty keeps a scale near its default until
the outcomes speak: with little evidence the likelihood is flat and its maximum means nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import log

from policy.belief import Belief
from policy.prior import GROUPS, Prior, Scales

FACTORS = (0.25, 0.5, 0.7, 1.4, 2.0, 4.0)
SWEEPS = 4  # the first dial of a sweep is turned before the others have moved
PENALTY_SD = 1.0


def tuned(belief: Belief, default: Prior) -> Prior:
    """Return the prior under which what the belief has seen is most probable, near `default`.

    source : Bishop 2006, 3.5 (evidence approximation, type-2 maximum likelihood)
    """
    best, likeliest = belief, score(belief, belief.prior, default)
    for _ in range(SWEEPS):
        before = best
        for level, group in _dials(belief.prior):
            for candidate in _scaled(best.prior, level, group):
                reached = score(best, candidate, default)
                if reached > likeliest:
                    best, likeliest = best.under(candidate), reached
        if best is before:
            break
    return best.prior


def score(belief: Belief, prior: Prior, default: Prior) -> float:
    """Return the log evidence of what the belief has seen under a prior, with the penalty."""
    return belief.under(prior).log_evidence + _penalty(prior, default)


def _dials(prior: Prior) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        if group in prior.groups:
            yield "deviation", group
            yield "shared", group


def _scaled(prior: Prior, level: str, group: str) -> list[Prior]:
    scales: Scales = getattr(prior, level)
    sizes = [replace(scales, **{group: getattr(scales, group) * factor}) for factor in FACTORS]
    if level == "shared":
        return [replace(prior, shared=size) for size in sizes]
    return [replace(prior, deviation=size) for size in sizes]


def _penalty(prior: Prior, default: Prior) -> float:
    ratios = [
        log(getattr(getattr(prior, level), group) / getattr(getattr(default, level), group))
        for level, group in _dials(prior)
    ]
    return -0.5 * sum((ratio / PENALTY_SD) ** 2 for ratio in ratios)
