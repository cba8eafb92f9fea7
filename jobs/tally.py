"""Sums over requests, from which a report is derived: by day, tenant, rule, task and arm."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median
from typing import NamedTuple

from jobs.requests import Request
from policy.baselines import by_words
from policy.exploration import looked_best
from policy.savings import BillSums
from policy.types import DAY_S, Arm
from storage.records import Decision
from storage.spending import Spending

MOST_TASKS = 100
UNUSUAL = 10.0
FIRST = 100
"""So many requests may have been predicted before the cost model had seen enough answers."""
OTHER, UNNAMED = "(other)", "(none)"
ALL = ("all", "")

Group = tuple[str, str]


def most_usd(decisions: Iterable[Decision]) -> dict[str, float]:
    """Return the most that a prediction counts for, by arm: ten times the median of recent ones."""
    said: dict[str, list[float]] = {}
    for each in decisions:
        for arm, usd in zip(each.eligible, each.cost_usd_predicted, strict=True):
            said.setdefault(arm, []).append(usd)
    return {arm: UNUSUAL * median(usd) for arm, usd in said.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """What could have decided instead: one arm for every request, or without one the words."""

    arm: str | None = None

    @property
    def name(self) -> str:
        """Return what it is called."""
        return f"always {self.arm}" if self.arm else "word count"

    def place(self, eligible: Sequence[str], predicted_usd: Sequence[float], words: int) -> int:
        """Return the index of the arm it takes, -1 where that could not have served."""
        if self.arm is None:
            return by_words(words, predicted_usd)
        return eligible.index(self.arm) if self.arm in eligible else -1


@dataclass(slots=True)
class Line:
    """Requests of one kind and what belongs to them."""

    requests: int = 0
    usd: float = 0.0

    def count(self, usd: float) -> None:
        """Add a request."""
        self.requests += 1
        self.usd += usd

    def add(self, other: "Line") -> None:
        """Add what another has counted."""
        self.requests += other.requests
        self.usd += other.usd


@dataclass(slots=True)
class Comparison:
    """The sums of one rule; `cached_usd` is what stored answers were predicted to cost under it."""

    sums: dict[Group, BillSums] = field(default_factory=dict)
    no_such_choice: Line = field(default_factory=Line)
    cached: Line = field(default_factory=Line)

    def of(self, kind: str, name: str) -> BillSums:
        """Return the sums of a group; tasks beyond the first hundred share one."""
        key = (kind, name)
        found = self.sums.get(key)
        if found is None:
            if kind == "task" and sum(each == "task" for each, _ in self.sums) >= MOST_TASKS:
                key = (kind, OTHER)
            found = self.sums.setdefault(key, BillSums())
        return found

    def add(self, other: "Comparison") -> None:
        """Add the sums of other requests."""
        for (kind, name), sums in other.sums.items():
            self.of(kind, name).add(sums)
        self.no_such_choice.add(other.no_such_choice)
        self.cached.add(other.cached)


@dataclass(slots=True)
class Tally:
    """Everything a report is made of, for some requests of one tenant."""

    lines: dict[str, Line] = field(default_factory=dict)
    rules: dict[str, Comparison] = field(default_factory=dict)

    def line(self, name: str) -> Line:
        """Return a line, begun if it is new."""
        return self.lines.setdefault(name, Line())

    def rule(self, name: str) -> Comparison:
        """Return the sums of a rule, begun if it is new."""
        return self.rules.setdefault(name, Comparison())

    def add(self, other: "Tally") -> None:
        """Add what other requests came to."""
        for name, line in other.lines.items():
            self.line(name).add(line)
        for name, comparison in other.rules.items():
            self.rule(name).add(comparison)


class Counting:
    """Adds requests up, by tenant and day; `arms` are those whose prices are known now.

    Of the first requests no prediction counts for more than `most_usd` of its arm: before it has
    seen an answer the cost model expects a thousand times too much, and a handful of such requests
    would drown the rest. Later a prompt that is said to be a hundred times as dear most likely is.
    """

    def __init__(
        self, rules: Sequence[Rule], arms: Mapping[str, Arm], most_usd: Mapping[str, float]
    ) -> None:
        self.tallies: dict[tuple[str, int], Tally] = {}
        self._rules = rules
        self._arms = arms
        self._most_usd = most_usd
        self._asked = 0

    def count(self, request: Request) -> None:
        """Add one request to the lines it belongs to."""
        first = request.first
        key = first.tenant, int(first.decided_at_s // DAY_S)
        tally = self.tallies.setdefault(key, Tally())
        if request.is_hit:
            self._cached(tally, first)
            return
        self._asked += 1
        tally.line("asked").count(request.spent_usd)
        if not request.is_delivered:
            tally.line("not delivered").count(request.spent_usd)
        elif first.kind != "routed":
            tally.line("pinned").count(request.spent_usd)
        else:
            if request.failed_usd or request.last is not first:
                tally.line("fallbacks").count(request.failed_usd)
            self._explored(tally, first)
            for rule in self._rules:
                self._compared(tally.rule(rule.name), rule, request)

    def _cached(self, tally: Tally, row: Spending) -> None:
        """Add a stored answer, at what a rule's arm was expected to cost when it was new."""
        tally.line("stored answers").count(0.0)
        for rule in self._rules:
            if not row.first_predicted_usd:
                continue  # the first decision is kept no longer
            place = rule.place(row.first_eligible, row.first_predicted_usd, row.words)
            if place >= 0:
                usd = self._usual(row.first_eligible[place], row.first_predicted_usd[place])
                tally.rule(rule.name).cached.count(usd)

    def _usual(self, arm: str, predicted_usd: float) -> float:
        """Return a prediction as it counts that may be from before an answer was seen."""
        return min(predicted_usd, self._most_usd.get(arm, inf))

    def _expected(self, arm: str, predicted_usd: float) -> float:
        """Return a prediction of the request that is counted, as it counts."""
        return self._usual(arm, predicted_usd) if self._asked <= FIRST else predicted_usd

    def _explored(self, tally: Tally, row: Spending) -> None:
        """Add what the arm taken was expected to cost more than the one that looked best.

        Where nothing was left to the draw, nothing was explored: a fixed rule has decided, or no
        other arm could serve.
        """
        taken = row.eligible.index(row.arm)
        if row.propensities[taken] >= 1.0:
            return
        pays = row.willingness_to_pay_usd
        looks_best = looked_best(row.quality, row.predicted_usd, pays, row.propensities)
        if taken != looks_best:
            best_usd = self._expected(row.eligible[looks_best], row.predicted_usd[looks_best])
            more_usd = self._expected(row.arm, row.predicted_usd[taken]) - best_usd
            tally.line("exploration").count(more_usd)

    def _compared(self, comparison: Comparison, rule: Rule, request: Request) -> None:
        """Add a request to the sums of a rule: all of them, its task's and each arm's."""
        row = request.first
        place = rule.place(row.eligible, row.predicted_usd, row.words)
        if place < 0:
            comparison.no_such_choice.count(request.spent_usd)
            return
        choice = self._choice(row, place)
        away = 1.0 - choice.chance
        whole = [(comparison.of(*ALL), away), (comparison.of("task", row.task or UNNAMED), away)]
        arms = [
            (comparison.of("arm", arm), mass)
            for arm, mass in zip(row.eligible, row.propensities, strict=True)
            if arm != choice.arm
        ]
        for sums, mass in (*whole, *arms):
            sums.could_have(choice.predicted_usd, mass, choice.chance)
        if request.last.arm == choice.arm:
            _billed(whole, arms, comparison.of("arm", choice.arm), request, choice)
            return
        answered = comparison.of("arm", request.last.arm)
        for sums in (*(each for each, _ in whole), answered):
            sums.went_elsewhere(choice.predicted_usd, request.spent_usd, choice.chance)

    def _choice(self, row: Spending, place: int) -> "_Choice":
        """Return what a rule would have done, had the conversation been with its arm all along."""
        arm, warm_usd = row.eligible[place], 0.0
        if row.cached_by_arm and arm not in row.cached_by_arm and arm in self._arms:
            priced, tokens = self._arms[arm], max(row.cached_by_arm.values())
            cold_usd = priced.cost_usd(tokens, 0.0, cache_write_tokens=tokens)
            warm_usd = cold_usd - priced.cost_usd(tokens, 0.0, tokens)
        predicted_usd = max(self._expected(arm, row.predicted_usd[place]) - warm_usd, 0.0)
        return _Choice(arm, row.propensities[place], predicted_usd, warm_usd)


class _Choice(NamedTuple):
    """The arm a rule takes, how likely it was, its bill as predicted, and what of it is off.

    `warm_usd` is what its provider's cache would have saved.
    """

    arm: str
    chance: float
    predicted_usd: float
    warm_usd: float


Away = Sequence[tuple[BillSums, float]]


def _billed(whole: Away, arms: Away, own: BillSums, request: Request, choice: _Choice) -> None:
    """Add a request that the rule's arm has answered; its bill tells if it was drawn for it."""
    bill_usd = max(request.last.cost_usd - choice.warm_usd, 0.0)
    for sums in (*(each for each, _ in whole), own):
        sums.is_known(bill_usd, request.spent_usd)
    if request.last is request.first:
        for sums, mass in (*whole, *arms):
            sums.was_billed(choice.predicted_usd, bill_usd, mass, choice.chance)
