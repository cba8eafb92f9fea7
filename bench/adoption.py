"""What happens when an arm is added: how soon a good one is used, and what a useless one costs.

A stream is drawn from a table with replacement. From the mark on, one more arm is offered, of which
nothing is known: the best of the table, or one that fails always at ten times the dearest's price.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.options import Options
from bench.router import ReplayRouter
from bench.tables import Table
from bench.yardsticks import Deserved, deserved
from features.sketch import Sketch
from policy.types import Floats

BEFORE, AFTER = 1_500, 1_500
USUAL = 500
"""Rated decisions within which a new arm is to have the share it deserves."""
WINDOW = 200
USELESS = "useless"
DEARER = 10.0
HEAD = f"""# When an arm is added

Made by `python -m bench adoption`. Every answer is rated with its recorded score. After {BEFORE:,}
prompts one more arm is offered, without evals and without a hint. *Deserved* is its share under
full information, *between* the least and the most of routers with other penalties that bring as
much, within a standard error. Shares are over {WINDOW} prompts; {AFTER:,} follow in all. A useless
arm never satisfies and costs ten times what the dearest does; the budget is between the prices of
the cheapest and the dearest. *Of spend* is what part of the dollars went to it since it came."""


@dataclass(frozen=True, slots=True)
class Added:
    """One stream: the new arm's share soon, by when it should be used, and at the end."""

    shares: tuple[float, float, float]
    reward: tuple[float, float]
    of_spend: float


@dataclass(frozen=True, eq=False)
class Addition:
    """A table to which its best arm is added on the way, or a useless one, under a budget."""

    table: Table
    is_useless: bool = False

    @property
    def name(self) -> str:
        """Return the name of the table and of what is added."""
        return f"{self.table.name}, {'a useless arm' if self.is_useless else 'the best arm'}"

    @cached_property
    def played(self) -> Table:
        """Return the table with every arm that is ever offered; the new one is the last."""
        table = self.table
        if self.is_useless:
            return _with_useless(table)
        best = int(table.scores.mean(axis=0).argmax())
        order = [*(i for i in range(len(table.arms)) if i != best), best]
        return replace(
            table,
            arms=tuple(table.arms[i] for i in order),
            scores=table.scores[:, order],
            cost_usd=table.cost_usd[:, order],
            output_tokens=table.output_tokens[:, order],
        )

    @cached_property
    def options(self) -> Options:
        """Return how it is played: a useless arm is judged by what it takes of a budget."""
        usd = np.sort(self.table.cost_usd.mean(axis=0))
        middle = float(np.sqrt(usd[0] * usd[-1]))
        return Options(budget_usd_per_request=middle) if self.is_useless else Options()

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.played.sketches("both")

    @cached_property
    def deserved(self) -> Deserved:
        """Return the new arm's share of the prompts under full information."""
        if self.is_useless:
            return Deserved()
        return deserved(self.played, self.sketches, len(self.played.arms) - 1)

    def of(self, seed: int) -> Added:
        """Return what became of the new arm in one stream."""
        rng, table = np.random.default_rng([seed, 4]), self.played
        router = ReplayRouter(table, self.sketches, f"added-{seed}", self.options)
        n, new = BEFORE + AFTER, len(table.arms) - 1
        chosen, reward, usd = np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
        for t, row in enumerate(rng.integers(len(table), size=n).tolist()):
            offered = table.arms[:new] if t < BEFORE else table.arms
            arm = chosen[t] = router.serve(t, row, offered)
            reward[t], usd[t] = table.scores[row, arm], table.cost_usd[row, arm]
            router.rate(t, float(reward[t]), t)
            router.retrain(t + 1)
        taken, since = (chosen == new)[BEFORE:], usd[BEFORE:]
        return Added(
            shares=_shares(taken.astype(float)),
            reward=(float(reward[:BEFORE].mean()), float(reward[BEFORE + USUAL :].mean())),
            of_spend=float(since[taken].sum() / since.sum()),
        )


def _with_useless(table: Table) -> Table:
    dearest = int(table.cost_usd.mean(axis=0).argmax())
    like = table.arms[dearest]
    useless = replace(
        like,
        name=USELESS,
        input_usd_per_mtok=DEARER * like.input_usd_per_mtok,
        output_usd_per_mtok=DEARER * like.output_usd_per_mtok,
    )
    return replace(
        table,
        arms=(*table.arms, useless),
        scores=np.column_stack([table.scores, np.zeros(len(table))]),
        cost_usd=np.column_stack([table.cost_usd, DEARER * table.cost_usd[:, dearest]]),
        output_tokens=np.column_stack([table.output_tokens, table.output_tokens[:, dearest]]),
    )


def _shares(taken: Floats) -> tuple[float, float, float]:
    """Return the share in the first prompts, after those by which it should be used, at the end."""
    soon, usual, late = taken[:WINDOW], taken[USUAL : USUAL + WINDOW], taken[-WINDOW:]
    return float(soon.mean()), float(usual.mean()), float(late.mean())


def page(found: Sequence[tuple[Addition, Sequence[Added]]]) -> Iterator[str]:
    """Yield the lines of the page, one row for every table and kind of arm."""
    yield HEAD
    yield ""
    yield (
        f"| stream | seeds | deserved (between) | share in the first {WINDOW} "
        f"| after {USUAL} (least) | at the end | reward before, after | of spend (most) |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for addition, runs in found:
        soon, usual, late = zip(*(each.shares for each in runs), strict=True)
        before, after = np.mean([each.reward for each in runs], axis=0)
        spend, due = [each.of_spend for each in runs], addition.deserved
        yield (
            f"| {addition.name} | {len(runs)} | {due.share:.2f} ({due.least:.2f}, {due.most:.2f}) "
            f"| {np.mean(soon):.2f} | {np.mean(usual):.2f} ({min(usual):.2f}) "
            f"| {np.mean(late):.2f} "
            f"| {before:.3f}, {after:.3f} | {np.mean(spend):.2%} ({max(spend):.2%}) |"
        )
