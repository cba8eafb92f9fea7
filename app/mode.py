"""Sandbox or providers: decided by one rule that every process of ours follows.

What synthetic models answer must never teach the policy that routes real ones, so the sandbox has
a log of its own: the folder, or the schema, `sandbox` beside the other.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from app.settings import Settings
from storage.place import apart, of_one_log
from upstream.catalogue import Catalogue, load

APART = "sandbox"


def in_force(settings: Settings, environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings with `sandbox` decided and, where it is on, its own database.

    raises : ConfigError if the catalogue is wrong
    """
    environ = os.environ if environ is None else environ
    if settings.sandbox == "auto":
        wanted = bool(missing_keys(load(settings.arms), environ))
    else:
        wanted = settings.sandbox == "on"
    own = {"database": apart(settings.database, APART), "data": settings.folder / APART}
    return settings.model_copy(update={"sandbox": "on", **own} if wanted else {"sandbox": "off"})


def beside_log(settings: Settings) -> Path:
    """Return the folder of what lies beside the log in force: parcels, snapshots, sums."""
    return of_one_log(settings.folder, settings.database)


def folders(settings: Settings) -> list[Path]:
    """Return the folders that are written: that of the log, and those of what lies beside it."""
    log = {settings.database.parent} if isinstance(settings.database, Path) else set()
    return sorted({settings.folder, beside_log(settings), *log})


def missing_keys(catalogue: Catalogue, environ: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that should hold a provider's key and do not."""
    names = {p.api_key_env for p in catalogue.providers.values() if p.api_key_env is not None}
    return sorted(name for name in names if not environ.get(name))
