"""How many paraphrases get a stored answer when no other question may: on pairs written for it.

Each half of the pairs is chosen and judged by turns: on the first a threshold is set just above the
most similar pair of different questions, on the second it is judged.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from bench.tables import load
from features.likeness import Likeness
from features.prompt import Prompt
from features.sketch import Sketch
from policy.types import Floats, Timeouts
from upstream.catalogue import Catalogue, Provider
from upstream.client import Upstream
from upstream.embeddings import Embeddings

PAIRS = Path(__file__).parent / "pairs"
FLOOR = 0.95
ABOVE = 1e-6
WORD = re.compile(r"[a-z0-9]+")
OPTION = re.compile(r"^\W*[A-J][).:]\s*")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions of one kind, and whether one answer serves both."""

    kind: str
    one: str
    other: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class Way:
    """A way to recognise a question: how similar a pair is, and whether it may be the same.

    The threshold is chosen, not below the floor; or it is the floor.
    """

    name: str
    similarity: Callable[[Pair], float]
    allowed: Callable[[Pair], bool]
    floor: float
    chosen: bool = True


def pairs() -> list[Pair]:
    """Return all pairs: paraphrases, and questions that differ in a thing that matters."""
    return [*_pairs("same.tsv", is_same=True), *_pairs("different.tsv", is_same=False)]


def ways(embeddings: Embeddings | None = None) -> Iterator[Way]:
    """Yield what is compared: hashed features and a model, each alone and within the limits."""
    yield Way("hashed features alone", _hashed, lambda _: True, 0.0)
    yield Way("hashed features within the limits", _hashed, _may_be, FLOOR)
    yield Way("the same words (default)", lambda pair: float(_same(pair)), lambda _: True, FLOOR)
    if embeddings is not None:
        model = _Model(embeddings)
        yield Way(f"{embeddings.model} alone", model.similarity, lambda _: True, 0.0)
        yield Way("the same, not chosen", model.similarity, lambda _: True, FLOOR, chosen=False)
        yield Way(f"{embeddings.model} within the limits", model.of_question, _may_be, FLOOR)


def measure(embeddings: Embeddings | None = None) -> Iterator[str]:
    """Yield the lines of a table: hits and false hits on the half that was not chosen on."""
    halves = _halves(pairs())
    same, different = (
        sum(pair.is_same == is_same for pair in halves[1]) for is_same in (True, False)
    )
    yield f"{same} paraphrases and {different} different questions judge what as many others chose"
    yield ""
    yield "| way | threshold | hits | false hits |"
    yield "|---|--:|--:|--:|"
    for way in ways(embeddings):
        threshold = _chosen(way, halves[0]) if way.chosen else way.floor
        hits, wrong = _judged(way, threshold, halves[1])
        share = f"{hits} ({hits / same:.0%})"
        yield f"| {way.name} | {threshold:.3f} | {share} | {wrong} |"
    yield ""
    yield from _by_kind()


def merged(texts: Sequence[str]) -> list[list[str]]:
    """Return the texts that are the same by their words, where more than signs and case differ.

    Read them: each group is one question, or a false hit.
    """
    groups: dict[bytes, list[str]] = defaultdict(list)
    for text in dict.fromkeys(texts):
        likeness = Likeness.of(text)
        if likeness is not None:
            groups[likeness.whole].append(text)
    return [each for each in groups.values() if len({_letters(text) for text in each}) > 1]


def _letters(text: str) -> str:
    """Return the words of a text without the letter of an option before them."""
    return " ".join(WORD.findall(OPTION.sub("", text).lower()))


def _by_kind() -> Iterator[str]:
    """Yield how often the default gives an answer, by kind of pair, over both halves."""
    yield "| kind | pairs | given the same answer |"
    yield "|---|--:|--:|"
    found = pairs()
    for is_same, kind in dict.fromkeys((pair.is_same, pair.kind) for pair in found):
        of_kind = [pair for pair in found if (pair.is_same, pair.kind) == (is_same, kind)]
        told = kind if is_same else f"different: {kind}"
        yield f"| {told} | {len(of_kind)} | {sum(map(_same, of_kind))} |"


def _pairs(name: str, *, is_same: bool) -> Iterator[Pair]:
    for line in (PAIRS / name).read_text(encoding="utf-8").splitlines():
        kind, one, other = line.split("\t")
        yield Pair(kind, one, other, is_same)


def _halves(found: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    same = [pair for pair in found if pair.is_same]
    different = [pair for pair in found if not pair.is_same]
    return same[::2] + different[::2], same[1::2] + different[1::2]


def _chosen(way: Way, half: Sequence[Pair]) -> float:
    """Return the least threshold without a false hit, but not below the floor."""
    wrong = [way.similarity(pair) for pair in half if not pair.is_same and way.allowed(pair)]
    return max(way.floor, max(wrong, default=0.0) + ABOVE)


def _judged(way: Way, threshold: float, half: Sequence[Pair]) -> tuple[int, int]:
    given = [pair for pair in half if _is_given(way, threshold, pair)]
    return sum(pair.is_same for pair in given), sum(not pair.is_same for pair in given)


def _is_given(way: Way, threshold: float, pair: Pair) -> bool:
    return way.allowed(pair) and way.similarity(pair) >= threshold


def _same(pair: Pair) -> bool:
    one, other = Likeness.of(pair.one), Likeness.of(pair.other)
    return one is not None and other is not None and one.whole == other.whole


def _may_be(pair: Pair) -> bool:
    one, other = Likeness.of(pair.one), Likeness.of(pair.other)
    return one is not None and other is not None and (_same(pair) or one.may_be(other))


def _hashed(pair: Pair) -> float:
    one, other = _counts(pair.one), _counts(pair.other)
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def _counts(text: str) -> Floats:
    sketch = Sketch.of(Prompt.of([{"role": "user", "content": text}]))
    counts = np.zeros(1 << 16)
    counts[sketch.buckets] = sketch.counts
    return counts


@click.command()
@click.option("--embeddings-url", help="Where a model of language answers, such as .../v1.")
@click.option("--embeddings-model", help="Its name there.")
@click.option("--embeddings-key-env", help="The variable that holds the key of that provider.")
@click.option("--table", "tables", multiple=True, help="Show lines of its prompts that are merged.")
def cache(
    embeddings_url: str | None,
    embeddings_model: str | None,
    embeddings_key_env: str | None,
    tables: tuple[str, ...],
) -> None:
    """Count paraphrases that get a stored answer while no different question does."""
    if tables:
        _show_merged(tables)
        return
    if embeddings_url is None or embeddings_model is None:
        click.echo("\n".join(measure()))
        return
    provider = Provider("embeddings", embeddings_url, embeddings_key_env, ("embeddings",))
    catalogue = Catalogue({provider.name: provider}, {})
    with Upstream(lambda: catalogue, os.environ) as upstream:
        asked = Embeddings(upstream.pass_on, embeddings_model, Timeouts())
        click.echo("\n".join(measure(asked)))


def _show_merged(tables: Sequence[str]) -> None:
    prompts = [prompt for name in tables for prompt in load(name).prompts]
    texts = list(dict.fromkeys(line for prompt in prompts for line in prompt.splitlines() if line))
    groups = merged(texts)
    click.echo(f"{len(texts)} lines, {len(groups)} groups of more than one to read")
    for group in groups:
        click.echo("\n".join(["", *group]))


class _Model:
    """The similarities by a model, which is asked of each text once."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._asked: dict[str, Floats] = {}

    def similarity(self, pair: Pair) -> float:
        return float(self._vector(pair.one) @ self._vector(pair.other))

    def of_question(self, pair: Pair) -> float:
        return 1.0 if _same(pair) else self.similarity(pair)

    def _vector(self, text: str) -> Floats:
        if text not in self._asked:
            self._asked[text] = self._embeddings.vector(text)
        return self._asked[text]
