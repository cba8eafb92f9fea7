"""What is configured, reachable, learning: findings in plain words, each with what to do."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import click

from app.agreement import require_agreement
from app.figures import ago, counted, seconds
from app.given import command
from app.keys.keyring import STRANGE, known, require_a_key, unopened
from app.mode import folders, in_force, missing_keys
from app.monitoring.lookout import AHEAD_S
from app.processes.berth import waiting_beside
from app.processes.children import health, listens, why_not_ready
from app.settings import Settings
from policy.errors import ConfigError, StoreUnavailable
from storage.database import REMOTE_LOSES, has_wal_reset_race, sqlite_version
from storage.mounts import remote
from storage.place import Place, is_there, shown
from storage.reader import LogReader
from storage.records import Retrain
from storage.stores import open_reader
from upstream.catalogue import Catalogue, Provider, load
from upstream.reach import reach

Level = Literal["ok", "note", "problem"]

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
ANSWER_WITHIN_S = 5.0
STALE_AFTER = 3
CONNECTIONS_EACH = 10
LARGE_BYTES = 200_000_000
SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    about: str
    says: str


def doctor(settings: Settings, as_json: bool) -> int:
    """Print the findings; return 1 if one of them is a problem."""
    findings = list(examine(settings))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            mark = click.style(f"{finding.level:8}", fg=COLOURS[finding.level])
            says = finding.says.replace("\n", f"\n{'':20}")
            click.echo(f"{mark}{finding.about:12}{says}")
    return int(any(finding.level == "problem" for finding in findings))


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what was found, from the catalogue to the last retrain."""
    try:
        catalogue, in_use = load(settings.arms), in_force(settings)
    except ConfigError as error:
        yield Finding("problem", "catalogue", error.message)
        if settings.sandbox == "auto":
            meant = "off" if _reality(settings, settings) else "on"
            settings = settings.model_copy(update={"sandbox": meant})
        yield from _beside_the_catalogue(in_force(settings), every_page=True)
        return
    yield from findings(in_use, catalogue, _reality(settings, in_use), every_page=True)


def _reality(given: Settings, in_use: Settings) -> str:
    """Return what tells that providers are asked, although a start now would take the sandbox."""
    if given.sandbox != "auto" or in_use.sandbox == "off":
        return ""
    if health(given.bind, ANSWER_WITHIN_S).get("sandbox") is False:
        return f"the service at {given.bind} asks providers"
    with suppress(ConfigError, StoreUnavailable), open_reader(given.database) as log:
        if decisions := log.counts().decisions:
            return f"the providers' log has {counted(decisions, 'decisions')}"
    return ""


def findings(
    settings: Settings, catalogue: Catalogue, real: str = "", *, every_page: bool = False
) -> Iterator[Finding]:
    """Yield what was found of a catalogue under the settings in force.

    `real` says how it is known that with them the sandbox would replace providers in use.
    `every_page` of the log takes the longer to look at the larger it is.
    """
    yield Finding("ok", "catalogue", f"{settings.arms}: {len(catalogue.arms)} arms")
    yield _agreement(settings, catalogue)
    yield from _keys(settings, catalogue, real)
    yield from (_reachable(provider, settings) for provider in catalogue.providers.values())
    yield from _beside_the_catalogue(settings, every_page)


def _beside_the_catalogue(settings: Settings, every_page: bool) -> Iterator[Finding]:
    """Yield what was found of that for which no catalogue is needed."""
    yield _service(settings)
    yield from (_writable(folder) for folder in folders(settings))
    yield from _store(settings)
    yield from _spools(settings)
    yield from _learning(settings, every_page)
    yield from _access(settings)


def _agreement(settings: Settings, catalogue: Catalogue) -> Finding:
    try:
        require_agreement(settings, catalogue)
    except ConfigError as error:
        return Finding("problem", "settings", error.message)
    return Finding("ok", "settings", "agree with the catalogue and with each other")


def _keys(settings: Settings, catalogue: Catalogue, real: str) -> Iterator[Finding]:
    for name in missing_keys(catalogue, os.environ):
        if settings.sandbox == "off":
            yield Finding("problem", "key", f"{name} is not set; set it to the provider's key")
        elif real:
            says = f"{name} is not set here, and {real}: a start without it puts the sandbox in "
            says += "the place of every provider; set it, or TURNPIKE_SANDBOX to what is meant"
            yield Finding("problem", "key", says)
        else:
            says = f"{name} is not set, so the sandbox answers; set it to use the provider"
            yield Finding("note", "key", says)


def _reachable(provider: Provider, settings: Settings) -> Finding:
    """Say whether the provider answers, and takes the key if there is one.

    A list of models is nothing that a provider must have, so its absence is no problem.
    """
    reached = reach(provider, os.environ)
    says = f"{provider.name} at {provider.base_url} {reached.says}"
    level: Level = "problem" if settings.sandbox == "off" else "note"
    if reached.fails:
        return Finding(level, "provider", f"{says}; check base_url, the network and the provider")
    if reached.refuses and provider.api_key_env is None:
        says = f"{says}: it wants a key; name the variable that holds it as api_key_env"
        return Finding(level, "provider", says)
    if reached.refuses and os.environ.get(provider.api_key_env or ""):
        return Finding("problem", "provider", f"{says}: it refuses {provider.api_key_env}")
    if reached.status == HTTPStatus.NOT_FOUND:
        says = f"{says}: it lists no models, or base_url is wrong; `{command()} arms check` asks it"
        return Finding("note", "provider", says)
    return Finding("ok", "provider", says)


def _service(settings: Settings) -> Finding:
    url = f"http://{settings.bind}/healthz"
    if health(settings.bind, ANSWER_WITHIN_S).get("status") != "ok":
        if listens(settings.bind, ANSWER_WITHIN_S):
            says = f"something else answers at {settings.bind}, or a service that hangs: end it, "
            return Finding("problem", "service", f"{says}or choose another with TURNPIKE_BIND")
        says = f"does not answer at {url}; start it with {command()} serve"
        return Finding("note", "service", says)
    if why := why_not_ready(settings.bind, ANSWER_WITHIN_S):
        return Finding("problem", "service", f"answers at {url}, and is {why}")
    return Finding("ok", "service", f"answers at {url}")


def _writable(folder: Path) -> Finding:
    """Say whether a folder can be written, or made where it is not there yet."""
    whole = folder.absolute()
    there = next(each for each in (whole, *whole.parents) if os.path.lexists(each))
    try:
        TemporaryFile(dir=there).close()
    except OSError as error:
        says = f"{folder} cannot be written: {there}: {error.strerror}; "
        says += "let this user write there, or set TURNPIKE_DATABASE"
        return Finding("problem", "folder", says)
    return Finding("ok", "folder", f"{folder} can be written")


def _store(settings: Settings) -> Iterator[Finding]:
    """Say which store it is, and what its operator should know."""
    if not isinstance(settings.database, Path):
        yield from _postgres(settings.database)
        return
    if kind := remote(settings.database.resolve()):
        yield Finding("problem", "log", f"{settings.database} lies on {kind}: {REMOTE_LOSES}")
    if has_wal_reset_race():
        # It needs two writers, and we have one.
        says = "has the WAL-reset race (fixed in 3.51.3): let nothing else write the log"
        yield Finding("note", "sqlite", f"{sqlite_version()} {says}")
    else:
        yield Finding("ok", "sqlite", sqlite_version())


def _postgres(url: str) -> Iterator[Finding]:
    from storage.postgres_state import state

    try:
        found = state(url)
    except StoreUnavailable as error:
        yield Finding("problem", "postgresql", error.message)
        return
    yield Finding("ok", "postgresql", f"{found.version} at {shown(url)}")
    for name in found.unsafe:
        says = f"{name} is off there, so what we acknowledge can be lost: set it to on"
        yield Finding("problem", "postgresql", says)
    if found.connections_left < CONNECTIONS_EACH:
        says = f"{found.connections_left} connections are left, and a process may need "
        yield Finding("note", "postgresql", f"{says}{CONNECTIONS_EACH}: raise max_connections")


def _spools(settings: Settings) -> Iterator[Finding]:
    """Say what waits beside the log."""
    try:
        waiting = waiting_beside(settings)
    except ConfigError as error:
        yield Finding("problem", "spool", error.message)
        return
    if waiting:
        says = f"{waiting} rows wait for the log; it could not be written: is the disk full?"
        yield Finding("problem", "spool", f"{says} A running service brings them by itself")


def _learning(settings: Settings, every_page: bool) -> Iterator[Finding]:
    try:
        if isinstance(settings.database, Path) and not is_there(settings.database):
            says = f"{settings.database} does not exist yet: start with {command()} serve"
            yield Finding("note", "log", says)
            return
        with open_reader(settings.database) as log:
            counts, retrains, policy = log.counts(), log.retrains(1), log.latest_policy()
            faults = _faults(settings.database, log) if every_page else []
    except (ConfigError, StoreUnavailable) as error:
        yield Finding("problem", "log", error.message)
        return
    if faults:
        says = f"{shown(settings.database)} is damaged: {' '.join(faults[0].split())[:SHOWN_CHARS]}"
        yield Finding("problem", "log", f"{says}; stop the service and restore the newest backup")
    version = 0 if policy is None else policy.version
    yield Finding("ok", "log", f"{counts.decisions} decisions, policy version {version}")
    rated = f"{counts.rated} rated decisions, {counts.evals} eval scores"
    if counts.rated + counts.evals == 0:
        yield Finding("note", "feedback", f"{rated}: POST thumbs to /feedback, or import evals")
    else:
        yield Finding("ok", "feedback", rated)
    yield _retrained(retrains, settings.retrain_every_s)


def _retrained(retrains: Sequence[Retrain], every_s: float) -> Finding:
    if not retrains:
        return Finding("note", "retrain", "never yet; it runs by itself once there is feedback")
    age_s = time.time() - retrains[0].ended_at_s
    if age_s < -AHEAD_S:
        says = f"the last is dated {seconds(-age_s)} ahead of now: see that the clock is right"
        return Finding("note", "retrain", says)
    level: Level = "note" if age_s > STALE_AFTER * every_s else "ok"
    return Finding(level, "retrain", f"{ago(age_s)}: {retrains[0].reason}")


def _faults(place: Place, log: LogReader) -> list[str]:
    if isinstance(place, Path) and place.stat().st_size > LARGE_BYTES:
        click.echo(f"looking at every page of {place} ...", err=True)
    return log.faults()


def _access(settings: Settings) -> Iterator[Finding]:
    """Say who needs a key, and whether what guards the keys is guarded itself."""
    try:
        keys = known(settings)
        require_a_key(settings, asks=bool(keys) or settings.api_key is not None)
        strange = unopened(settings, keys)
    except (ConfigError, StoreUnavailable) as error:
        yield Finding("problem", "access", error.message)
        return
    if strange:
        yield Finding("problem", "access", f"{', '.join(strange)} open nothing: {STRANGE}")
    opening = sum(each.revoked_at_s is None for each in keys) - len(strange)
    making = f"make one with `{command()} keys create`"
    if not keys and settings.api_key is None:
        says = f"nobody needs a key at {settings.bind}, which only this machine can reach"
        yield Finding("note", "access", f"{says}; {making}")
    elif opening or settings.api_key is not None:
        made = [counted(opening, "keys")] if opening else []
        own = [] if settings.api_key is None else ["TURNPIKE_API_KEY"]
        verb = "opens" if opening + len(own) == 1 else "open"
        yield Finding("ok", "access", f"{' and '.join(made + own)} {verb} the service")
    else:
        yield Finding("problem", "access", f"no key opens the service; {making}")
