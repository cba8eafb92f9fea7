"""How often the choice stays when a prompt is worded a little differently.

A router learns from half of a table, every score of its own choices told. Then the prompts of the
other half are asked as they are and in other case, spacing, order and so on: a choice is what the
posterior mean says, no draw and no price.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.options import Options
from bench.replay import learned_from
from bench.tables import Context, Table
from features.sketch import Sketch
from jobs.learned import Learned

ASKED = 0.9
MOST_ASKED = 500
PREFACE = "Hello! Could you please help me with the following? Thank you very much.\n\n"
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
HEAD = """# Does the choice stay when the wording changes?

Made by `python -m bench stability`: the share of prompts for which the posterior mean chooses the
same arm as for the prompt as recorded. The router has learned from half of the table by choosing;
these are prompts of the other half."""


def _misspelt(text: str) -> str:
    """Return the text with two neighbouring letters of one word swapped.

    >>> _misspelt("a word")
    'a wrod'
    """
    words = list(re.finditer(r"[^\W\d_]{4,}", text))
    if not words:
        return text
    at = words[len(words) // 2].start() + 1
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _reordered(text: str) -> str:
    sentences = SENTENCE.split(text)
    random.Random(len(text)).shuffle(sentences)  # noqa: S311
    return " ".join(sentences)


WORDINGS: Mapping[str, Callable[[str], str]] = {
    "lower case": str.lower,
    "upper case": str.upper,
    "double spaces": lambda text: text.replace(" ", "  ") + "\n",
    "a typo": _misspelt,
    "a polite preface": lambda text: PREFACE + text,
    "sentences reordered": _reordered,
}


@dataclass(frozen=True, eq=False)
class Rewording:
    """A table whose prompts are asked in other words."""

    table: Table
    context: Context

    @property
    def name(self) -> str:
        """Return the name of the table."""
        return self.table.name

    @cached_property
    def sketches(self) -> list[Sketch]:
        """Return the sketch of every prompt of the table."""
        return self.table.sketches(self.context)

    def of(self, seed: int) -> dict[str, float]:
        """Return which part of the prompts keeps its arm, for each other wording."""
        order = np.random.default_rng(seed).permutation(len(self.table))
        half = len(order) // 2
        options = Options(context=self.context)
        learned = learned_from(self.table, self.sketches, options, order[:half], seed)
        asked = order[half:][:MOST_ASKED].tolist()
        usual = [self._choice(learned, self.table, row) for row in asked]
        found = {}
        for name, wording in WORDINGS.items():
            other = replace(self.table, prompts=tuple(map(wording, self.table.prompts)))
            kept = [
                self._choice(learned, other, row) == arm
                for row, arm in zip(asked, usual, strict=True)
            ]
            found[name] = float(np.mean(kept))
        return found

    def _choice(self, learned: Learned, table: Table, row: int) -> int:
        context = learned.space.context(Sketch.of(table.seen(row, self.context)))
        return int(learned.beliefs.quality.predict(context, table.names).mean.argmax())


def page(studies: Sequence[tuple[Rewording, Sequence[Mapping[str, float]]]]) -> Iterator[str]:
    """Yield the lines of the page, one row for every table; what is below 90 % comes first."""
    yield HEAD
    yield ""
    means = {
        study.name: {name: float(np.mean([each[name] for each in seeds])) for name in WORDINGS}
        for study, seeds in studies
    }
    below = [
        f"{table}, {name} ({share:.0%})"
        for table, shares in means.items()
        for name, share in shares.items()
        if share < ASKED
    ]
    yield f"Below {ASKED:.0%}: {', '.join(below)}." if below else f"None is below {ASKED:.0%}."
    yield ""
    yield f"| table | seeds | {' | '.join(WORDINGS)} |"
    yield "|---|" + "--:|" * (1 + len(WORDINGS))
    for study, seeds in studies:
        shown = " | ".join(f"{share:.1%}" for share in means[study.name].values())
        yield f"| {study.name} | {len(seeds)} | {shown} |"
