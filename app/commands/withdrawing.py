"""Withdraw the evals of a file that was imported, or take that back; or list what was imported.

The rows are marked first, then the policy is folded anew without them. Whoever is killed in between
only has to say it again.
"""

from dataclasses import asdict
from datetime import UTC, datetime

from app.commands.delivery import delivered
from app.commands.told import tell
from app.commands.training import awaits_fold, refolded
from app.figures import counted
from app.settings import Settings
from jobs.intake import WITHDRAW, of_withdrawal
from policy.errors import InvalidInput
from storage.reader import LogReader
from storage.records import Withdrawal
from storage.stores import open_reader
from storage.withdrawing import Batch, batches

SHOWN = 8


def list_batches(settings: Settings, *, as_json: bool) -> None:
    """Say what was imported.

    raises : ConfigError if there is no log; StoreUnavailable
    """
    with open_reader(settings.database) as log:
        found = batches(log.ask)
    told = {"batches": [asdict(each) for each in found]}
    tell(told, "\n".join(map(_line, found)) or "no evals were imported", as_json=as_json)


def withdraw(settings: Settings, named: str, *, withdrawn: bool, as_json: bool) -> None:
    """Let a file's scores teach nothing, or teach again, and say which policy serves then.

    raises : InvalidInput if no file is named so, or several are; ConfigError if there is no log;
             StoreUnavailable
    """
    with open_reader(settings.database) as log:
        batch = _named(log, named)
        is_new, version = batch.withdrawn != withdrawn, None
        if is_new:
            made = Withdrawal(batch=batch.batch, withdrawn=withdrawn)
            delivered(settings, of_withdrawal(made))
        if is_new or awaits_fold(log, WITHDRAW):
            version = refolded(settings, log, "withdraw")
        batch = _named(log, batch.batch)
    serves = "" if version is None else f"; policy {version} serves"
    told = {**asdict(batch), "policy_version": version}
    tell(told, f"{_said(batch)}{serves}", as_json=as_json)


def _named(log: LogReader, named: str) -> Batch:
    found = batches(log.ask, named)
    if len(found) != 1:
        what = "no imported file" if not found else f"more than one imported file ({len(found)})"
        there = "; ".join(map(_line, batches(log.ask))) or "none was imported"
        raise InvalidInput(f"{what} begins with {named!r}: {there}", param="batch")
    return found[0]


def short(batch: Batch) -> str:
    """Return what tells a file from others well enough."""
    return batch.batch[:SHOWN]


def _line(batch: Batch) -> str:
    day = datetime.fromtimestamp(batch.at_s, UTC).strftime("%Y-%m-%d %H:%M")
    on = f"{counted(batch.arms, 'arms')} on {counted(batch.prompts, 'prompts')}"
    withdrawn = ", withdrawn" if batch.withdrawn else ""
    return f"{short(batch)}  {day}  {counted(batch.scores, 'scores')} of {on}{withdrawn}"


def _said(batch: Batch) -> str:
    teach = "are withdrawn: they teach nothing" if batch.withdrawn else "teach"
    return f"the {batch.scores} scores of {short(batch)} {teach}"
