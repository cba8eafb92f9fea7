"""Answers of wild lengths: an arm that says little or very much, as with tools or long thoughts.

Every second arm, by what it costs, answers one prompt in eight at seven times its recorded length
and the others at a seventh: about as much in all, and nothing in a prompt tells which.
"""

from dataclasses import replace

import numpy as np

from bench.tables import Table
from policy.types import TOKENS_PER_MTOK

RARELY = 1 / 8
TIMES = 7.0


def uneven(table: Table) -> Table:
    """Return the table with every second arm's answers much longer or much shorter than recorded.

    Scores stay; dollars follow the tokens at the arm's price.

    raises : ValueError if it has one arm only
    """
    n, k = table.scores.shape
    if k == 1:
        raise ValueError(f"{table.name} has one arm, and every second one is uneven; it needs two")
    concerned = np.zeros(k, bool)
    concerned[np.argsort(table.cost_usd.mean(axis=0))[1::2]] = True
    at_length = np.random.default_rng(0).random((n, k)) < RARELY
    factor = np.where(concerned, np.where(at_length, TIMES, 1 / TIMES), 1.0)
    tokens = np.rint(table.output_tokens * factor).astype(np.int64)
    usd = np.array([arm.output_usd_per_mtok for arm in table.arms]) / TOKENS_PER_MTOK
    cost_usd = np.maximum(table.cost_usd + (tokens - table.output_tokens) * usd, 0.0)
    name = f"{table.name} with uneven lengths"
    return replace(table, name=name, output_tokens=tokens, cost_usd=cost_usd)
