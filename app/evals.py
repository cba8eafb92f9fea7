"""Warm start: a team's own evals, a table of prompts with one score column per arm.

Every row is checked before any is handed over; the same file imported twice counts once.
"""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from hashlib import sha256
from math import isfinite
from pathlib import Path

import click

from app.settings import Settings
from app.training import delivered
from features.prompt import Prompt
from features.sketch import Sketch
from jobs.intake import hand_over_evals
from policy.errors import InvalidInput
from storage.records import Eval
from upstream.catalogue import load

PROMPT, TASK = "prompt", "task"


def import_evals(settings: Settings, table: Path) -> None:
    """Hand over the scores of a table, and say how many there were.

    raises : InvalidInput naming line, column and value
    """
    arms = load(settings.arms).arms
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        scored = columns(rows.fieldnames or (), arms)
        batch = sha256(table.read_bytes()).hexdigest()
        with click.progressbar(list(rows), label="reading evals") as reading:
            evals = [
                each
                for line, row in enumerate(reading, start=2)
                for each in _evals(line, row, scored, batch)
            ]
    if not evals:
        raise InvalidInput(f"{table} has no scores; give each arm a column of numbers 0 to 1")
    delivered(settings, lambda data: hand_over_evals(data, evals))
    prompts = len({each.prompt_sha256 for each in evals})
    click.echo(f"imported {len(evals)} scores of {len(scored)} arms on {prompts} prompts")
    click.echo("the policy has learned them; `python -m app retrain` fits its features to them too")


def columns(names: Sequence[str], arms: Mapping[str, object]) -> list[str]:
    """Return the score columns of a table.

    raises : InvalidInput if `prompt` is missing, a column is no arm, or there is none

    >>> columns(["prompt", "task", "gpt-4o"], {"gpt-4o": None})
    ['gpt-4o']
    """
    if PROMPT not in names:
        raise InvalidInput(
            f"the table has no column {PROMPT!r}, it has {list(names)}", param=PROMPT
        )
    scored = [name for name in names if name not in {PROMPT, TASK}]
    for name in scored:
        if name not in arms:
            near = get_close_matches(name, arms, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the arms are {', '.join(arms)}"
            raise InvalidInput(f"column {name!r} is no arm of the catalogue; {hint}", param=name)
    if not scored:
        raise InvalidInput(f"the table has no score column; the arms are {', '.join(arms)}")
    return scored


def _evals(line: int, row: Mapping[str, str], scored: Sequence[str], batch: str) -> Iterator[Eval]:
    text = row.get(PROMPT) or ""
    if not text.strip():
        raise InvalidInput(f"line {line}: the prompt is empty; give the text that was asked")
    task = (row.get(TASK) or "").strip() or None
    prompt = Prompt.of([{"role": "user", "content": text}], task)
    stored = Sketch.of(prompt).to_bytes()
    for arm in scored:
        if (row.get(arm) or "").strip():
            yield Eval(
                batch=batch,
                at_s=time.time(),
                prompt_sha256=prompt.digest,
                task=task,
                sketch=stored,
                arm=arm,
                score=_score(line, arm, row[arm]),
            )


def _score(line: int, arm: str, seen: str) -> float:
    try:
        score = float(seen)
    except ValueError:
        score = float("nan")
    if not (isfinite(score) and 0 <= score <= 1):
        raise InvalidInput(
            f"line {line}, column {arm}: {seen!r} is no score from 0 to 1", param=arm
        )
    return score
