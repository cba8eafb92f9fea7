"""Which log a command acts on: it says so where it took the sandbox's, and another is there."""

import os

import click

from app.mode import in_force, missing_keys
from app.settings import Settings
from policy.errors import ConfigError
from storage.place import shown
from upstream.catalogue import load

NAMING = "TURNPIKE_SANDBOX to on or to off, which says which log is meant without it"


def chosen(*, is_grave: bool = False, needs_arms: bool = False) -> Settings:
    """Return the settings in force; what is grave is not done to a log that nobody has named.

    `needs_arms` says that the command can do nothing without the catalogue, whichever log is meant.

    raises : ConfigError if a setting or the catalogue is wrong, or the log is to be named first
    """
    given = Settings.load()
    try:
        if needs_arms:
            load(given.arms)
        found = in_force(given)
    except ConfigError as error:
        way = ": this command needs its arms" if needs_arms else f", or set {NAMING}"
        raise ConfigError(f"{error.message}; mend it{way}") from error
    if given.sandbox == "auto" and found.sandbox == "on" and _exists(given):
        unset = ", ".join(missing_keys(load(given.arms), os.environ))
        said = f"sandbox log {shown(found.database)}, because {unset} is not set"
        if is_grave:
            raise ConfigError(
                f"this would act on the {said}; set TURNPIKE_SANDBOX to on if that is meant, or to "
                f"off for {shown(given.database)}"
            )
        click.echo(f"turnpike: {said}", err=True)
    return found


def _exists(settings: Settings) -> bool:
    from storage.stores import exists

    return exists(settings.database)
