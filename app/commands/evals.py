"""Warm start: a team's own evals, a table of prompts with one score column per arm.

Every row is checked before any is handed over, and every score counts, also where a prompt stands
in several rows; the same file imported twice counts once.
"""

import csv
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from hashlib import sha256
from io import StringIO
from math import isfinite
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from app.api.schemas import Task
from app.commands.delivery import delivered
from app.commands.told import tell
from app.commands.withdrawing import short
from app.figures import counted
from app.given import command
from app.mistakes import seen
from app.settings import Settings
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.intake import hand_over_evals
from policy.errors import InvalidInput
from storage.records import Eval
from storage.stores import open_reader
from storage.withdrawing import batches
from upstream.catalogue import load

PROMPT, TASK = "prompt", "task"
BEYOND = "beyond the last column"
LEARNED = (
    "the policy has learned them; `{0} retrain` fits its features to them too, "
    "`{0} withdraw {1}` takes them back"
)
WITHDRAWN = "they are withdrawn and teach nothing; `{0} withdraw --undo {1}` lets them teach again"
TASKS: TypeAdapter[str] = TypeAdapter(Task)


def import_evals(settings: Settings, table: Path, *, as_json: bool = False) -> None:
    """Hand over the scores of a table, and say how many there were, and how many were new.

    raises : InvalidInput naming line, column and value
    """
    at_s = time.time()
    csv.field_size_limit(settings.max_body_bytes)  # as long a prompt as the service takes
    evals = scores(table, load(settings.arms).arms, at_s)
    if not evals:
        raise InvalidInput(f"{table} has no scores; give each arm a column of numbers 0 to 1")
    delivered(settings, lambda data: hand_over_evals(data, evals))
    with open_reader(settings.database) as log:
        new = log.lookups.imported(evals[0].batch, at_s)
        [batch] = batches(log.ask, evals[0].batch)
    told = {"batch": batch.batch, "scores": len(evals), "new": new, "arms": batch.arms}
    told |= {"prompts": batch.prompts, "withdrawn": batch.withdrawn}
    on = f"{counted(batch.arms, 'arms')} on {counted(batch.prompts, 'prompts')}"
    said = f"imported {counted(len(evals), 'scores')} of {on}"
    before = "" if new == len(evals) else f", {new} new: this file was imported before"
    learned = (WITHDRAWN if batch.withdrawn else LEARNED).format(command(), short(batch))
    tell(told, f"{said}{before}\n{learned}", as_json=as_json)


def scores(table: Path, arms: Mapping[str, object], at_s: float) -> list[Eval]:
    """Return the scores of a table, showing how far it has come.

    raises : InvalidInput naming line, column and value
    """
    raw = table.read_bytes()
    batch = sha256(raw).hexdigest()
    rows = csv.DictReader(StringIO(_text(table, raw), newline=""), restkey=BEYOND, strict=True)
    try:
        scored = columns(rows.fieldnames or (), arms)
        numbered = [(rows.line_num, row) for row in rows]
    except csv.Error as error:
        raise InvalidInput(
            f"line {rows.line_num + 1}: {error}; it must be a line of CSV"
        ) from error
    with click.progressbar(numbered, label="reading evals", file=sys.stderr) as reading:
        found = (each for line, row in reading for each in _evals(line, row, scored, batch, at_s))
        return list(_told_apart(found))


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


def _evals(
    line: int, row: Mapping[str, str], scored: Sequence[str], batch: str, at_s: float
) -> Iterator[Eval]:
    if BEYOND in row:
        raise InvalidInput(f"line {line} has more cells than the head; quote a text with commas")
    text = row.get(PROMPT) or ""
    if not text.strip():
        raise InvalidInput(f"line {line}: the prompt is empty; give the text that was asked")
    task = _task(line, (row.get(TASK) or "").strip())
    prompt = Prompt.of([{"role": "user", "content": text}], task)
    stored = Sketch.of(prompt).to_bytes()
    for arm in scored:
        if (row.get(arm) or "").strip():
            yield Eval(
                batch=batch,
                at_s=at_s,
                prompt_sha256=prompt.digest,
                task=task,
                sketch=stored,
                arm=arm,
                score=_score(line, arm, row[arm]),
            )


def _told_apart(evals: Iterable[Eval]) -> Iterator[Eval]:
    """Yield the evals so that the log, which knows one by batch, prompt and arm, keeps each.

    A prompt may stand in several rows: for several samples, or under several tasks.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for each in evals:
        known_by = each.prompt_sha256, each.arm
        seen[known_by] += 1
        nth = seen[known_by]
        yield each if nth == 1 else replace(each, batch=f"{each.batch}.{nth}")


def _text(table: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{table} is not UTF-8: byte {raw[error.start]:#04x} at {error.start}; save it as UTF-8"
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
