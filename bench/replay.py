"""Replay a table against a policy: it sees the outcome of the arm it chose, and nothing else."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from bench.category_beta import CategoryBeta
from bench.course import Course, Evals, lay, prices
from bench.options import Options
from bench.peers.player import PREFIX, PeerPlayer
from bench.router import ReplayRouter
from bench.tables import Ints, Table
from features.sketch import Sketch
from jobs.learned import Learned
from policy.types import Arm, Floats
from storage.records import Retrain

TELL_EVERY_S = 5.0


class Player(Protocol):
    """Who chooses the arms of a replay: the service's own router, a baseline, a peer.

    `decide_s` and `update_s` are the seconds spent so far on choosing and on learning.
    """

    decide_s: float
    update_s: float

    def choose(self, t: int, row: int, arms: Sequence[Arm]) -> str:
        """Return the arm that serves the prompt of this row, the t-th of the stream."""
        ...

    def settle(self, t: int, cost_usd: float) -> None:
        """Learn what the answer of round t cost."""
        ...

    def rate(self, t: int, reward: float, now: int) -> None:
        """Learn, at round `now`, what the decision of round t was worth; NaN says nothing."""
        ...

    def import_evals(self, evals: Evals, arms: Sequence[Arm]) -> None:
        """Learn the arms' scores on some prompts, while these arms are offered."""
        ...

    def retrain(self, t: int, *, asked: bool = False) -> Retrain | None:
        """Return the retrain that was run now, None if none is due or asked for."""
        ...


@dataclass(slots=True)
class Played:
    """What one policy did with one seed, in the order played; only the rounds that are judged.

    `retrains` has one line per retrain, beginning with "promoted" or "refused".

    shapes : rows, arms, reward, cost_usd, decide_s, update_s (n,)
    """

    rows: Ints
    arms: Ints
    reward: Floats
    cost_usd: Floats
    decide_s: Floats
    update_s: Floats
    retrains: list[str] = field(default_factory=list)

    @classmethod
    def none(cls, rows: Ints) -> "Played":
        """Return what is known of these rounds before any is played."""
        reward, cost_usd, decide_s, update_s = np.zeros((4, len(rows)))
        return cls(rows, np.zeros(len(rows), np.int64), reward, cost_usd, decide_s, update_s)

    def since(self, t: int) -> "Played":
        """Return the rounds from t on."""
        return Played(
            self.rows[t:],
            self.arms[t:],
            self.reward[t:],
            self.cost_usd[t:],
            self.decide_s[t:],
            self.update_s[t:],
            self.retrains,
        )


def play(table: Table, sketches: Sequence[Sketch], options: Options, seed: int) -> Played:
    """Return what the policy does with the table's prompts in the order of this seed."""
    course = lay(table, options, seed)
    player, played = _player(table, sketches, options, seed), Played.none(course.rows)
    stages, imports = {each.start: each for each in course.stages}, {e.t: e for e in course.evals}
    arms: Sequence[Arm] = ()
    for t, row in _telling(course.rows.tolist(), f"{table.name}, {options.policy}, seed {seed}"):
        if t in stages:
            arms = prices(table.arms, stages[t])
        if t in imports:
            player.import_evals(imports[t], arms)
            _note(player, t, played, asked=True)
        arm = played.arms[t] = table.names.index(player.choose(t, row, arms))
        played.reward[t], played.cost_usd[t] = course.scores[t, arm], course.cost_usd[t, arm]
        _learn(player, course, played, t, options.delay)
        played.decide_s[t], played.update_s[t] = player.decide_s, player.update_s
        _note(player, t + 1, played)
    for so_far in (played.decide_s, played.update_s):
        so_far[1:] = np.diff(so_far)
    return played.since(course.judged_from)


def _telling(rows: list[int], what: str) -> Iterator[tuple[int, int]]:
    """Yield the rows with their places, and tell now and then how far a long stream has come."""
    tell_at = time.monotonic() + TELL_EVERY_S
    for t, row in enumerate(rows):
        yield t, row
        if time.monotonic() >= tell_at:
            told = f"{what}: {t + 1} of {len(rows)} prompts"
            print(told, file=sys.stderr, flush=True)
            tell_at = time.monotonic() + TELL_EVERY_S


def learned_from(
    table: Table, sketches: Sequence[Sketch], options: Options, rows: Ints, seed: int
) -> Learned:
    """Return what the router has learned when it has served these prompts, each rated at once."""
    router = ReplayRouter(table, sketches, str(seed), options)
    for t, row in enumerate(rows.tolist()):
        arm = router.serve(t, row, table.arms)
        router.rate(t, float(table.scores[row, arm]), t)
        router.retrain(t + 1)
    return router.learned


def _learn(player: Player, course: Course, played: Played, t: int, delay: int) -> None:
    """Tell the player what this round's answer cost, and what one `delay` rounds ago was worth."""
    player.settle(t, float(played.cost_usd[t]))
    if t >= delay:
        rated = t - delay
        player.rate(rated, float(course.told[rated, played.arms[rated]]), t)


def _player(table: Table, sketches: Sequence[Sketch], options: Options, seed: int) -> Player:
    if options.policy == CategoryBeta.name:
        return CategoryBeta(table, options, seed)
    if options.policy.startswith(PREFIX):
        return PeerPlayer(table, options, seed)
    return ReplayRouter(table, sketches, str(seed), options)


def _note(player: Player, t: int, played: Played, *, asked: bool = False) -> None:
    """Retrain if that is due, or asked for, and keep what came of it."""
    done = player.retrain(t, asked=asked)
    if done is not None:
        verdict = "promoted" if done.promoted else "refused"
        played.retrains.append(f"{verdict} after {t}: {done.reason}")
