"""Arms from the command line: which there are, whether each answers, and which could be added."""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click

from app.commands.delivery import unwritable
from app.commands.told import EX_FAILED, table, tell
from app.settings import Settings
from policy.errors import InvalidInput, UpstreamError, UpstreamRejected
from policy.types import Arm
from upstream.catalogue import Catalogue, load
from upstream.client import Upstream
from upstream.deadlines import AWAITED
from upstream.fields import ARM_NAME
from upstream.listing import ListedModel, listing
from upstream.naming import answering

CALLERS = 8
MOST_TOKENS = 16
LONGEST_NAME = 56
QUESTION = {"messages": [{"role": "user", "content": "Answer with the one word ok."}]}
UNKNOWN = "look it up: the provider does not say"
LISTED = ("arm", "provider", "model", "in $/M", "out $/M", "window", "tier", "can")
CHECKED = ("", "arm", "seconds", "says")


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of asking one arm; `answered_as` is a model that is another than was asked.

    `lacks` is where its provider should have said what it bills.
    """

    arm: str
    answers: bool
    latency_s: float
    says: str
    answered_as: str | None = None
    lacks: str | None = None


def listed(settings: Settings, *, as_json: bool) -> None:
    """Print the arms of the catalogue with their prices.

    raises : ConfigError
    """
    arms = load(settings.arms).arms.values()
    rows = [
        (arm.name, arm.provider, arm.model, f"{arm.input_usd_per_mtok:g}",
         f"{arm.output_usd_per_mtok:g}", arm.context_window, arm.tier,
         ",".join(sorted(arm.capabilities)))
        for arm in arms
    ]  # fmt: skip
    told = [{**asdict(arm), "capabilities": sorted(arm.capabilities)} for arm in arms]
    tell(told, table(LISTED, rows), as_json=as_json)


def check(settings: Settings, named: Sequence[str], *, as_json: bool) -> int:
    """Ask each arm for a word and print what came; return 1 if one of them does not answer.

    raises : ConfigError; InvalidInput for a name that is no arm
    """
    catalogue = load(settings.arms)
    arms = [_arm(name, catalogue) for name in named] or list(catalogue.arms.values())
    found = list(_asked(arms, catalogue, os.environ))
    rows = [
        (_mark(each), each.arm, f"{each.latency_s:.2f}" if each.answers else "", each.says)
        for each in found
    ]
    tell([asdict(each) for each in found], table(CHECKED, rows), as_json=as_json)
    return 0 if all(each.answers for each in found) else EX_FAILED


def sync(settings: Settings, named: str, matching: str, *, write: bool, as_json: bool) -> None:
    """Print entries for the models that a provider lists and the catalogue lacks, or append them.

    An entry is complete where the provider tells prices and window; else it is a comment, for
    somebody to complete. No entry that is there is touched.

    raises : ConfigError; InvalidInput for a name that is no provider; UpstreamError
    """
    catalogue = load(settings.arms)
    if named not in catalogue.providers:
        known = ", ".join(catalogue.providers)
        raise InvalidInput(
            f"{named!r} is no provider; those of {settings.arms} are {known}", param="provider"
        )
    there = {arm.model for arm in catalogue.arms.values() if arm.provider == named}
    offered = listing(catalogue.providers[named], os.environ)
    missing = [
        each for each in offered if each.model not in there and matching in each.model.lower()
    ]
    entries = list(_entries(missing, named, set(catalogue.arms)))
    done = "nothing is written without --write"
    if write:
        done = f"{_append(settings.arms, entries)} appended to {settings.arms}"
    summary = f"# {len(offered)} models listed, {len(missing)} not in the catalogue; {done}"
    told = [{**asdict(each), "is_complete": each.is_priced} for each in missing]
    tell(told, "\n".join([*([] if write else entries), summary]), as_json=as_json)


def _asked(
    arms: Sequence[Arm], catalogue: Catalogue, environ: Mapping[str, str]
) -> Iterator[Checked]:
    """Yield what became of each arm; those without a key are not asked."""
    unset = {
        name: provider.api_key_env
        for name, provider in catalogue.providers.items()
        if provider.api_key_env and not environ.get(provider.api_key_env)
    }
    providers = {n: each for n, each in catalogue.providers.items() if n not in unset}
    reachable = Catalogue(providers, catalogue.arms)

    def ask(arm: Arm) -> Checked:
        if arm.provider in unset:
            return Checked(arm.name, False, 0.0, f"{unset[arm.provider]} is not set")
        return _checked(upstream, arm, catalogue)

    ended = threading.Event()
    awaited = partial(AWAITED.set, lambda: not ended.is_set())
    with (
        Upstream(lambda: reachable, environ) as upstream,
        ThreadPoolExecutor(CALLERS, initializer=awaited) as pool,
        click.progressbar(length=len(arms), label="asking", file=sys.stderr) as shown,
    ):
        try:
            for checked in pool.map(ask, arms):
                shown.update(1)
                yield checked
        finally:
            ended.set()  # who interrupts us waits for no provider that is silent


def _checked(upstream: Upstream, arm: Arm, catalogue: Catalogue) -> Checked:
    try:
        try:
            answer = upstream.answer(arm, {**QUESTION, "max_tokens": MOST_TOKENS})
        except UpstreamRejected:  # some models know that limit by another name
            answer = upstream.answer(arm, QUESTION)
    except UpstreamError as error:
        return Checked(arm.name, False, 0.0, error.message)
    says, other, lacks = f"answers as {answer.model}", None, None
    if answering(arm, answer.model, catalogue.arms.values()) is not arm:
        says, other = f"{says}; if that is right, say answers_as in its table", answer.model
    if arm.billed_in and answer.usage.billed_usd is None:
        lacks = f"usage.{arm.billed_in}"
        says = f"{says}; no {lacks} says what is billed: its prices count"
    return Checked(arm.name, True, answer.latency_s, says, other, lacks)


def _mark(checked: Checked) -> str:
    if not checked.answers:
        return "FAILED"
    return "ok" if checked.answered_as is None and checked.lacks is None else "note"


def _entries(models: Sequence[ListedModel], provider: str, taken: set[str]) -> Iterator[str]:
    """Yield an entry of the catalogue for each model, under a name that no other arm has."""
    for each in models:
        name = _name_for(each.model, taken)
        taken.add(name)
        fields = {
            "provider": provider,
            "model": each.model,
            "input_usd_per_mtok": each.input_usd_per_mtok,
            "output_usd_per_mtok": each.output_usd_per_mtok,
            "context_window": each.context_window,
        }
        lines = [f"[arm.{json.dumps(name)}]"]
        lines += [f"{field} = {_toml(value)}" for field, value in fields.items()]
        before = "" if each.is_priced else "# "
        yield "".join(f"{before}{line}\n" for line in lines)


def _name_for(model: str, taken: set[str]) -> str:
    """Return a name for an arm: the end of the model's, as a catalogue takes it.

    >>> _name_for("vendor/Some Model:free", {"some-model:free"})
    'some-model:free-2'
    """
    name = re.sub(r"[^a-z0-9._:-]+", "-", model.rpartition("/")[2].lower())[:LONGEST_NAME]
    if not ARM_NAME.holds(name):
        name = f"model-{name}"
    return next(
        each
        for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3)))
        if each not in taken
    )


def _toml(value: object) -> str:
    return f"  # {UNKNOWN}" if value is None else json.dumps(value, ensure_ascii=False)


def _append(path: Path, entries: Sequence[str]) -> int:
    """Return how many entries were new and now stand at the catalogue's end, all of them or none.

    raises : ConfigError if it would be no catalogue any more, or cannot be written, with the old
             one left as it was
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        text = path.read_text(encoding="utf-8").rstrip()
        new = [entry for entry in entries if not _stands_in(text, entry)]
        if not new:
            return 0
        draft.unlink(missing_ok=True)
        with draft.open("x", encoding="utf-8") as file:  # never what a link in its place leads to
            file.write("\n\n".join([text, *new]))
            was = path.stat()
            with suppress(PermissionError):  # only root gives away what it makes
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fchmod(file.fileno(), was.st_mode & 0o7777)
        load(draft)
        draft.replace(path)
        return len(new)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # a disk that takes nothing does not let go of it either
            draft.unlink(missing_ok=True)


def _stands_in(text: str, entry: str) -> bool:
    """Return whether the entry's provider and model are there, under whatever name."""
    return "\n".join(entry.splitlines()[1:3]) in text


def _arm(name: str, catalogue: Catalogue) -> Arm:
    if name not in catalogue.arms:
        raise InvalidInput(
            f"{name!r} is no arm; the arms are {', '.join(catalogue.arms)}", param="names"
        )
    return catalogue.arms[name]
