"""What happens when an arm becomes worse without a word, and when it is as before again.

A stream is drawn from a table with replacement. From the first mark on, the best arm's scores are
.3 lower; from the second on they are as recorded.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from bench.course import Bools
from bench.options import START_S, Options
from bench.router import ReplayRouter
from bench.tables import Table
from bench.yardsticks import deserved
from features.sketch import Sketch
from policy.types import Floats

DROP = 0.3
STEADY, WORSE, HEALED = 1_500, 1_500, 4_500
PACE_S = 60
WINDOW = 200
LITTLE = 0.1
HEAD = """# When an arm changes

Made by `python -m bench drift`. Every answer is rated with its recorded score. A prompt comes
every minute. After 1,500 the best arm's scores are .3 lower, after 3,000 they are as before. Its
share is over 200 prompts; "rated until below 10 %" counts its own rated answers since the drop;
*deserved* is its share while worse under full information."""


@dataclass(frozen=True, slots=True)
class Drifted:
    """One stream: shares of the arm that changed, rewards by part, and the alarms of all arms."""

    share_before: float
    rated_until_little: float
    share_worse: float
    share_healed: float
    prompts_until_back: float
    rewards: list[float]
    alarms: list[int]


@dataclass(frozen=True, eq=False)
class DriftStream:
    """A table whose best arm changes on the way, or never, played for every seed."""

    table: Table
    drop: float = DROP

    @property
    def name(self) -> str:
        """Return the name of the table and what happens to it."""
        return f"{self.table.name}, {'best arm less ' + str(self.drop) if self.drop else 'steady'}"

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.table.sketches("both")

    @cached_property
    def worse(self) -> Table:
        """Return the table while its best arm is worse."""
        scores = self.table.scores.copy()
        scores[:, self.best] = np.maximum(scores[:, self.best] - self.drop, 0.0)
        return replace(self.table, scores=scores)

    @cached_property
    def best(self) -> int:
        """Return the place of the arm that changes."""
        return int(self.table.scores.mean(axis=0).argmax())

    @cached_property
    def deserved(self) -> float:
        """Return the share of the arm under full information while it is worse."""
        return deserved(self.worse, self.sketches, self.best).share

    def of(self, seed: int) -> Drifted:
        """Return what became of the arm in one stream."""
        rng, table = np.random.default_rng([seed, 3]), self.table
        router = ReplayRouter(table, self.sketches, f"drift-{seed}", Options())
        n = STEADY + WORSE + HEALED
        chosen, reward = np.zeros(n, np.int64), np.zeros(n)
        for t, row in enumerate(rng.integers(len(table), size=n).tolist()):
            arm = chosen[t] = router.serve(t, row, table.arms)
            now = self.worse if STEADY <= t < STEADY + WORSE else table
            reward[t] = float(now.scores[row, arm])
            router.rate(t, float(reward[t]), t * PACE_S)
            if t < STEADY:
                router.retrain(t + 1)
        return shown(chosen == self.best, reward, _alarms(router))


def _alarms(router: ReplayRouter) -> list[float]:
    """Return after which prompt of the stream each change of an arm was found."""
    watches = router.learned.watches.values()
    return [(change.at_s - START_S) / PACE_S for watch in watches for change in watch.changes]


def shown(taken: Bools, reward: Floats, changes: Sequence[float]) -> Drifted:
    """Return a stream as told: which prompts the arm took, what was earned, when alarms came."""
    marks = (0, STEADY, STEADY + WORSE, len(taken))
    parts = [slice(start, end) for start, end in pairwise(marks)]
    worse, healed = taken[parts[1]], taken[parts[2]]
    before = float(taken[parts[0]][-WINDOW:].mean())
    little = _first(_moving(worse) < LITTLE)
    back = _first(_moving(healed) > before / 2)
    rated = float(worse[: int(little)].sum()) if np.isfinite(little) else np.inf
    return Drifted(
        share_before=before,
        rated_until_little=rated,
        share_worse=float(worse[-WINDOW:].mean()),
        share_healed=float(healed[-WINDOW:].mean()),
        prompts_until_back=back,
        rewards=[float(reward[part].mean()) for part in parts],
        alarms=[sum(part.start <= t < part.stop for t in changes) for part in parts],
    )


def _moving(taken: Bools) -> Floats:
    return np.convolve(taken, np.ones(WINDOW) / WINDOW, mode="valid")


def _first(where: Bools) -> float:
    """Return how many prompts it took until the window was so, infinite if it never was."""
    return float(where.argmax() + WINDOW) if where.any() else np.inf


def page(streams: Sequence[tuple[DriftStream, Sequence[Drifted]]]) -> Iterator[str]:
    """Yield the lines of the page, one row for every stream."""
    yield HEAD
    yield ""
    yield (
        "| stream | seeds | share before | rated until below 10 % (worst) | share when worse "
        "| deserved | share at the end | reward before, worse, healed "
        "| alarms before, worse, healed |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for stream, runs in streams:
        rated = [each.rated_until_little for each in runs]
        until = f"{np.median(rated):.0f} ({max(rated):.0f})" if stream.drop else ""
        rewards = np.mean([each.rewards for each in runs], axis=0)
        alarms = np.mean([each.alarms for each in runs], axis=0)
        yield (
            f"| {stream.name} | {len(runs)} | {_mean(each.share_before for each in runs)} "
            f"| {until} | {_mean(each.share_worse for each in runs)} | {stream.deserved:.2f} "
            f"| {_mean(each.share_healed for each in runs)} "
            f"| {', '.join(f'{each:.3f}' for each in rewards)} "
            f"| {', '.join(f'{each:.2f}' for each in alarms)} |"
        )


def _mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.2f}"
