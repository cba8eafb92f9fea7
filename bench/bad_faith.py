"""What a tenant moves for the others that rates all of its own answers for the dearest arm.

A stream is drawn from a table with replacement. The others rate now and then what they got, by its
recorded score. The same streams are played without that tenant's malice, with it where every vote
teaches, and with it as the service comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan
from typing import Literal, NamedTuple

import numpy as np

from bench.options import Options
from bench.report import standard_error
from bench.router import ReplayRouter
from bench.tables import Ints, Table
from features.sketch import Sketch
from policy.turnout import FACTOR, Turnout
from policy.types import Floats

PROMPTS = 3_000
BAD, OTHERS = "bad", "others"
SHARE = 0.05
"""Of the requests, which are the bad one's."""
DELAY = 50
Heard = Literal["honest", "all", "shipped"]
IN_WORDS: dict[Heard, str] = {
    "honest": "rates as the others do",
    "all": "every vote teaches",
    "shipped": "as the service comes",
}
HEAD = f"""# When a tenant rates in bad faith

Made by `python -m bench bad-faith`. One tenant has {SHARE:.0%} of {PROMPTS:,} requests and rates
all of its own answers: up for the dearest arm, down for every other. The others rate some of
theirs, by thumbs of the recorded score, {DELAY} requests late. *Dearest* is that arm's share of the
others' requests in the second half, *reward* what those got, ± one standard error over paired
seeds. As the service comes, a tenant has at most {FACTOR:g} times its share of the answers of the
votes that teach."""


class Moved(NamedTuple):
    """The dearest arm's share of the others' requests and what those got; votes that taught."""

    dearest: float
    reward: float
    votes: float


@dataclass(frozen=True, eq=False)
class BadFaith:
    """A table, what the others rate of it, what a better answer is worth, and what is heard."""

    table: Table
    rated: float
    worth_usd: float
    heard: Heard

    @property
    def name(self) -> str:
        """Return the table's name and what is heard."""
        return f"{self.table.name}, {self.rated:.0%} rated, {IN_WORDS[self.heard]}"

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.table.sketches("text")

    def of(self, seed: int) -> Moved:
        """Return what came of one stream."""
        rng, table = np.random.default_rng([seed, 5]), self.table
        rows = rng.integers(len(table), size=PROMPTS)
        is_bad, speaks = rng.random(PROMPTS) < SHARE, rng.random(PROMPTS) < self.rated
        thumbs = (rng.random((PROMPTS, 1)) < table.scores[rows]).astype(float)
        dearest = int(table.cost_usd.mean(axis=0).argmax())
        if self.heard != "honest":
            speaks = speaks | is_bad
            thumbs[is_bad] = np.arange(len(table.arms)) == dearest
        thumbs[~speaks] = np.nan
        chosen, votes = self._played(seed, rows, np.where(is_bad, BAD, OTHERS).tolist(), thumbs)
        judged = ~is_bad & (np.arange(PROMPTS) >= PROMPTS // 2)
        reward = table.scores[rows, chosen][judged]
        return Moved(float((chosen == dearest)[judged].mean()), float(reward.mean()), votes)

    def _played(
        self, seed: int, rows: Ints, tenants: Sequence[str], thumbs: Floats
    ) -> tuple[Ints, float]:
        """Return the arms that were asked, and how many votes of the bad one taught."""
        table, turnout, chosen = self.table, Turnout(), np.zeros(len(rows), np.int64)
        options = Options(willingness_to_pay_usd=self.worth_usd)
        router = ReplayRouter(table, self.sketches, f"bad-{seed}", options)
        for t, row in enumerate(rows.tolist()):
            chosen[t] = router.serve(t, row, table.arms)
            turnout.answered(tenants[t])
            if (of := t - DELAY) >= 0:
                reward = float(thumbs[of, chosen[of]])
                if self.heard == "shipped" and turnout.is_full(tenants[of]):
                    reward = nan
                if not isnan(reward):
                    turnout.voted(tenants[of])
                router.rate(of, reward, t)
            router.retrain(t + 1)
        return chosen, turnout.votes.get(BAD, 0.0)


def page(found: Sequence[tuple[BadFaith, Sequence[Moved]]]) -> Iterator[str]:
    """Yield the lines of the page, one row for every stream."""
    yield HEAD
    yield ""
    yield (
        "| table | a better answer | others rate | the tenant | seeds | dearest | reward "
        "| its votes that taught |"
    )
    yield "|---|--:|--:|---|--:|--:|--:|--:|"
    for stream, runs in found:
        dearest, reward, votes = zip(*runs, strict=True)
        yield (
            f"| {stream.table.name} | ${stream.worth_usd:g} | {stream.rated:.0%} "
            f"| {IN_WORDS[stream.heard]} | {len(runs)} | {_told(dearest)} | {_told(reward)} "
            f"| {np.mean(votes):.0f} |"
        )


def _told(values: Sequence[float]) -> str:
    """Return the mean over seeds with its standard error."""
    return f"{np.mean(values):.3f} ± {standard_error(np.array(values)):.3f}"
