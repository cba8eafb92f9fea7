"""What the world does in one replay: prompts in order, what each arm brings, what is told of it.

A seed fixes the order of the prompts, whose outcome is told and every thumb. A scenario changes an
arm on the way: `price_cut` makes the dearest arm ten times cheaper for the middle third of what is
judged, `degraded` takes three tenths of the best arm's score from half time on without a word,
`new_arm` offers the best arm from half time on only, `new_arm_evals` with evals of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.options import HALF, Options
from bench.tables import Ints, Table
from policy.types import Arm, Floats

Bools = NDArray[np.bool_]

CUT = 0.1
LEFT_OF_QUALITY = 0.7
EVALS_OF_A_NEW_ARM = 300
FEWEST_ON_THE_WAY = 3
"""A change lasts a third at the least."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What is so from one round on.

    shapes : offered, quality, price (k,), the latter as factors of what the table recorded
    """

    start: int
    offered: Bools
    quality: Floats
    price: Floats
    changed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Evals:
    """Scores that are imported before round t.

    shapes : rows (m,); scores (m, k), NaN where an arm was not evaluated
    """

    t: int
    rows: Ints
    scores: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One replay's prompts in the order played; those before `judged_from` are only learned from.

    shapes : rows, changed (n,); scores, cost_usd, offered (n, k); told (n, k), NaN where not told
    """

    rows: Ints
    judged_from: int
    stages: tuple[Stage, ...]
    evals: tuple[Evals, ...]
    scores: Floats
    cost_usd: Floats
    told: Floats
    offered: Bools
    changed: Bools

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Return the first round of every stage and the one after its last."""
        starts = [*(each.start for each in self.stages), len(self.rows)]
        return list(pairwise(starts))

    def factors(self) -> tuple[Floats, Floats]:
        """Return how much of the recorded quality and price is in force, (n, k) each."""
        n = len(self.rows)
        return _spread(self.stages, "quality", n), _spread(self.stages, "price", n)

    def judged(self) -> "Course":
        """Return the rounds that count."""
        first = self.judged_from
        since = slice(first, None)
        stages = [replace(each, start=max(each.start - first, 0)) for each in self.stages]
        return replace(
            self,
            judged_from=0,
            stages=tuple(stages),
            **{
                name: getattr(self, name)[since]
                for name in ("rows", "scores", "cost_usd", "told", "offered", "changed")
            },
        )


def lay(table: Table, options: Options, seed: int) -> Course:
    """Return the course of one replay.

    raises : ValueError if too few are left to judge, an arm that is named is none of the table, a
             new arm would be the only one, or what is asked for contradicts itself
    """
    _refuse_what_cannot_be(table, options)
    warm, learned, judged = order(table, options, seed)
    if options.scenario != "steady" and len(judged) < FEWEST_ON_THE_WAY:
        left = f"{len(judged)} prompts to judge are too few for scenario {options.scenario!r}"
        raise ValueError(f"{left}; it needs {FEWEST_ON_THE_WAY}")
    rows = np.concatenate([learned, judged])
    stages = _stages(table, options, len(learned), len(rows))
    quality, price, offered = (
        _spread(stages, name, len(rows)) for name in ("quality", "price", "offered")
    )
    scores = table.scores[rows] * quality
    return Course(
        rows=rows,
        judged_from=len(learned),
        stages=stages,
        evals=_evals(table, options, warm, rows, stages),
        scores=scores,
        cost_usd=table.cost_usd[rows] * price,
        told=_told(scores, options, seed),
        offered=offered.astype(bool),
        changed=_spread(stages, "changed", len(rows)).astype(bool),
    )


def order(table: Table, options: Options, seed: int) -> tuple[Ints, Ints, Ints]:
    """Return the prompts imported as evals, those only learned from, and those judged."""
    rng = np.random.default_rng(seed)
    first, rest = rng.permutation(table.learning), rng.permutation(len(table) - table.learning)
    rest = rest + table.learning
    if options.learn_on == HALF:
        first, rest = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    warm = np.concatenate([first, rest])[: options.warm]
    learned, judged = first[len(warm) :], rest[max(len(warm) - len(first), 0) :]
    if not len(judged):
        raise ValueError(f"{options.warm} prompts as evals leave none of {len(table)} to judge")
    return warm, learned, judged


def prices(arms: Sequence[Arm], stage: Stage) -> list[Arm]:
    """Return the arms offered in a stage at its prices."""
    return [
        replace(
            arm,
            input_usd_per_mtok=arm.input_usd_per_mtok * float(factor),
            output_usd_per_mtok=arm.output_usd_per_mtok * float(factor),
        )
        for arm, factor, offered in zip(arms, stage.price, stage.offered, strict=True)
        if offered
    ]


def concerned(table: Table, options: Options) -> int:
    """Return the index of the arm a scenario changes: the dearest, else the best on average."""
    if options.concerned:
        return table.names.index(options.concerned)
    by = table.cost_usd if options.scenario == "price_cut" else table.scores
    return int(by.mean(axis=0).argmax())


def _refuse_what_cannot_be(table: Table, options: Options) -> None:
    kind, _, fixed = options.policy.partition(":")
    if kind == "fixed":
        _known(table, "policy", fixed)
    if options.concerned:
        _known(table, "concerned", options.concerned)
    if options.baseline:
        _known(table, "baseline", options.baseline)
    if len(given := options.dials) > 1:
        raise ValueError(f"{' and '.join(given)} each say what is paid: leave out all but one")
    if options.baseline and options.quality_floor is None:
        raise ValueError(f"baseline is {options.baseline!r}; only a floor of quality has one")
    if options.concerned and options.scenario == "steady":
        raise ValueError(f"concerned is {options.concerned!r}; under 'steady' no arm changes")
    if options.scenario.startswith("new_arm") and len(table.arms) == 1:
        raise ValueError(f"scenario is {options.scenario!r}; it needs two arms, not one")


def _known(table: Table, option: str, arm: str) -> None:
    if arm not in table.names:
        known = ", ".join(table.names)
        raise ValueError(f"{option} is {arm!r}; it must be one of {known}")


def _stages(table: Table, options: Options, learned: int, n: int) -> tuple[Stage, ...]:
    k = len(table.arms)
    usual = Stage(0, np.ones(k, bool), np.ones(k), np.ones(k))
    if options.scenario == "steady":
        return (usual,)
    it = np.arange(k) == concerned(table, options)
    half, thirds = learned + (n - learned) // 2, (n - learned) // 3
    match options.scenario:
        case "price_cut":
            cut = replace(usual, start=learned + thirds, price=np.where(it, CUT, 1.0), changed=True)
            return usual, cut, replace(usual, start=learned + 2 * thirds)
        case "degraded":
            worse = np.where(it, LEFT_OF_QUALITY, 1.0)
            return usual, replace(usual, start=half, quality=worse, changed=True)
        case _:
            return replace(usual, offered=~it), replace(usual, start=half, changed=True)


def _evals(
    table: Table, options: Options, warm: Ints, rows: Ints, stages: Sequence[Stage]
) -> tuple[Evals, ...]:
    """Return the import at the start and, if the scenario has one, that of the new arm's scores."""
    found = []
    if len(warm):
        known = np.where(stages[0].offered, table.scores[warm], np.nan)
        found.append(Evals(0, warm, known))
    if options.scenario == "new_arm_evals":
        joins = stages[1].start
        asked = rows[:joins][-EVALS_OF_A_NEW_ARM:]
        of_it = np.where(stages[0].offered, np.nan, table.scores[asked])
        found.append(Evals(joins, asked, of_it))
    return tuple(found)


def _told(scores: Floats, options: Options, seed: int) -> Floats:
    """Return the reward each arm would be given for each prompt, NaN where none is, (n, k)."""
    rng, n = np.random.default_rng([seed, 1]), len(scores)
    if options.binary:
        scores = (rng.random((n, 1)) < scores).astype(float)
    unsatisfied = options.feedback_unsatisfied
    silent = options.feedback if unsatisfied is None else unsatisfied
    told = rng.random((n, 1)) < scores * options.feedback + (1.0 - scores) * silent
    return np.where(told, scores, np.nan)


def _spread(stages: Sequence[Stage], name: str, n: int) -> Floats:
    """Return a stage's values for every round it lasts, (n,) or (n, k)."""
    ends = [*(each.start for each in stages[1:]), n]
    lasts = [end - each.start for each, end in zip(stages, ends, strict=True)]
    values: Floats = np.repeat([getattr(each, name) for each in stages], lasts, axis=0)
    return values
