"""Is what the log says of other policies true? Logs of the service's own code, truths known.

Prompts are drawn from a table with replacement, so the value of a policy over the whole table is
what it has where the prompts come from, and an interval should hold it 95 times of 100.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.ledger import Ledger
from bench.options import Options
from bench.router import ReplayRouter
from bench.tables import Table
from features.fit import fit
from features.sketch import Sketch
from jobs.judge import Answers, answers, compared, logged
from jobs.learned import Learned
from jobs.retrain import FEWEST_ESS, by_value, contest
from policy.evaluate import LoggedRounds, Value, difference, doubly_robust, ess, snips
from policy.types import Floats
from storage.records import Round

HEAD = """# What the log says of other policies, and what is true

Made by `python -m bench ope`. Each log is written by the service's own decision, fold and retrain,
and the newest 30 % of it are judged, as a retrain does. Intervals are of 95 %. A planted candidate
is the incumbent, but takes now and then the arm that is really best, or worst, for the prompt. It
is promoted by value where the effective sample size (ESS) allows."""
PLANTED = {"2 points better": 0.02, "2 points worse": -0.02, "5 points worse": -0.05}


@dataclass(frozen=True, slots=True)
class Estimated:
    """What one estimator said of one target in one run, beside the truth."""

    target: str
    estimator: str
    value: Value
    truth: float
    ess: float

    @property
    def held(self) -> bool:
        """Return whether the interval holds the truth; one that knows nothing excludes nothing."""
        low, high = self.value.interval
        return not (self.truth < low or self.truth > high)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate did with one planted candidate in one run."""

    planted: str
    ess: float
    promoted: bool


@dataclass(frozen=True, slots=True)
class OpeRun:
    """One run."""

    estimated: list[Estimated]
    judged: list[Judged]


@dataclass(frozen=True, eq=False)
class Study:
    """A table, the rule its logs are written under, and of how many prompts each is made."""

    table: Table
    policy: str
    rounds: int

    @property
    def name(self) -> str:
        """Return the name of the table and of the rule."""
        return f"{self.table.name}, {self.policy}"

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.table.sketches("text")

    def of(self, seed: int) -> OpeRun:
        """Return what the estimators and the gate say of the log of this seed, and the truths."""
        log = written(self, seed)
        incumbent = log.latest_policy()
        space = fit([Sketch.from_bytes(each.sketch) for each in log.recent(self.rounds)], 99)
        rounds, after, before, _ = contest(log, incumbent, space)
        world = _World.around(self, log, rounds, (after, before))
        return OpeRun(list(_estimates(world)), [_verdict(world, name) for name in PLANTED])


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    """The newest rounds of a log with two policies' answers, there and on the whole table.

    shapes : scores of the rounds (n, k), population of the table (N, k), arms in the order of both
    """

    rounds: Sequence[Round]
    arms: Sequence[str]
    theirs: Answers
    ours: Answers
    everywhere: tuple[Floats, Floats]
    scores: Floats
    population: Floats

    @classmethod
    def around(
        cls, study: Study, log: Ledger, rounds: Sequence[Round], policies: tuple[Learned, Learned]
    ) -> "_World":
        table = study.table
        arms = sorted(table.names)
        columns = [table.names.index(arm) for arm in arms]
        rows = [log.row(each.decision) for each in rounds]
        asked = [_asked(rounds[0], row, sketch) for row, sketch in enumerate(study.sketches)]
        theirs, ours = (answers(rounds, policy, arms) for policy in policies)
        after, before = (answers(asked, policy, arms).target for policy in policies)
        population = table.scores[:, columns]
        return cls(rounds, arms, theirs, ours, (after, before), population[rows], population)


def written(study: Study, seed: int) -> Ledger:
    """Return the log of one run: every answer gets a thumb, early retrains come when due."""
    rng, table = np.random.default_rng([seed, 2]), study.table
    router = ReplayRouter(table, study.sketches, f"ope-{seed}", Options(policy=study.policy))
    for t, row in enumerate(rng.integers(len(table), size=study.rounds).tolist()):
        arm = router.serve(t, row, table.arms)
        router.rate(t, float(rng.random() < table.scores[row, arm]), t)
        if t < study.rounds // 4:
            router.retrain(t + 1)
    return router.ledger


def _asked(like: Round, row: int, sketch: Sketch) -> Round:
    """Return a round that asks what a policy would do with a prompt of the table."""
    decision = replace(
        like.decision, id=f"table-{row}", sketch=sketch.to_bytes(), feature_version=-1
    )
    return replace(like, decision=decision)


def _estimates(world: _World) -> Iterator[Estimated]:
    quality = (world.theirs.quality + world.ours.quality) / 2
    after = logged(world.rounds, world.arms, world.theirs.target, quality)
    before = replace(after, target=world.ours.target)
    truths = [float((each * world.population).sum(axis=1).mean()) for each in world.everywhere]
    yield from _both("the candidate of a retrain", after, truths[0])
    yield from _both("the incumbent", before, truths[1])
    gain = difference(after, before)
    yield Estimated("candidate less incumbent", "DR", gain, truths[0] - truths[1], ess(after))
    for name, target in _rules(world.arms).items():
        rounds = replace(after, target=np.tile(target, (len(world.rounds), 1)))
        yield from _both(name, rounds, float(target @ world.population.mean(axis=0)))


def _rules(arms: Sequence[str]) -> dict[str, Floats]:
    k = len(arms)
    return {"uniform": np.full(k, 1 / k)} | {
        f"always {arm}": row for arm, row in zip(arms, np.eye(k), strict=True)
    }


def _both(target: str, rounds: LoggedRounds, truth: float) -> Iterator[Estimated]:
    for estimator, estimate in (("DR", doubly_robust), ("SNIPS", snips)):
        yield Estimated(target, estimator, estimate(rounds), truth, ess(rounds))


def _verdict(world: _World, planted: str) -> Judged:
    """Return what the gate does with a candidate that is the incumbent, but for what is planted.

    With some probability it takes the arm that is really best, or worst, for the prompt.
    """
    points, now = PLANTED[planted], world.ours.target
    sign = -1.0 if points < 0 else 1.0
    usual = world.everywhere[1] * world.population
    most = (sign * world.population).max(axis=1).mean() - sign * usual.sum(axis=1).mean()
    share = min(abs(points) / float(most), 1.0)
    really = sign * world.scores
    best = really + 1e-9 * now  # of equals, the one it would have taken
    target = (1 - share) * now + share * np.eye(len(world.arms))[best.argmax(axis=1)]
    judgement = compared(world.rounds, world.arms, replace(world.ours, target=target), world.ours)
    valued = by_value(judgement)
    return Judged(planted, judgement.ess, valued is not None and valued.promoted)


def page(studies: Sequence[tuple[Study, Sequence[OpeRun]]]) -> Iterator[str]:
    """Yield the lines of the page, a part for every study."""
    yield HEAD
    for study, runs in studies:
        yield ""
        yield f"## {len(runs)} logs of {study.rounds} prompts, each rated: {study.name}"
        yield ""
        yield from _coverage(runs)
        yield ""
        yield from _gate(runs)


def _coverage(runs: Sequence[OpeRun]) -> Iterator[str]:
    yield "| policy | median ESS | true value | | bias | spread | error said | holds the truth |"
    yield "|---|--:|--:|---|--:|--:|--:|--:|"
    for i, each in enumerate(runs[0].estimated):
        found = [run.estimated[i] for run in runs]
        told = [one for one in found if np.isfinite(one.value.se)]
        missed = np.array([one.value.mean - one.truth for one in told])
        yield (
            f"| {each.target} | {np.median([one.ess for one in found]):.0f} "
            f"| {_mean(one.truth for one in found)} | {each.estimator} "
            f"| {_mean(missed)} | {missed.std():.4f} | {_mean(one.value.se for one in told)} "
            f"| {np.mean([one.held for one in found]):.1%} |"
        )


def _gate(runs: Sequence[OpeRun]) -> Iterator[str]:
    """Yield what the gate did by value: in all logs, and where it may speak."""
    enough_said = f"with an ESS of {FEWEST_ESS:.0f}"
    yield f"| planted candidate | promoted in all logs | {enough_said} | promoted |"
    yield "|---|--:|--:|--:|"
    for i, planted in enumerate(PLANTED):
        judged = [run.judged[i] for run in runs]
        enough = [each for each in judged if each.ess >= FEWEST_ESS]
        yield f"| {planted} | {_share(judged)} | {len(enough)} | {_share(enough)} |"


def _mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.4f}"


def _share(judged: Sequence[Judged]) -> str:
    return f"{np.mean([each.promoted for each in judged]):.1%}" if judged else ""
