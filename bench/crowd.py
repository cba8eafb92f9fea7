"""More arms than a table has: made of recorded ones, so that a catalogue of hundreds can be played.

A made arm answers as one recorded arm does on most prompts and as another on the rest, at a price
of its own. Its prompts are as hard, and what its neighbours are good at is as related, as in what
was recorded; none is better on average than the best mixture of what was recorded.
"""

from dataclasses import replace

import numpy as np

from bench.tables import Table
from policy.types import Arm

FAITHFUL = 0.7
"""Share of the prompts on which a made arm answers as the one it is made of."""
PRICES = (0.5, 2.0)


def crowded(table: Table, arms: int) -> Table:
    """Return the table with made arms added to the recorded ones until there are so many.

    raises : ValueError if it has more already, or one that is called as a made one would be
    """
    n, k = table.scores.shape
    if arms < k:
        raise ValueError(f"{table.name} has {k} arms already; ask for as many or more, not {arms}")
    rng = np.random.default_rng(0)
    parent = np.arange(arms - k) % k
    faithful = rng.random((n, arms - k)) < FAITHFUL
    taken = np.where(faithful, parent, rng.integers(k, size=(n, arms - k)))
    price = np.exp(rng.uniform(np.log(PRICES[0]), np.log(PRICES[1]), size=arms - k))
    rows = np.arange(n)[:, None]
    made = [
        _made(table.arms[each], i, float(factor))
        for i, (each, factor) in enumerate(zip(parent, price, strict=True))
    ]
    if taken_names := {each.name for each in made} & {*table.names}:
        raise ValueError(f"a made arm would be called {taken_names.pop()!r}, as one is: rename it")
    return replace(
        table,
        name=f"{table.name} with {arms} arms",
        arms=(*table.arms, *made),
        scores=np.hstack([table.scores, table.scores[rows, taken]]),
        cost_usd=np.hstack([table.cost_usd, table.cost_usd[:, parent] * price]),
        output_tokens=np.hstack([table.output_tokens, table.output_tokens[:, parent]]),
    )


def _made(parent: Arm, place: int, factor: float) -> Arm:
    return replace(
        parent,
        name=f"{parent.name} #{place}",
        input_usd_per_mtok=parent.input_usd_per_mtok * factor,
        output_usd_per_mtok=parent.output_usd_per_mtok * factor,
    )
