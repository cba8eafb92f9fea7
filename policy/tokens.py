"""How long an answer will be: a belief about log output tokens, learned from every completion.

It is the same two-level regression as quality, because the same is true of it: some prompts ask for
long answers of every arm, some arms are long-winded. The mean of the log-normal is used, not its
median: dollars add up, medians do not. An arm that writes now twenty tokens and now four thousand
is not log-normal: its mean is held against what it has really written.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from policy.belief import Belief
from policy.evidence import FORGOTTEN
from policy.types import Arm, Floats

NOTHING_CACHED: Mapping[str, int] = {}
LEAST_CACHED = 1_024
"""So many tokens a prompt has that large providers promise to keep."""
RARELY_SD = 3.0
LONGEST_LOG = float(np.log(200_000.0))
SURE = 4.0
"""An arm's mean must be off by so many of its variances before any of that counts."""


def expected_output_tokens(
    belief: Belief, context: Floats, arms: Sequence[str], most: int | None = None
) -> Floats:
    """Return the mean output tokens of each arm, never above `most` (the caller's max_tokens).

    shapes : context (d,) -> (k,)
    source : mean of a log-normal, exp(m + s^2 / 2); `smearing` for what is none
    """
    said = belief.predict(context, arms)
    exponent = (
        said.mean + (np.diag(said.covariance) + belief.noise) / 2 + smearing(belief, tuple(arms))
    )
    tokens = np.maximum(np.expm1(np.minimum(exponent, LONGEST_LOG)), 1.0)
    return tokens if most is None else np.minimum(tokens, float(most))


def longest_output_tokens(
    belief: Belief, context: Floats, arms: Sequence[str], most: int | None = None
) -> Floats:
    """Return the output tokens to reserve for each arm: `most` if given, else a rare length.

    One answer in seven hundred is longer than three standard deviations above the mean. Of an arm
    that writes more than log-normals have for it that much more is reserved, of no arm less.

    shapes : context (d,) -> (k,)
    """
    if most is not None:
        return np.full(len(arms), float(most))
    said = belief.predict(context, arms)
    rarely = RARELY_SD * np.sqrt(np.diag(said.covariance) + belief.noise)
    exponent = said.mean + rarely + np.maximum(smearing(belief, tuple(arms)), 0.0)
    longest: Floats = np.maximum(np.expm1(np.minimum(exponent, LONGEST_LOG)), 1.0)
    return longest


@lru_cache(maxsize=1)
def smearing(belief: Belief, arms: tuple[str, ...]) -> Floats:
    """Return the logarithm of how much longer an arm's answers are on average than predicted.

    Predicted is the mean of log-normals in the contexts that it was asked in, which are taken as
    Gaussian. It is 0 within two standard errors, and drawn towards 0 beyond. The last is kept: one
    belief serves many prompts.

    shapes : (k,)
    source : smearing, Duan 1983, for each arm; positive-part shrinkage, James and Stein 1961, here
             from four variances on; variance of a log-normal mean, Cox's, in Zhou and Gao 1997
    """
    known, shared = [belief.of(arm) for arm in arms], belief.shared[0]
    weights = np.array([each.pull @ shared + each.offset for each in known])
    seen = [each.evidence for each in known]
    heard = np.maximum([each.weight for each in seen], FORGOTTEN)
    mean = np.einsum("kd,kd->k", weights, np.array([each.gram[-1] for each in seen])) / heard
    square = np.array([w @ e.gram @ w for w, e in zip(weights, seen, strict=True)]) / heard
    said = mean + (square - mean * mean + belief.noise) / 2
    beyond = np.log(np.maximum([each.exp for each in seen], FORGOTTEN) / heard) - said
    unsure = SURE * (belief.noise + belief.noise**2 / 2) / heard
    excess: Floats = beyond * (1.0 - unsure / np.maximum(beyond**2, unsure))
    return excess


def length_sd(belief: Belief, context: Floats, arms: Sequence[str]) -> Floats:
    """Return how far each arm's mean length on prompts like this one may be off, as a share of it.

    An answer to this very prompt counts as one, to another as far as it tells of this one. Before
    any answer arms are taken to differ by what the prior guesses of answers: how regular those of
    the known arms are, or how wild, says nothing of the others.

    shapes : context (d,) -> (k,)
    units  : the standard deviation of its logarithm
    source : variance of a Gaussian mean, Bishop 2006, eq. 2.142; answers are those that narrow the
             arm's own part to what it is in this context, eq. 3.59
    """
    unknown = float(context @ (context / belief.prior.deviation_precision))
    own = np.array([context @ belief.of(arm).covariance @ context for arm in arms])
    alike = np.maximum(1.0 / own - 1.0 / unknown, 0.0)
    return 1.0 / np.sqrt(1.0 / belief.prior.noise_guess + alike / belief.noise)


def log_tokens(output_tokens: float) -> float:
    """Return what the belief is told of an answer of this length.

    >>> log_tokens(0)
    0.0
    """
    return float(np.log1p(output_tokens))


def expected_cost_usd(
    arms: Sequence[Arm],
    input_tokens: float,
    output_tokens: Floats,
    cached_tokens: Mapping[str, int] = NOTHING_CACHED,
) -> Floats:
    """Return the expected dollars of each arm at its price of this moment.

    `cached_tokens` are those of the input that an arm's provider has in its cache, by arm: to ask
    that arm is cheaper by them, so that leaving a conversation's arm has a price. The rest of a
    prompt that is long enough for a cache is held to be written there.

    shapes : output_tokens (k,) -> (k,)
    """
    cached = [min(cached_tokens.get(arm.name, 0), input_tokens) for arm in arms]
    new = input_tokens if input_tokens >= LEAST_CACHED else 0.0
    each = zip(arms, output_tokens, cached, strict=True)
    return np.array(
        [arm.cost_usd(input_tokens, float(out), hit, max(new - hit, 0.0)) for arm, out, hit in each]
    )
