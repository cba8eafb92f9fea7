"""The one file that knows every part of the service and puts them together."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from pathlib import Path

from structlog import get_logger

from app.agreement import require_agreement
from app.answers.cache import Cache, Rules
from app.answers.clearing import follow
from app.answers.similar import Similar
from app.dials import named_in
from app.keys.keyring import Keyring
from app.keys.subkeys import subkeys
from app.mode import beside_log
from app.monitoring.alarms import Alarms
from app.monitoring.instruments import Instruments
from app.monitoring.lookout import Lookout
from app.monitoring.reporting import Reports
from app.monitoring.traffic import Following
from app.processes.berth import berth
from app.processes.drain import Drain
from app.processes.keeper import Keeper, abandon
from app.processes.loop import beside
from app.routing.goals import goals
from app.routing.live import Live
from app.routing.observed import Observed
from app.routing.retention import Retention
from app.routing.router import Router, Terms
from app.routing.votes import Votes
from app.settings import Settings
from policy.errors import ConfigError, StoreUnavailable
from storage.cache_file import Bounds, CacheFile, remove
from storage.log import Log
from storage.spool import Spooling
from storage.stores import open_log
from upstream.catalogue import Catalogue
from upstream.client import Upstream
from upstream.embeddings import Embeddings
from upstream.health import Health
from upstream.watch import CatalogueFile

LOGGER = get_logger()
SHARE_OF_CONNECTIONS = 0.75
LET_GO_WITHIN_S = 5.0
"""How long a service that was killed, or a command, may take to let go of the log."""
STORE_AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A running service: what the routes need, and how to end it."""

    settings: Settings
    file: CatalogueFile
    catalogue: Callable[[], Catalogue]
    log: Log
    live: Live
    upstream: Upstream
    cache: Cache
    router: Router
    observed: Observed
    keyring: Keyring
    instruments: Instruments
    traffic: Following
    reports: Reports
    alarms: Alarms
    closing: ExitStack
    started_at_s: float = field(default_factory=time.time)
    drain: Drain = field(default_factory=Drain)

    def close(self) -> None:
        """Save what has been learned, write what waits, close every connection."""
        self.closing.close()


def assemble(
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Parts:
    """Return a service that runs; its threads are started. Breakers count by the clock.

    A server that is away, or goes away meanwhile, is waited for, for ever.

    raises : ConfigError; StoreUnavailable of a log on this machine
    """
    while True:
        try:
            with ExitStack() as ending:
                return _assembled(settings, environ, clock, ending)
        except StoreUnavailable as error:
            if isinstance(settings.database, Path):
                raise
            LOGGER.warning("the log is waited for", reason=error.message)
            time.sleep(STORE_AGAIN_AFTER_S)


def _assembled(
    settings: Settings, environ: Mapping[str, str], clock: Callable[[], float], ending: ExitStack
) -> Parts:
    folder, health, terms = beside_log(settings), _health(settings, clock), _terms(settings)
    file, catalogue = _catalogue(settings)
    upstream, now_s = ending.enter_context(Upstream(catalogue, environ)), time.time()
    log, own = ending.enter_context(_log(settings, now_s))
    keyring = Keyring(settings, subkeys(settings), log, goals(settings, catalogue()))
    live = _live(log, folder, catalogue, keyring, now_s)
    cache = ending.enter_context(closing(_cache(settings, own, upstream, log)))
    traffic, votes = Following(log, own, time.time), Votes(log, named_in(settings.trusted_tenants))
    alarms = _alarms(settings, catalogue, log, live, votes, health)
    _start(ending, Keeper(folder, log, live, catalogue, cache, traffic, keyring), alarms)
    instruments = ending.enter_context(closing(Instruments.new(environ, catalogue)))
    observed = Observed(log, terms.retention, instruments.observers, settings.feedback_window_s)
    return Parts(
        settings=settings,
        file=file,
        catalogue=catalogue,
        log=log,
        live=live,
        upstream=upstream,
        cache=cache,
        router=Router(terms, catalogue, upstream, observed, live, health, cache),
        observed=observed,
        keyring=keyring,
        instruments=instruments,
        traffic=traffic,
        reports=Reports(log, catalogue, settings.baseline),
        alarms=alarms,
        closing=ending.pop_all(),
    )


def _live(
    log: Log, folder: Path, catalogue: Callable[[], Catalogue], keyring: Keyring, now_s: float
) -> Live:
    """Return what decides and learns; it knows what others hold of its budgets if it can."""
    live = Live(log, folder, catalogue().arms.values(), keyring.goals, keyring.has_goal, now_s)
    with suppress(StoreUnavailable):  # the keeper asks again
        live.share(now_s)
    return live


def _catalogue(settings: Settings) -> tuple[CatalogueFile, Callable[[], Catalogue]]:
    """Return the file, and the catalogue in force: its own, or its arms served by the sandbox."""
    agree = partial(require_agreement, settings)
    file = CatalogueFile(settings.arms, agree=agree, tell=_tell_of_catalogue)
    url = settings.sandbox_url
    if url is None and settings.sandbox == "on":
        raise ConfigError(
            "TURNPIKE_SANDBOX is on, but no TURNPIKE_SANDBOX_URL says where it answers"
        )
    if url is None:
        return file, file.current
    return file, lambda: file.current().served_at(url)


def _tell_of_catalogue(error: str | None) -> None:
    if error is None:
        LOGGER.info("the catalogue is right again, and in use")
    else:
        LOGGER.warning("the catalogue cannot be used: the last good one goes on", reason=error)


def _own_folder(settings: Settings) -> AbstractContextManager[Path]:
    """Return the folder of what this process alone may write."""
    folder = beside_log(settings)
    if isinstance(settings.database, Path):
        folder.mkdir(parents=True, exist_ok=True)
        return nullcontext(folder)  # the lock of the log is the lock of it all
    return berth(folder)


@contextmanager
def _log(settings: Settings, now_s: float) -> Iterator[tuple[Log, Path]]:
    """Yield the log and our own folder. Where nobody else writes it, what is open is dead.

    Among others, and while the log cannot be written, it is left to the keeper, who gives it an
    end once no process can still be busy with it.
    """
    with _own_folder(settings) as own, _opened(settings, own) as log:
        if isinstance(settings.database, Path):
            try:
                abandon(log, now_s, before_s=now_s)
            except StoreUnavailable as error:
                LOGGER.warning("decisions without an end have to wait", reason=error.message)
        yield log, own


def _opened(settings: Settings, own: Path) -> Log:
    spooling = Spooling(settings.spool_bytes, goes_on=settings.without_log == "serve")
    return open_log(settings.database, beside, spooling, own, LET_GO_WITHIN_S)


def cache_path(own: Path) -> Path:
    """Return where a process keeps the answers that it may give again, in its own folder."""
    return own / "cache.db"


def _cache(settings: Settings, own: Path, upstream: Upstream, log: Log) -> Cache:
    """Return the cache, which is told what is disliked; switched off it keeps nothing it held.

    Nor does one whose disk fails or is full, and it is off until the next start.
    """
    path = cache_path(own)
    rules = Rules(settings.cache, settings.cache_fresh_s, settings.cache_stale_s)
    if "off" in {settings.cache, settings.prompts}:
        remove(path)
        return Cache(rules, None, None)
    bounds = Bounds(
        settings.cache_max_answers,
        settings.cache_max_bytes,
        max(settings.cache_fresh_s, settings.cache_stale_s),
    )
    try:
        cache = Cache(rules, CacheFile(path, bounds), _similar(settings, upstream))
        follow(cache, log)  # the keeper's first look comes when requests do already
    except StoreUnavailable as error:
        LOGGER.warning("no answers are stored until the next start", reason=error.message)
        remove(path)
        return Cache(rules, None, None)
    log.subscribe(cache.follow)
    cache.catch_up(log.lookups)
    return cache


def _similar(settings: Settings, upstream: Upstream) -> Similar | None:
    """Return what finds a question in other words, where that is wanted."""
    if settings.cache != "semantic":
        return None
    model = settings.cache_embeddings
    embeddings = None if model is None else Embeddings(upstream.pass_on, model)
    return Similar(settings.cache_similarity, embeddings)


def _health(settings: Settings, clock: Callable[[], float]) -> Health:
    return Health(ceil(SHARE_OF_CONNECTIONS * settings.connections), clock, _tell_of)


def _tell_of(arm: str, why: str) -> None:
    if why:
        LOGGER.warning("an arm is left alone", arm=arm, reason=why)
    else:
        LOGGER.info("an arm is back", arm=arm)


def _start(ending: ExitStack, *threads: Keeper | Alarms) -> None:
    """Start the threads; they end in the other order."""
    for thread in threads:
        ending.callback(thread.stop)
        thread.start()


def _alarms(
    settings: Settings,
    catalogue: Callable[[], Catalogue],
    log: Log,
    live: Live,
    votes: Votes,
    health: Health,
) -> Alarms:
    lookout = Lookout(settings, lambda: catalogue().arms, log, live, votes, health, time.time())
    url = settings.alarm_webhook
    webhook = None if url is None else url.get_secret_value()
    return Alarms(lookout, log, webhook, uuid.uuid4().hex)


def _terms(settings: Settings) -> Terms:
    return Terms(
        policy=settings.policy,
        sandbox=settings.sandbox_url is not None,
        stream_recovery=settings.stream_recovery,
        retention=Retention(settings.prompts),
    )
