"""Hyper-parameters by evidence: the prior scales that make the outcomes seen most likely.

Coordinate ascent: each scale in turn is doubled or halved while that helps, then moved by less. The
log-normal penalty keeps a scale near its default until the outcomes speak: with little evidence the
likelihood is flat and its maximum means nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import log

from policy.belief import Belief
from policy.prior import GROUPS, Prior, Scales

FACTORS = (2.0, 1.4)
SWEEPS = 4  # the first dial of a sweep is turned before the others have moved
PENALTY_SD = 1.0
LOG_BAYES_FACTOR = 1.0
"""So much likelier must another prior have made the outcomes to take the place of one in force."""


def tuned(belief: Belief, default: Prior) -> Prior:
    """Return the prior under which what the belief has seen is most probable, near `default`.

    source : Bishop 2006, 3.5 (evidence approximation, type-2 maximum likelihood)
    """
    best, likeliest = belief, score(belief, belief.prior, default)
    for factor in FACTORS:
        for _ in range(SWEEPS):
            before = best
            for level, group in _dials(belief.prior):
                best, likeliest = _turned(best, likeliest, default, level, group, factor)
            if best is before:
                break
    return best.prior


def _turned(
    best: Belief, likeliest: float, default: Prior, level: str, group: str, factor: float
) -> tuple[Belief, float]:
    """Return the belief with one scale moved up, else down, as long as that is likelier."""
    for way in (factor, 1.0 / factor):
        before = best
        while True:
            candidate = best.under(_scaled(best.prior, level, group, way))
            reached = _penalised(candidate, default)
            if not reached > likeliest:  # also where it is no number
                break
            best, likeliest = candidate, reached
        if best is not before:
            break
    return best, likeliest


def score(belief: Belief, prior: Prior, default: Prior) -> float:
    """Return the log evidence of what the belief has seen under a prior, with the penalty."""
    return _penalised(belief.under(prior), default)


def _penalised(belief: Belief, default: Prior) -> float:
    return belief.log_evidence + _penalty(belief.prior, default)


def _dials(prior: Prior) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        if group in prior.groups:
            yield "deviation", group
            yield "shared", group


def _scaled(prior: Prior, level: str, group: str, factor: float) -> Prior:
    scales: Scales = getattr(prior, level)
    size = replace(scales, **{group: getattr(scales, group) * factor})
    return replace(prior, shared=size) if level == "shared" else replace(prior, deviation=size)


def _penalty(prior: Prior, default: Prior) -> float:
    ratios = [
        log(getattr(getattr(prior, level), group) / getattr(getattr(default, level), group))
        for level, group in _dials(prior)
    ]
    return -0.5 * sum((ratio / PENALTY_SD) ** 2 for ratio in ratios)
