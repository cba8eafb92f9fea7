"""The one file that knows every part of the service and puts them together."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from structlog import get_logger

from app.cache import Cache, Rules
from app.drain import Drain
from app.goals import goals
from app.instruments import Instruments
from app.keeper import Keeper, abandon, hints
from app.keyring import Keyring
from app.live import Live
from app.loop import beside
from app.observed import Observed
from app.ratings import Ratings
from app.router import Router, Terms
from app.settings import Settings
from app.similar import Similar
from app.subkeys import subkeys
from app.traffic import Following
from policy.errors import ConfigError
from storage.cache_file import Bounds, CacheFile, remove
from storage.spool import Spooling
from storage.sqlite_log import SqliteLog
from upstream.catalogue import Catalogue
from upstream.client import Upstream
from upstream.embeddings import Embeddings
from upstream.health import Health
from upstream.watch import CatalogueFile

LOGGER = get_logger()
SHARE_OF_CONNECTIONS = 0.75


@dataclass(frozen=True, slots=True)
class Parts:
    """A running service: what the routes need, and how to end it."""

    settings: Settings
    file: CatalogueFile
    catalogue: Callable[[], Catalogue]
    log: SqliteLog
    live: Live
    upstream: Upstream
    cache: Cache
    router: Router
    ratings: Ratings
    keyring: Keyring
    instruments: Instruments
    traffic: Following
    started_at_s: float
    closing: ExitStack
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

    raises : ConfigError
    """
    file, data = CatalogueFile(settings.arms), data_folder(settings)
    catalogue = served(file, settings)
    with ExitStack() as ending:
        upstream = ending.enter_context(Upstream(catalogue, environ))
        log, now_s = ending.enter_context(_log(settings)), time.time()
        abandon(log, now_s, before_s=now_s, after_s=float("-inf"))
        keyring = Keyring(settings, subkeys(settings, data), log, goals(settings, catalogue()))
        live = Live(log, data, hints(catalogue()), keyring.goals, keyring.has_goal, now_s)
        cache = ending.enter_context(closing(_cache(settings, upstream)))
        traffic = Following(log, time.time)
        ending.callback(_started(Keeper(data, log, live, catalogue, cache, traffic, keyring)).stop)
        health = Health(ceil(SHARE_OF_CONNECTIONS * settings.connections), clock, _tell_of)
        observed = Observed(log, (instruments := Instruments.new()).observers)
        return Parts(
            settings=settings,
            file=file,
            catalogue=catalogue,
            log=log,
            live=live,
            upstream=upstream,
            cache=cache,
            router=Router(_terms(settings), catalogue, upstream, observed, live, health, cache),
            ratings=Ratings(observed, cache, settings.feedback_window_s),
            keyring=keyring,
            instruments=instruments,
            traffic=traffic,
            started_at_s=now_s,
            closing=ending.pop_all(),
        )


def served(file: CatalogueFile, settings: Settings) -> Callable[[], Catalogue]:
    """Return the catalogue in force: the file's, or the same arms served by the sandbox."""
    url = settings.sandbox_url
    if url is None and settings.sandbox == "on":
        raise ConfigError(
            "TURNPIKE_SANDBOX is on, but no TURNPIKE_SANDBOX_URL says where it answers"
        )
    if url is None:
        return file.current
    return lambda: file.current().served_at(url)


def data_folder(settings: Settings) -> Path:
    """Return the folder of the database, where snapshots and handovers lie too."""
    return settings.database.parent


def _log(settings: Settings) -> SqliteLog:
    spooling = Spooling(settings.spool_bytes, goes_on=settings.without_log == "serve")
    return SqliteLog(settings.database, beside, spooling)


def _cache(settings: Settings, upstream: Upstream) -> Cache:
    """Return the cache; one that is switched off keeps nothing of what it held."""
    path = settings.database.with_suffix(".cache.db")
    rules = Rules(settings.cache, settings.cache_fresh_s, settings.cache_stale_s)
    if settings.cache == "off":
        remove(path)
        return Cache(rules, None, None)
    bounds = Bounds(
        settings.cache_max_answers,
        settings.cache_max_bytes,
        max(settings.cache_fresh_s, settings.cache_stale_s),
    )
    return Cache(rules, CacheFile(path, bounds), _similar(settings, upstream))


def _similar(settings: Settings, upstream: Upstream) -> Similar | None:
    """Return what finds a question in other words, where that is wanted."""
    if settings.cache != "semantic":
        return None
    model = settings.cache_embeddings
    embeddings = None if model is None else Embeddings(upstream.pass_on, model)
    return Similar(settings.cache_similarity, embeddings)


def _tell_of(arm: str, why: str) -> None:
    if why:
        LOGGER.warning("an arm is left alone", arm=arm, reason=why)
    else:
        LOGGER.info("an arm is back", arm=arm)


def _started(keeper: Keeper) -> Keeper:
    keeper.start()
    return keeper


def _terms(settings: Settings) -> Terms:
    return Terms(
        policy=settings.policy,
        sandbox=settings.sandbox_url is not None,
        stream_recovery=settings.stream_recovery,
    )
