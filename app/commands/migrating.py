"""From SQLite to PostgreSQL: the log is copied, and what is learned from it proven the same."""

import sys
import time
from shlex import quote

import click

from app.mode import APART, beside_log
from app.settings import Settings
from jobs.intake import records
from jobs.learned import Learned
from policy.errors import ConfigError, InvalidInput
from storage.handover import take
from storage.place import ENCODED, Place, apart, is_postgres, shown
from storage.reader import LogReader
from storage.snapshots import digest
from storage.spool import Spooling
from storage.stores import exists, open_log, open_reader

SHOWN_EVERY = 1_000


def migrate_to(settings: Settings, url: str) -> None:
    """Copy the log in force, compare, and say what to do next.

    raises : ConfigError if there is nothing to move, a service writes it, or the target is not
        empty; InvalidInput if it is no PostgreSQL, or what is learned there is not the same;
        StoreUnavailable
    """
    from storage.moving import move, rows_in

    source = settings.database
    if isinstance(source, str):
        raise ConfigError(f"the log is in PostgreSQL already: {shown(source)}")
    if not is_postgres(url):
        raise InvalidInput(
            f"that is no PostgreSQL database: give postgresql://user:password@host/name {ENCODED}",
            param="url",
        )
    if not exists(source):
        raise ConfigError(f"there is no log at {source} to move: set TURNPIKE_DATABASE to its path")
    target = str(apart(url, APART)) if settings.sandbox == "on" else url
    with open_log(source, spooling=Spooling(settings.spool_bytes)) as log:
        log.bring_back()  # what waits beside the log is moved too
        take(beside_log(settings) / "handover", log, records, time.time())
    with click.progressbar(length=rows_in(source), label="copying rows", file=sys.stderr) as bar:
        move(source, target, bar.update)
    before, after = _learned(source, "folding the old log"), _learned(target, "folding the new log")
    if before != after:
        raise InvalidInput(
            f"what is learned from {shown(target)} is not what was learned from {source}: "
            f"{after} and {before}; use the old one, and tell us"
        )
    click.echo(f"moved and verified: {before[0]} events, {before[1]} decisions, sha256 {before[2]}")
    with_it = f"TURNPIKE_DATABASE={shown(url)}{_folder(settings, url)}"
    click.echo(f"Start with {with_it} (and its password); {source} stays.")


def _folder(settings: Settings, url: str) -> str:
    """Return what keeps the folder beside the log, where the secret of the keys lies."""
    folder = settings.folder.parent if settings.sandbox == "on" else settings.folder
    later = settings.model_copy(update={"database": url, "data": None}).folder
    is_same = folder.absolute() == later.absolute()
    return "" if is_same else f" TURNPIKE_DATA={quote(str(folder))}"


def _learned(place: Place, label: str) -> tuple[int, int, str]:
    """Return the position, the number of decisions, and the SHA-256 of what is learned."""
    with open_reader(place) as log:
        return log.position(), log.counts().decisions, _digest(log, label)


def _digest(log: LogReader, label: str) -> str:
    policy = log.latest_policy()
    if policy is None:
        return "nothing"
    with click.progressbar(
        log.events(),
        length=log.position(),
        label=label,
        file=sys.stderr,
        update_min_steps=SHOWN_EVERY,
    ) as events:
        return digest(Learned.start(policy).fold(events).to_arrays())
