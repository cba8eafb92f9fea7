"""The page of the standard set: one table a section, means over paired seeds with their errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.figures import WINDOW
from bench.peers.player import PREFIX
from bench.standard import Section

BASELINES = (
    "best_single",
    "evals_pick",
    "category_beta",
    "word_count",
    "uniform",
    "full_information",
    "oracle",
)
MIXTURE = "static_mixture"
PICTURE = "replay.png"
Found = Mapping[str, Any]
HEAD = """\
# Replays of recorded outcomes

Written by `python -m bench all`; never edited. A policy sees the outcome of the arm it chose and of
no other, in the order of a seed that is the same for all. "±" is one standard error over seeds.
*Best single*, *static mixture* (of two arms, at the spend of thompson), *full information* and
*oracle* know in hindsight what no router knows; *evals pick* is the best arm of the evals that were
imported. *Ahead* is thompson's mean reward less another's over pairs of equal seeds; *USD* is what
thompson spent per prompt.

The defaults were chosen on these very tables, of which none was kept apart: about a hundred ideas
were tried on them, mostly in the orders of the same seeds, and those that did well were kept
([ideas](ideas.md)). A part of what thompson is ahead by may be that choice. Little stands against
it: a few of those kept were tried in other orders too, where no gain was told apart, and a few on
made-up tables, where they gained. What your own prompts say counts for more
([replay](../replay.md)).
"""

ROUNDED = 0.0005
NOISE = 2.0
"""Standard errors beyond which a difference is told as one."""
RIVAL_BASELINES = ("greedy", MIXTURE, "evals_pick", "category_beta")
"""Those that keep to what may be spent, beside the peers; greedy is ours, and explores nothing."""


def page(played: Sequence[tuple[Section, Mapping[str, Found]]]) -> Iterator[str]:
    """Yield the lines of the page, given what was found in each cell of each section."""
    title, *head = HEAD.splitlines()
    yield from (title, "", _losses(played), *head)
    yield from _asked(played)
    for section, found in played:
        seeds = next(iter(found.values()))["seeds"]
        yield ""
        yield f"## {section.title}"
        yield ""
        yield f"{section.says} {seeds} seeds."
        yield ""
        yield from _rows(section, found)
        yield from _stretches(found)
        if section.name == "budgets":
            yield ""
            yield f"![Reward against spend at each budget]({PICTURE})"
    yield from _times(played)


def _stretches(found: Mapping[str, Found]) -> Iterator[str]:
    """Yield how far each stretch of a stream is ahead of the pick from the same evals."""
    for label, each in found.items():
        windows = each["policies"][_policies([each])[0]]["windows"]
        if windows:
            yield ""
            told = ", ".join(_ahead(window) for window in windows)
            yield f"Ahead of evals pick in each {WINDOW:,} requests of {label}: {told}."


def _losses(played: Sequence[tuple[Section, Mapping[str, Found]]]) -> str:
    """Return the paragraph that tells where something is behind beyond noise."""
    lost = []
    for section, found in played:
        for label, each in found.items():
            first = each["policies"][_policies([each])[0]]
            rivals = [name for name in first["ahead"] if name in RIVAL_BASELINES or PREFIX in name]
            for rival in rivals:
                more = first["ahead"][rival]
                error = more[section.judged + "_se"]
                if error is not None and more[section.judged] < -NOISE * error:
                    name, by = rival.removeprefix(PREFIX).replace("_", " "), section.judged
                    lost.append(f"{section.title.lower()}, {label}: {name} ({_ahead(more, by)})")
    short = [f"{label}, {verdict}" for label, _, verdict in _reached(played) if "short" in verdict]
    behind = "; ".join(lost) if lost else "nothing"
    missed = "; ".join(short) if short else "nothing"
    return (
        f"Short of what was asked: {missed}. Behind others by more than {NOISE:g} standard errors:"
        f" {behind}."
    )


def _reached(
    played: Sequence[tuple[Section, Mapping[str, Found]]],
) -> Iterator[tuple[str, str, str]]:
    """Yield what was asked of each figure: its label, the cells of its row, and the verdict."""
    for section, found in played:
        for label, each in found.items():
            first = each["policies"][_policies([each])[0]]
            for figure, least in section.asked.get(label, {}).items():
                known = each["baselines"]["full_information"][figure]
                verdict = _verdict(first, figure, least)
                row = (
                    f"| {label} | {figure.replace('_', ' ')} | {least} | {_figure(first, figure)} "
                    f"| {verdict} | {known:.4f} | {first['cost_usd']:.3g} | {_use(first)} "
                    f"| {each['seeds']} |"
                )
                yield label, row, verdict


def _asked(played: Sequence[tuple[Section, Mapping[str, Found]]]) -> Iterator[str]:
    """Yield what was asked for in figures beside what was reached."""
    rows = [row for _, row, _ in _reached(played)]
    if rows:
        yield from ("", "## Asked and reached", "")
        yield ("| | figure | asked | reached | | full information | USD | of budget | seeds |")
        yield "|---|---|--:|--:|---|--:|--:|--:|--:|"
        yield from rows


def _verdict(first: Found, figure: str, least: float) -> str:
    """Return whether a figure reached what was asked, to the digits it was asked in."""
    short = least - first[figure]
    if short <= ROUNDED:
        return "reached"
    error = first[figure + "_se"]
    within = error is not None and short <= NOISE * error
    return f"short by {short:.4f}" + (", within noise" if within else "")


def _rows(section: Section, found: Mapping[str, Found]) -> Iterator[str]:
    policies = _policies(found.values())
    baselines = [name for name in BASELINES if any(name in f["baselines"] for f in found.values())]
    head = [name.removeprefix(PREFIX) for name in policies] + [MIXTURE, *baselines]
    ahead = ["ahead of mixture", "ahead of best single", "USD"]
    paced = any(each["options"]["budget_usd_per_request"] for each in found.values())
    uses = [f"{name.removeprefix(PREFIX)} of budget" for name in policies] if paced else []
    titles = [name.replace("_", " ") for name in [*head, *ahead, *uses]]
    yield f"| | {' | '.join(titles)} |"
    yield "|---|" + "--:|" * len(titles)
    for label, each in found.items():
        first = each["policies"][policies[0]]
        figures = [each["policies"].get(name) for name in policies] + [first[MIXTURE]]
        figures += [each["baselines"].get(name) for name in baselines]
        cells = [_figure(figure, section.judged) for figure in figures]
        others = (first["ahead"][name] for name in (MIXTURE, "best_single"))
        cells += [_ahead(more, section.judged) for more in others]
        cells.append(f"{first['cost_usd']:.3g}")
        cells += [_use(each["policies"].get(name)) for name in policies if paced]
        yield f"| {label} | {' | '.join(cells)} |"


def _policies(found: Any) -> list[str]:
    return list(dict.fromkeys(name for each in found for name in each["policies"]))


def _figure(figures: Found | None, judged: str) -> str:
    if figures is None:
        return ""
    error = figures[judged + "_se"]
    return f"{figures[judged]:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _use(figures: Found | None) -> str:
    if figures is None or figures["budget_use"] is None:
        return ""
    return f"{figures['budget_use']:.2f}"


def _ahead(more: Found, judged: str = "reward") -> str:
    error = more[judged + "_se"]
    return f"{more[judged]:+.4f}" + ("" if error is None else f" ± {error:.4f}")


def _times(played: Sequence[tuple[Section, Mapping[str, Found]]]) -> Iterator[str]:
    cells = {label: each for _, found in played for label, each in found.items() if _is_plain(each)}
    policies = _policies(cells.values())
    if not cells:
        return
    yield from ("", "## Time", "")
    yield "Medians in microseconds: one decision, learning one outcome. Retrains are not counted."
    yield ""
    yield f"| | arms | {' | '.join(name.removeprefix(PREFIX) for name in policies)} |"
    yield "|---|--:|" + "--:|" * len(policies)
    for label, each in cells.items():
        shown = [each["policies"].get(name) for name in policies]
        took = ["" if p is None else f"{p['decision_us']:.0f}, {p['update_us']:.0f}" for p in shown]
        yield f"| {label} | {len(each['arms'])} | {' | '.join(took)} |"


def _is_plain(found: Found) -> bool:
    """Return whether nothing but choosing and learning went on: the sections of a cold start."""
    options = found["options"]
    return options["scenario"] == "steady" and not options["learn_on"] and not options["binary"]
