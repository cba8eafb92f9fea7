"""The standard set of replays: what `python -m bench all` plays, section by section.

It is bounded: at most so many prompts of a table, drawn once, and fewer seeds for whole tables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bench.cells import PEERS, Cell
from bench.options import HALF, Options, Scenario
from bench.peers.player import PREFIX
from bench.runs import KEPT
from bench.yardsticks import cheapest_mixture

Judged = Literal["reward", "second_half", "changed"]

PARETO = f"{PREFIX}paretobandit"
OURS = ("thompson", "greedy")
RIVALS = ("thompson", PARETO)
"""Where dollars count: no other peer has a budget."""
UNPACED = ("thompson", PEERS)
THUMBS = Options(binary=True, delay=50)
BUDGETS = 7
FLOOR = 0.98
SOME_SEEDS, MANY_SEEDS = 8, 1_000
"""For whole tables that are long where no figure was asked for, and for everything else; half of
the first where long tables are played at every budget."""
FEW_PROMPTS = 1_000
TABLES = {
    "general_2026": Options(),
    "mmlu_pro": Options(),
    "routellm_mmlu": Options(),
    "coderouterbench_id_test": Options(context="category"),  # it has no text but tags
    "coderouterbench_ood176": Options(),
}
CROWDED = "mmlu_pro"
TAGGED = "coderouterbench_id_test"
ASKED_AT_BUDGETS = (0.789, 0.828, 0.885, 0.925, 0.927, 0.931, 0.936)
"""Mean reward asked for on general_2026 at each of its budgets."""
RARELY = 3
"""The place of the budget at which thumbs are rare."""
LARGE = tuple(TABLES)[:3]
"""Tables with text and enough prompts for rare thumbs."""
PACED = tuple(TABLES)[:4]
"""Tables with enough prompts to learn on half of them."""


@dataclass(frozen=True)
class Section:
    """Replays of one question; `judged` is the figure that answers it.

    `asked` is what a figure of some cells had to reach, laid down before anything was played.
    """

    name: str
    title: str
    says: str
    cells: dict[str, Cell]
    judged: Judged = "reward"
    most_seeds: int = MANY_SEEDS
    asked: Mapping[str, Mapping[Judged, float]] = field(default_factory=dict)

    def seeds(self, asked: int) -> range:
        """Return the seeds that are played when so many are asked for."""
        return range(min(asked, self.most_seeds))


def sections(prompts: int | None, kept: Path = KEPT) -> list[Section]:
    """Return the standard set with at most so many prompts of each table.

    What they are too few for is left out: as many evals, say, as there are prompts.

    raises : SystemExit with status 2 if a table is not here
    """
    cells = {
        name: Cell(name, told, OURS, prompts=prompts, kept=kept) for name, told in TABLES.items()
    }
    every = [
        *_asked_for(cells),
        *_usual(cells),
        _floors(cells),
        *_rarely_rated(cells),
        *_changes(cells),
        *_crowds(cells[CROWDED]),
        _uneven(cells),
    ]
    return [section for section in every if section.cells]


def _asked_for(cells: dict[str, Cell]) -> Iterator[Section]:
    """Yield what has been asked for in figures, on whole tables."""
    whole = {name: replace(cell, prompts=None, policies=UNPACED) for name, cell in cells.items()}
    paced = dict(_budgets(whole["general_2026"]))
    rare, cell = list(paced.items())[RARELY]
    rarely = replace(cell.options, binary=True, feedback=0.1, delay=50)
    both = Options(context="both")
    short = {
        **paced,
        f"{rare}, 10 % thumbs": replace(cell, options=rarely),
        TAGGED: replace(whole[TAGGED], options=both),
    }
    long = {
        "mmlu_pro, text": whole["mmlu_pro"],
        "mmlu_pro, both": replace(whole["mmlu_pro"], options=both),
        "routellm_mmlu at 91 % of the dearest arm": _paced_at(whole["routellm_mmlu"], 0.91),
    }
    least: list[Mapping[Judged, float]] = [{"reward": each} for each in (*ASKED_AT_BUDGETS, 0.922)]
    least.append({"reward": 0.485, "second_half": 0.497})
    asked = dict(zip(short, least, strict=True))
    yield Section("asked", "Asked for", "Whole tables.", short, asked=asked)
    asked = {
        "mmlu_pro, text": {"reward": 0.699, "second_half": 0.706},
        "mmlu_pro, both": {"reward": 0.704, "second_half": 0.713},
        # 99 % of the best arm's second half
        "routellm_mmlu at 91 % of the dearest arm": {"second_half": 0.798},
    }
    yield Section("asked_long", "Asked for, long", "Whole tables.", long, asked=asked)


def _paced_at(cell: Cell, share: float) -> Cell:
    dearest = float(cell.loaded.cost_usd.mean(axis=0).max())
    return replace(
        cell, options=replace(cell.options, budget_usd_per_request=share * dearest), policies=RIVALS
    )


def _usual(cells: dict[str, Cell]) -> Iterator[Section]:
    yield Section(
        "cold",
        "Cold start",
        "Every score is told at once, no budget. Peers get the same contexts and order.",
        {name: replace(cell, policies=(*OURS, PEERS)) for name, cell in cells.items()},
    )
    yield Section(
        "budgets",
        "Budgets",
        "Half of the table is learned on, paced too; the other half is judged while learning"
        " goes on. Seven budgets between the cheapest and the dearest arm's mean cost.",
        {label: cell for name in PACED for label, cell in _budgets(cells[name])},
    )
    whole = [replace(cells[name], prompts=None) for name in PACED[1:]]
    yield Section(
        "budgets_long",
        "Budgets, whole tables",
        "The same with all prompts of a table; `general_2026` is among what was asked for.",
        dict(pair for cell in whole for pair in _budgets(cell, OURS[:1])),
        most_seeds=SOME_SEEDS // 2,
    )


def _floors(cells: dict[str, Cell]) -> Section:
    """Return the section of quality floors, each named with what a static choice would cost."""
    paced: dict[str, Cell] = {}
    asked: dict[str, Mapping[Judged, float]] = {}
    for name in LARGE:
        table, options = cells[name].loaded, cells[name].options
        floor = FLOOR * float(table.scores[:, table.cost_usd.mean(axis=0).argmax()].mean())
        usd = cheapest_mixture(table.scores, table.cost_usd, floor)
        label = f"{name} (static: ${usd:.3g})"
        told = replace(options, learn_on=HALF, quality_floor=FLOOR)
        paced[label] = replace(cells[name], options=told, policies=OURS[:1])
        asked[label] = {"reward": float(f"{floor:.3f}")}
    says = (
        f"The least spend that keeps {FLOOR:.0%} of the dearest arm's quality, beside what the"
        " cheapest static mixture that does would cost, known in hindsight. Half of the table was"
        " learned on before."
    )
    return Section("floor", "Floor of quality", says, paced, asked=asked)


def _rarely_rated(cells: dict[str, Cell]) -> Iterator[Section]:
    rare = replace(THUMBS, feedback=0.03)
    shares = {f"{share:.0%} rated": replace(THUMBS, feedback=share) for share in (1, 0.1, 0.03)}
    evals = {f"{n} evals": replace(rare, warm=n) for n in (100, 300, 1_000)}
    unsatisfied = replace(THUMBS, feedback=0.02, feedback_unsatisfied=0.1)
    yield Section(
        "thumbs",
        "Few thumbs, late",
        "Thumbs of the score's probability, 50 requests late, from a share of the requests.",
        _large(cells, shares),
    )
    yield Section(
        "warm",
        "Warm start",
        "So many prompts as evals first; then thumbs from 3 % of the requests, 50 late.",
        _large(cells, evals),
    )
    yield _to_the_end(cells, replace(evals["300 evals"], context="both"))
    yield Section(
        "satisfaction",
        "Who speaks is not satisfied",
        "Thumbs from 2 % of those who are satisfied and 10 % of those who are not, 50 late.",
        _large(cells, {"": unsatisfied}),
    )


def _to_the_end(cells: dict[str, Cell], told: Options) -> Section:
    long = {name: replace(cells[name], prompts=None, policies=OURS[:1]) for name in LARGE[1:]}
    return Section(
        "warm_long",
        "Warm start, whole tables",
        "300 prompts as evals first; then thumbs from 3 % of the requests, 50 late, to the end. The"
        " router sees the category too.",
        {
            name: replace(cell, options=told)
            for name, cell in long.items()
            if told.warm < len(cell.loaded)
        },
        most_seeds=SOME_SEEDS,
    )


def _budgets(cell: Cell, policies: tuple[str, ...] = RIVALS) -> Iterator[tuple[str, Cell]]:
    for usd in budgets(cell):
        options = replace(cell.options, learn_on=HALF, budget_usd_per_request=usd)
        yield f"{cell.table}, ${usd:g}", replace(cell, options=options, policies=policies)


def budgets(cell: Cell) -> list[float]:
    """Return seven budgets per request, spaced alike in their logarithm."""
    mean = cell.loaded.cost_usd.mean(axis=0)
    return [float(f"{usd:.3g}") for usd in np.geomspace(mean.min(), mean.max(), BUDGETS)]


def _large(cells: dict[str, Cell], told: dict[str, Options]) -> dict[str, Cell]:
    return {
        f"{name}, {label}".removesuffix(", "): replace(
            cells[name], options=options, policies=UNPACED
        )
        for name in LARGE
        for label, options in told.items()
        if options.warm < len(cells[name].loaded)
    }


def _changes(cells: dict[str, Cell]) -> Iterator[Section]:
    """Yield a section for each thing that may happen on the way, judged while it is so."""
    told: dict[Scenario, str] = {
        "price_cut": "The dearest arm costs a tenth for the middle third, under a budget between"
        " what it costs before and then; judged while it is cheap.",
        "degraded": "The best arm silently loses three tenths of its score at half time;"
        " judged after.",
        "new_arm": "The best arm is offered from half time on, without evals; judged after.",
        "new_arm_evals": "The same with 300 evals of it.",
    }
    for scenario, says in told.items():
        changed = {}
        for table in LARGE[:2]:
            options = replace(cells[table].options, scenario=scenario, learn_on=HALF)
            if scenario == "price_cut":
                options = replace(options, budget_usd_per_request=budgets(cells[table])[-2])
            changed[table] = replace(cells[table], options=options, policies=RIVALS)
        title = scenario.replace("_", " ").capitalize()
        said = f"{says} Half of the table was learned on before."
        yield Section(scenario, title, said, changed, "changed")


def _crowds(cell: Cell) -> Iterator[Section]:
    # Most peers keep a matrix for each arm, and are slow with 184.
    for arms, policies in ((20, UNPACED), (184, OURS[:1])):
        prompts = min(cell.prompts or FEW_PROMPTS, FEW_PROMPTS)
        crowd = replace(cell, crowd=arms, prompts=prompts, policies=policies)
        says = "The missing arms are made of recorded ones (`bench/crowd.py`). Every score is told."
        cells = {f"{cell.table} with {arms} arms": crowd}
        yield Section(f"arms{arms}", f"{arms} arms", says, cells)


def _uneven(cells: dict[str, Cell]) -> Section:
    wild = [replace(cells[name], uneven=True) for name in LARGE[:2]]
    paced = dict(pair for cell in wild for pair in _budgets(cell, OURS[:1]))
    says = (
        "Every second arm answers one prompt in eight at seven times its recorded length and the"
        " others at a seventh (`bench/uneven.py`), under budgets as above."
    )
    return Section("uneven", "Uneven lengths", says, paced)
