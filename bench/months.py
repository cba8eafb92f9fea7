"""Is a savings report true? Months of the service's own decisions, of which every bill is known.

A month is a table's prompts in random order, decided, settled and rated as the service does. Then
things happen to it that happen to a service: calls fail and another arm answers, callers pin arms
and leave, answers are given again. The table knows what every arm would have charged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, nan

import numpy as np

from bench.ledger import Ledger
from bench.options import Options
from bench.router import ReplayRouter
from bench.tables import Table
from features.sketch import Sketch
from jobs.report import RECENT
from jobs.requests import busy_s, requests
from jobs.satisfaction import of_baseline, ours, rated_rounds
from jobs.tally import Counting, Rule, Tally, most_usd
from policy.baselines import baseline, by_words
from policy.savings import FEWEST_ESS, FEWEST_OF_A_PART, Saving, saving
from storage.records import Decision, Round
from storage.spending import Spending

HEAD = """# What the report says was saved, and what was

Made by `python -m bench report`. Each month is written by the service's own decision and fold, with
a control group; 2 % of the calls fail after a part of their price and another arm answers, 4 % of
the requests pin an arm, 1 % are left by their clients, and 4 % more get a stored answer. What every
arm would have charged for every prompt is known, and so is the true saving, in dollars. Intervals
are of 95 %. `Bills` are the comparable bills a log could be expected to hold (of satisfaction: the
ratings), `told` the months in which they are enough, `shown` those whose interval leaves zero out
besides."""
FAILS, PINS, LEAVES, AGAIN = 0.02, 0.04, 0.01, 0.04


@dataclass(frozen=True, slots=True)
class CheckedFigure:
    """One figure of one report beside the truth; `is_told` where the log holds enough."""

    what: str
    truth: float
    estimate: float
    low: float
    high: float
    ess: float
    is_told: bool
    is_shown: bool

    @property
    def held(self) -> bool:
        """Return whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


@dataclass(frozen=True, eq=False)
class Months:
    """A table, what a thumbs-up is worth in dollars there, and of how many prompts a month is."""

    table: Table
    options: Options
    prompts: int

    @property
    def name(self) -> str:
        """Return the name of the table with the share of the control."""
        return f"{self.table.name}, control {self.options.control:.0%}"

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.table.sketches("text")

    def of(self, seed: int) -> list[CheckedFigure]:
        """Return what the report of this month says, figure by figure, beside the truths."""
        rng = np.random.default_rng([seed, 7])
        month = _Month(self.table, _written(self, seed, rng), rng)
        return [*_savings(month), *_satisfied(month)]


def _written(study: Months, seed: int, rng: np.random.Generator) -> Ledger:
    table, options = study.table, study.options
    router = ReplayRouter(table, study.sketches, f"month-{seed}", options)
    for t, row in enumerate(rng.integers(len(table), size=study.prompts).tolist()):
        arm = router.serve(t, row, table.arms)
        liked = float(rng.random() < table.scores[row, arm])
        router.rate(t, liked if rng.random() < options.feedback else float("nan"), t)
    return router.ledger


@dataclass(frozen=True, slots=True)
class _Paid:
    """A request that is compared: what was spent on it, and what each rule would have cost."""

    arm: str
    spent_usd: float
    bills_usd: tuple[float, float]


class _Month:
    """The log of a month after things have happened to it, with the truth about it."""

    def __init__(self, table: Table, ledger: Ledger, rng: np.random.Generator) -> None:
        self.table = table
        self.paid: list[_Paid] = []
        self.asked: list[tuple[int, int]] = []
        self._ledger = ledger
        self._rng = rng
        self.rows: list[Spending] = []
        self._plain: set[str] = set()
        self.dearest = baseline(table.arms)
        decided = sorted((each.decision for each in ledger.decisions()), key=_at_s)
        self.recent = decided[-RECENT:]
        for decision in decided:
            self._happen(decision)

    def decisions(self) -> Iterator[Round]:
        """Yield the rated rounds to which nothing has happened."""
        rounds = self._ledger.decisions(rated_only=True)
        return (each for each in rounds if each.decision.id in self._plain)

    def _happen(self, decision: Decision) -> None:
        chance, row = self._rng.random(), _row(decision, self._cost_usd(decision, decision.arm))
        if chance < FAILS:
            self._fail(decision, row)
        elif chance < FAILS + PINS:
            arm = str(self._rng.choice(decision.eligible))
            cost_usd = self._cost_usd(decision, arm)
            self.rows.append(row._replace(kind="pinned", arm=arm, cost_usd=cost_usd))
        elif chance < FAILS + PINS + LEAVES:
            self.rows.append(row._replace(status="client_gone", cost_usd=row.cost_usd / 2))
        else:
            self.rows.append(row)
            self._plain.add(decision.id)
            asked = self._ledger.row(decision), self.table.names.index(decision.arm)
            self.asked.append(asked)
            self._pay(decision, decision.arm, row.cost_usd)
        if self._rng.random() < AGAIN:
            self.rows.append(_again(row))

    def _fail(self, decision: Decision, row: Spending) -> None:
        """Let the arm taken charge a part of its price for nothing, and another one answer."""
        lost_usd = row.cost_usd * float(self._rng.random())
        others = zip(decision.cost_usd_predicted, decision.eligible, strict=True)
        _, arm = min(pair for pair in others if pair[1] != decision.arm)
        cost_usd = self._cost_usd(decision, arm)
        self.rows.append(row._replace(status="error", cost_usd=lost_usd))
        second = row._replace(id=f"{row.id}-again", retry_of=row.id, kind="fallback")
        self.rows.append(second._replace(arm=arm, cost_usd=cost_usd))
        self._pay(decision, arm, lost_usd + cost_usd)

    def _pay(self, decision: Decision, arm: str, spent_usd: float) -> None:
        by_length = by_words(decision.words, decision.cost_usd_predicted)
        bills = (
            self._cost_usd(decision, self.dearest),
            self._cost_usd(decision, decision.eligible[by_length]),
        )
        self.paid.append(_Paid(arm, spent_usd, bills))

    def _cost_usd(self, decision: Decision, arm: str) -> float:
        row, column = self._ledger.row(decision), self.table.names.index(arm)
        return float(self.table.cost_usd[row, column])


def _at_s(decision: Decision) -> float:
    return decision.decided_at_s


def _row(decision: Decision, cost_usd: float) -> Spending:
    return Spending(
        id=decision.id,
        decided_at_s=decision.decided_at_s,
        tenant=decision.tenant,
        task=decision.task,
        kind=decision.kind,
        retry_of=None,
        arm=decision.arm,
        eligible=decision.eligible,
        propensities=decision.propensities,
        quality=decision.quality,
        predicted_usd=decision.cost_usd_predicted,
        willingness_to_pay_usd=decision.willingness_to_pay_usd,
        words=decision.words,
        cached_by_arm=decision.cached_by_arm,
        status="ok",
        cost_usd=cost_usd,
        cache="miss",
        first_eligible=(),
        first_predicted_usd=(),
    )


def _again(row: Spending) -> Spending:
    """Return the row of a stored answer to the same prompt."""
    return row._replace(
        id=f"{row.id}-stored",
        kind="cached",
        cache="hit",
        status="ok",
        cost_usd=0.0,
        first_eligible=row.eligible,
        first_predicted_usd=row.predicted_usd,
    )


def _savings(month: _Month) -> Iterator[CheckedFigure]:
    """Yield what the report says of each rule: in all, and of each arm in place of the baseline."""
    rules = Rule(month.dearest), Rule()
    counting, whole = Counting(rules, {}, most_usd(month.recent)), Tally()
    for request in requests(month.rows, busy_s(month.table.arms)):
        counting.count(request)
    for tally in counting.tallies.values():
        whole.add(tally)
    for place, rule in enumerate(rules):
        for (kind, name), sums in sorted(whole.rule(rule.name).sums.items()):
            if kind == "all" or (kind == "arm" and place == 0):
                paid = [each for each in month.paid if kind == "all" or each.arm == name]
                what = rule.name if kind == "all" else f"{rule.name}, not {name}"
                truth = sum(each.bills_usd[place] - each.spent_usd for each in paid)
                fewest = FEWEST_ESS if kind == "all" else FEWEST_OF_A_PART
                yield _saved(what, saving(sums, fewest), truth)


def _saved(what: str, made: Saving, truth: float) -> CheckedFigure:
    return CheckedFigure(
        what=what,
        truth=truth,
        estimate=made.saved_usd,
        low=made.low_usd,
        high=made.high_usd,
        ess=made.ess,
        is_told=made.too_little is None,
        is_shown=made.why_not is None,
    )


def _satisfied(month: _Month) -> Iterator[CheckedFigure]:
    """Yield what the report says of those who rated, were they asked or with the baseline."""
    said = rated_rounds(month.decisions())
    row, arm = np.array(month.asked).T
    scores = month.table.scores[row]
    got = float(scores[np.arange(len(scores)), arm].mean())
    always = float(scores[:, month.table.names.index(month.dearest)].mean())
    baseline_got, gain = of_baseline(said, month.dearest)
    for what, made, truth in (
        ("satisfaction", ours(said), got),
        (f"satisfaction with {month.dearest}", baseline_got, always),
        ("satisfaction, ours less the baseline's", gain, got - always),
    ):
        told = made.mean is not None
        yield CheckedFigure(
            what=what,
            truth=truth,
            estimate=made.mean if made.mean is not None else nan,
            low=made.low if made.low is not None else -inf,
            high=made.high if made.high is not None else inf,
            ess=float(made.rated),
            is_told=told,
            is_shown=told,
        )


def page(studies: Sequence[tuple[Months, Sequence[Sequence[CheckedFigure]]]]) -> Iterator[str]:
    """Yield the lines of the page, a table for every study."""
    yield HEAD
    for study, months in studies:
        yield ""
        rated = f"{study.options.feedback:.0%} rated"
        yield f"## {len(months)} months of {study.prompts} prompts, {rated}: {study.name}"
        yield ""
        yield "| figure | true | bias | width | bills | told | shown | holds the truth |"
        yield "|---|--:|--:|--:|--:|--:|--:|--:|"
        names = dict.fromkeys(each.what for month in months for each in month)
        for what in names:
            yield _row_of(what, [each for month in months for each in month if each.what == what])


def _row_of(what: str, found: Sequence[CheckedFigure]) -> str:
    told = [each for each in found if each.is_told]
    truth = float(np.mean([each.truth for each in found]))
    cells = [what, f"{truth:.4g}"]
    if told:
        bias = float(np.mean([each.estimate - each.truth for each in told]))
        width = float(np.median([each.high - each.low for each in told]))
        held = float(np.mean([each.held for each in told]))
        cells += [f"{bias:.2g}", f"{width:.2g}"]
    else:
        cells += ["", ""]
    cells += [f"{np.median([each.ess for each in found]):.0f}"]
    cells += [f"{len(told) / len(found):.0%}", f"{np.mean([each.is_shown for each in found]):.0%}"]
    cells += [f"{held:.1%}" if told else ""]
    return f"| {' | '.join(cells)} |"
