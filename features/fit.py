"""Fit a feature space to a team's own prompts: the only file here that needs scikit-learn.

No feedback is used, only which words occur together, so a fit cannot flatter the policy that made
the log. It is deterministic: the same sketches give the same bytes.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, diags
from sklearn.utils.extmath import randomized_svd

from features.sketch import BUCKETS, Sketch
from features.space import TAGS, WORDS, Space, code
from policy.types import Floats

FIT_PROMPTS = 20_000
PROMPTS_PER_DIRECTION = 4
FEWEST_PROMPTS = 20
SPREAD = 1e-6
MOST_TAGS = 512
HARDLY_ANY = 0.3


def fit(sketches: Sequence[Sketch], version: int) -> Space:
    """Return a space fitted to the newest prompts, each of which should be given once.

    raises : ValueError with fewer than FEWEST_PROMPTS prompts
    source : latent semantic analysis, Deerwester et al. 1990; Halko et al. 2011 for the SVD
    """
    if len(sketches) < FEWEST_PROMPTS:
        raise ValueError(f"a space needs {FEWEST_PROMPTS} prompts to fit on, not {len(sketches)}")
    newest = sketches[-FIT_PROMPTS:]
    facts = np.stack([sketch.facts for sketch in newest])
    buckets, rarity, weighted = _weighted(newest)
    directions = _directions(weighted)
    pointing = weighted @ directions
    return Space(
        version,
        facts.mean(axis=0),
        facts.std(axis=0) + 0.05 * np.abs(facts).mean(axis=0) + SPREAD,
        buckets,
        rarity.astype(np.float32),
        directions.astype(np.float32),
        pointing.mean(axis=0),
        _sd(pointing),
        *_tags(newest),
    )


def _weighted(sketches: Sequence[Sketch]) -> tuple[np.ndarray, Floats, csr_matrix]:
    """Return the buckets of two prompts or more, their rarity, and the weighted unit rows."""
    lengths = [len(sketch.buckets) for sketch in sketches]
    columns = np.concatenate([sketch.buckets for sketch in sketches])
    counts = np.concatenate([sketch.counts for sketch in sketches])
    present = np.bincount(columns, minlength=BUCKETS)
    buckets = np.flatnonzero(present > 1)  # what occurs once occurs together with nothing
    rarity = np.log((1 + len(sketches)) / (1 + present[buckets])) + 1.0
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    damped = 1.0 + np.log(counts, dtype=float)  # the logarithm of a byte would be half a float
    table = csr_matrix((damped, columns, bounds), shape=(len(sketches), BUCKETS))
    weighted = table[:, buckets].multiply(rarity).tocsr()
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return buckets.astype(np.uint16), rarity, (diags(1.0 / np.maximum(norms, SPREAD)) @ weighted)


def _directions(weighted: csr_matrix) -> Floats:
    """Return the directions of greatest spread, padded with zeros while prompts are few."""
    n, v = weighted.shape
    k = min(WORDS, n // PROMPTS_PER_DIRECTION, v - 1)
    directions = np.zeros((v, WORDS))
    if k >= 1:
        directions[:, :k] = randomized_svd(weighted, k, n_iter=4, random_state=0)[2].T
    return directions


def _sd(pointing: Floats) -> Floats:
    """Return one standard deviation for all, so that a direction counts as far as prompts spread.

    What prompts are about lies in the first few; at unit spread the others would drown it.

    shapes : pointing (n, WORDS) to (WORDS,)
    """
    variance = pointing.var(axis=0)
    in_use = max(1, np.count_nonzero(variance > SPREAD**2))
    return np.full(WORDS, np.sqrt(variance.sum() / in_use) + SPREAD)


def _tags(sketches: Sequence[Sketch]) -> tuple[tuple[str, ...], Floats]:
    """Return the task tags and where each points: to a slot of its own, if they are few.

    With more tags than slots the directions are those that tell the most prompts apart, and a tag
    that has hardly any part in them points where its code does.
    """
    seen = Counter(tag for sketch in sketches for tag in sketch.tags)
    tags = tuple(sorted(tag for tag, _ in seen.most_common(MOST_TAGS)))
    if len(tags) <= TAGS:
        return tags, np.eye(len(tags), TAGS)
    place = {tag: i for i, tag in enumerate(tags)}
    together = np.zeros((len(tags), len(tags)))
    for sketch in sketches:
        columns = [place[tag] for tag in sketch.tags if tag in place]
        together[np.ix_(columns, columns)] += 1.0
    directions: Floats = np.linalg.eigh(together)[1][:, : -TAGS - 1 : -1]
    rare = np.linalg.norm(directions, axis=1) < HARDLY_ANY
    codes = np.array([code(tag) for tag in tags])
    return tags, np.where(rare[:, None], codes, directions)
