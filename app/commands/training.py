"""Retrain and roll back from the command line: read the log, hand the result to its writer."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from app.commands.delivery import delivered, unwritable
from app.commands.told import tell
from app.mode import beside_log
from app.settings import Settings
from features.space import Space
from jobs.alone import alone
from jobs.due import due
from jobs.intake import DISTRUST, FORGET, WITHDRAW, of_policy, of_retrain
from jobs.learned import Learned
from jobs.refold import Fold, LogSource, folding, followed, in_order
from policy.errors import InvalidInput
from policy.hyper import Hyper
from storage.parcel import give_to_folders_owner, is_taken, make_folder
from storage.reader import LogReader
from storage.records import Fence, PolicySource, PolicyVersion, RetrainTrigger
from storage.stores import open_log, open_reader

LEASE = "retrain"
TRIES = 3
AT_IT = "another process is retraining: nothing to do"
SHOWN_EVERY = 1_000
IDLE: dict[str, Any] = {"id": None, "promoted": None, "candidate_version": None, "took_s": 0.0}


def retrain(settings: Settings, trigger: RetrainTrigger, *, as_json: bool = False) -> None:
    """Fit a candidate, hand it over with the verdict, and say what came of it.

    Where others may do the same, only one does, and the others say so.

    raises : InvalidInput before the first start; StoreUnavailable
    """
    if isinstance(settings.database, Path):
        with _held(beside_log(settings)) as mine, open_reader(settings.database) as reader:
            told = _retrain(settings, trigger, reader) if mine else IDLE | {"reason": AT_IT}
            return tell(told, _in_words(told), as_json=as_json)
    open_reader(settings.database).close()  # without a log there is nothing to fit
    with open_log(settings.database) as log, alone(log, LEASE) as fence:
        told = _retrain(settings, trigger, log, fence) if fence else IDLE | {"reason": AT_IT}
        return tell(told, _in_words(told), as_json=as_json)


def _retrain(
    settings: Settings, trigger: RetrainTrigger, log: LogReader, fence: Fence | None = None
) -> Mapping[str, Any]:
    """Return what came of it; `promoted` None means that nothing was tried."""
    from jobs.retrain import retrain as fit_and_judge  # going back needs no scikit-learn

    if not _is_wanted(settings, trigger, log):
        return IDLE | {"reason": "another process has just retrained: nothing to do"}
    click.echo("fitting and judging a candidate ...", err=True)
    with _folding(settings, log) as fold:
        result = fit_and_judge(log, trigger, time.time, settings.retrain_first_outcomes, fold)
    made, latest = result.retrain, log.latest_policy()
    if latest is not None and latest.version != made.incumbent_version:
        # Somebody went back, added an arm, was forgotten: what was judged serves no more.
        return IDLE | {"reason": f"policy {latest.version} was adopted meanwhile: nothing to do"}
    delivered(settings, of_retrain(made, result.policy, result.learned, fence))
    return {
        "id": made.id,
        "promoted": made.promoted,
        "candidate_version": made.candidate_version,
        "reason": made.reason,
        "took_s": made.ended_at_s - made.started_at_s,
    }


def _in_words(told: Mapping[str, Any]) -> str:
    if told["promoted"] is None:
        return str(told["reason"])
    verdict = "promoted" if told["promoted"] else "kept the incumbent"
    return f"{verdict}: {told['reason']} ({told['took_s']:.1f} s)"


def _is_wanted(settings: Settings, trigger: RetrainTrigger, log: LogReader) -> bool:
    """Return whether it is still due: another process may have done it while we waited."""
    if trigger == "feedback":
        return due(log.counts(), settings.retrain_first_outcomes)
    latest = next(iter(log.retrains(1)), None)
    if trigger == "manual" or latest is None:
        return True
    # One that is dated ahead tells nothing: the clock was wrong then, or is now.
    return not 0.0 <= time.time() - latest.started_at_s <= settings.retrain_every_s / 2


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Yield whether no other process of this machine retrains, and keep it so.

    raises : ConfigError if the folder cannot be written
    """
    path = folder / f"{LEASE}.lock"
    try:
        make_folder(folder)
        lock = path.open("a")  # whatever a link in its place leads to stays as it is
        give_to_folders_owner(path)
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        yield not is_taken(lock.fileno())


def rollback(settings: Settings, version: int | None, *, as_json: bool = False) -> None:
    """Adopt an earlier policy again, under a new version number, folded over the whole log.

    raises : InvalidInput if there is no such version
    """
    with open_reader(settings.database) as log:
        latest = log.latest_policy()
        if latest is None or latest.version == 1:
            raise InvalidInput("there is no earlier policy version to go back to", param="version")
        wanted = log.policy_version(latest.version - 1 if version is None else version)
        policy = readopted(settings, log, _with_arms_of(latest, wanted), "rollback")
    said = f"policy {policy.version} serves: it is version {wanted.version} again"
    tell({"version": policy.version, "again": wanted.version}, said, as_json=as_json)


def _with_arms_of(latest: PolicyVersion, wanted: PolicyVersion) -> PolicyVersion:
    """Return a policy version with the hints and list prices of the latest.

    They are the catalogue's, which nobody has gone back on.
    """
    now, then = Hyper.from_json(latest.hyper), Hyper.from_json(wanted.hyper)
    return replace(wanted, hyper=replace(then, hints=now.hints, listed=now.listed).to_json())


def awaits_fold(log: LogReader, kind: str) -> bool:
    """Return whether a parcel of this kind came after the last fold because of one.

    What was adopted since for another reason may go on from what was known before.
    """
    return log.received_at_s(kind) > log.lookups.adopted_at_s(kind)


def refolded(settings: Settings, log: LogReader, source: PolicySource) -> int | None:
    """Return under which version the policy that serves was folded anew; None before the first.

    raises : InvalidInput if others adopt one each time while we fold
    """
    for left in reversed(range(TRIES)):
        policy = log.latest_policy()
        if policy is None:
            return None
        try:
            return readopted(settings, log, policy, source).version
        except InvalidInput:
            # Another policy was adopted while we folded: it may know what is gone, so once more.
            if not left:
                raise
    return None


def readopted(
    settings: Settings, log: LogReader, wanted: PolicyVersion, source: PolicySource
) -> PolicyVersion:
    """Return a policy version adopted once more, under a new number, folded over the whole log.

    raises : InvalidInput if another version was adopted meanwhile
    """
    latest = log.latest_policy() or wanted
    # The clock of whoever took the last erasure or withdrawal may be ahead of ours.
    now_s = max(time.time(), *map(log.received_at_s, (FORGET, WITHDRAW, DISTRUST)))
    policy = replace(wanted, version=latest.version + 1, created_at_s=now_s, source=source)
    position = log.position()
    click.echo(f"folding {position} events under policy {wanted.version} ...", err=True)
    # By sums every change stays that was found, also by votes that are as if never given.
    exact = source == "distrust"
    with _folding(settings, log, exact=exact) as fold:
        learned = fold(Learned.start(policy), position)
    delivered(settings, of_policy(policy, learned))
    return policy


@contextmanager
def _folding(settings: Settings, log: LogReader, *, exact: bool = False) -> Iterator[Fold]:
    """Yield how the log is folded; what was found of arms is what the service has found.

    How far it has come is shown where it is folded here: a cluster does not tell.
    """
    place, bars = settings.database, _Bars()
    at = place.absolute() if isinstance(place, Path) else place
    is_here = exact or settings.dask is None
    source = LogSource(partial(open_reader, at), *([bars.told] if is_here else []))

    def found() -> Learned:
        if (policy := log.latest_policy()) is None:
            return Learned.under(0, Space.built_in(), Hyper())
        return followed(beside_log(settings), log, Learned.start(policy))

    way = folding(log, source, settings.dask, found)
    with nullcontext(in_order(source)) if exact else way as fold:
        yield bars.around(fold) if is_here else fold


class _Bars:
    """A bar on the terminal for each fold."""

    _update: Callable[[int], None]

    def told(self, events: int) -> None:
        """Show that so many more events have been read."""
        self._update(events)

    def around(self, fold: Fold) -> Fold:
        """Return the same fold, with a bar that shows how far it has come."""

        def shown(start: Learned, upto_seq: int) -> Learned:
            with click.progressbar(
                length=upto_seq,
                label="folding",
                file=sys.stderr,
                hidden=not sys.stderr.isatty(),
                update_min_steps=SHOWN_EVERY,
            ) as bar:
                self._update = bar.update
                learned = fold(start, upto_seq)
                bar.update(max(upto_seq, SHOWN_EVERY))  # one that went on has read less
            return learned

        return shown
