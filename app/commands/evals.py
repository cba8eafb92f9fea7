"""Warm start: a team's own evals, a table of prompts with one score column per arm.

Every row is checked before any is handed over, and every score counts, also where a prompt stands
in several rows. A file imported twice counts once: what was broken off can be taken up again.
"""

import csv
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import NamedTuple, Self

import click
from pydantic import TypeAdapter, ValidationError

from app.api.schemas import TaskTag
from app.commands.delivery import delivered_all
from app.commands.told import tell
from app.commands.withdrawing import short
from app.figures import counted
from app.given import command
from app.mistakes import seen
from app.settings import Settings
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.intake import of_evals
from policy.errors import InvalidInput
from storage.records import Eval
from storage.stores import open_reader
from storage.withdrawing import batches
from upstream.catalogue import load

PROMPT, TASK = "prompt", "task"
BEYOND = "beyond the last column"
PIECE = 500
"""Scores that a service writes at once, for some tenths of a second, in which it answers nobody."""
LEARNED = (
    "the policy has learned them; `{0} retrain` fits its features to them too, "
    "`{0} withdraw {1}` takes them back"
)
WITHDRAWN = "they are withdrawn and teach nothing; `{0} withdraw --undo {1}` lets them teach again"
TASKS: TypeAdapter[str] = TypeAdapter(TaskTag)


def import_evals(settings: Settings, table: Path, *, as_json: bool = False) -> None:
    """Hand over the scores of a table, and say how many there were, and how many were new.

    raises : InvalidInput naming line, column and value
    """
    at_s = time.time()
    csv.field_size_limit(settings.max_body_bytes)  # as long a prompt as the service takes
    evals = EvalsFile.opened(table, load(settings.arms).arms)
    n = evals.checked()
    if not n:
        raise InvalidInput(f"{table} has no scores; give each arm a column of numbers 0 to 1")
    _deliver(settings, evals, n, at_s)
    with open_reader(settings.database) as log:
        new = log.lookups.imported(evals.batch, at_s)
        [batch] = batches(log.ask, evals.batch)
    told = {"batch": batch.batch, "scores": n, "new": new, "arms": batch.arms}
    told |= {"prompts": batch.prompts, "withdrawn": batch.withdrawn}
    on = f"{counted(batch.arms, 'arms')} on {counted(batch.prompts, 'prompts')}"
    said = f"imported {counted(n, 'scores')} of {on}"
    before = "" if new == n else f", {new} new: this file was imported before"
    learned = (WITHDRAWN if batch.withdrawn else LEARNED).format(command(), short(batch))
    tell(told, f"{said}{before}\n{learned}", as_json=as_json)


def _deliver(settings: Settings, table: "EvalsFile", n: int, at_s: float) -> None:
    """Hand over all scores of a table, showing how far that has come.

    raises : TurnpikeError that tells how many are in the log, if not all
    """
    evals = table.evals(at_s)
    pieces = map(of_evals, iter(lambda: list(islice(evals, PIECE)), []))
    rest = "scores are in; import the file again, and the rest follows"
    delivered_all(settings, pieces, PIECE, n, "importing evals", rest)


class EvalsRow(NamedTuple):
    """One line of a table: what was asked, and how each arm did of which that is known."""

    prompt: Prompt
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class EvalsFile:
    """A file of evals; it is read twice, because all of it is checked before any is learned."""

    path: Path
    stamp: tuple[int, int]
    batch: str
    lines: int
    arms: Mapping[str, object]

    @classmethod
    def opened(cls, path: Path, arms: Mapping[str, object]) -> Self:
        """Return a file of which nothing was checked but that it is text.

        raises : InvalidInput for a pipe, and naming the byte that is not UTF-8
        """
        if not path.is_file():
            raise InvalidInput(f"{path} cannot be read twice; save it as a file, and import that")
        stamp, batch, lines, at = _stamp(path), sha256(), 0, 0
        with path.open("rb") as file:
            for line in file:
                batch.update(line)
                _must_be_text(path, line, at)
                lines, at = lines + 1, at + len(line)
        return cls(path, stamp, batch.hexdigest(), lines, arms)

    def checked(self) -> int:
        """Return how many scores there are, showing how far it has come.

        raises : InvalidInput naming line, column and value
        """
        with click.progressbar(
            self.rows(), length=self.lines, label="reading evals", file=sys.stderr
        ) as reading:
            return sum(len(row.scores) for row in reading)

    def rows(self) -> Iterator[EvalsRow]:
        """Yield what each line says.

        raises : InvalidInput naming line, column and value
        """
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.DictReader(file, restkey=BEYOND, strict=True)
            try:
                scored = columns(lines.fieldnames or (), self.arms)
                for line in lines:
                    yield _row(lines.line_num, line, scored)
            except csv.Error as error:
                raise InvalidInput(
                    f"line {lines.line_num + 1}: {error}; it must be a line of CSV"
                ) from error
        if _stamp(self.path) != self.stamp:
            raise InvalidInput(
                f"{self.path} was changed while it was read; import it when it is whole"
            )

    def evals(self, at_s: float) -> Iterator[Eval]:
        """Yield the scores so that the log, which knows one by batch, prompt and arm, keeps each.

        A prompt may stand in several rows: for several samples, or under several tasks.
        """
        seen: Counter[tuple[str, str]] = Counter()
        for prompt, scores in self.rows():
            digest, stored = prompt.digest, Sketch.of(prompt).to_bytes()
            for arm, score in scores.items():
                seen[digest, arm] += 1
                nth = seen[digest, arm]
                yield Eval(
                    batch=self.batch if nth == 1 else f"{self.batch}.{nth}",
                    at_s=at_s,
                    prompt_sha256=digest,
                    task=prompt.task,
                    sketch=stored,
                    arm=arm,
                    score=score,
                )


def columns(names: Sequence[str], arms: Mapping[str, object]) -> list[str]:
    """Return the score columns of a table.

    raises : InvalidInput if `prompt` is missing, a column stands twice, or none is an arm of ours

    >>> columns(["prompt", "task", "gpt-4o"], {"gpt-4o": None})
    ['gpt-4o']
    """
    if PROMPT not in names:
        raise InvalidInput(
            f"the table has no column {PROMPT!r}, it has {list(names)}", param=PROMPT
        )
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"column {name!r} stands twice; keep one of them", param=name)
    scored = [name for name in names if name not in {PROMPT, TASK}]
    for name in scored:
        if name not in arms:
            near = get_close_matches(name, arms, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the arms are {', '.join(arms)}"
            raise InvalidInput(f"column {name!r} is no arm of the catalogue; {hint}", param=name)
    if not scored:
        raise InvalidInput(f"the table has no score column; the arms are {', '.join(arms)}")
    return scored


def _row(line: int, row: Mapping[str, str], scored: Sequence[str]) -> EvalsRow:
    if BEYOND in row:
        raise InvalidInput(f"line {line} has more cells than the head; quote a text with commas")
    text = row.get(PROMPT) or ""
    if not text.strip():
        raise InvalidInput(f"line {line}: the prompt is empty; give the text that was asked")
    task = _task(line, (row.get(TASK) or "").strip())
    given = [arm for arm in scored if (row.get(arm) or "").strip()]
    scores = {arm: _score(line, arm, row[arm]) for arm in given}
    return EvalsRow(Prompt.of([{"role": "user", "content": text}], task), scores)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _must_be_text(table: Path, line: bytes, at: int) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{table} is not UTF-8: byte {line[error.start]:#04x} at {at + error.start}; "
            "save it as UTF-8"
        ) from error


def _task(line: int, given: str) -> str | None:
    try:
        return TASKS.validate_python(given) if given else None
    except ValidationError as error:
        raise InvalidInput(
            f"line {line}, column {TASK}: {seen(given)} is no task; {error.errors()[0]['msg']}",
            param=TASK,
        ) from error


def _score(line: int, arm: str, given: str) -> float:
    try:
        score = float(given)
    except ValueError:
        score = float("nan")
    if not (isfinite(score) and 0 <= score <= 1):
        raise InvalidInput(
            f"line {line}, column {arm}: {seen(given)} is no score from 0 to 1", param=arm
        )
    return score
