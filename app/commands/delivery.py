"""From the command line into the log: by the service that runs, or by us where we may write."""

import time
from collections.abc import Callable
from pathlib import Path

from app.settings import Settings
from jobs.intake import records
from policy.errors import ConfigError, InvalidInput, StoreUnavailable, TurnpikeError
from storage.handover import REJECTED, pending, take, withdraw
from storage.stores import open_log

TAKEN_WITHIN_S = 30.0
POLL_S = 0.1


def delivered(settings: Settings, hand_over: Callable[[Path], str]) -> None:
    """Hand something over, and return when it is in the log; without a service, write it here.

    Whoever is told that it was not done may rely on that: nobody takes it later.

    raises : ConfigError if it cannot be handed over, or nobody took it in time; InvalidInput if it
             was rejected; StoreUnavailable if the log could not be written in that time
    """
    folder = settings.folder / "handover"
    try:
        identity = hand_over(settings.folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        _wait_for(settings, folder, identity)
    finally:
        withdraw(folder, identity)  # nothing, unless the waiting was broken off
    if list((folder / REJECTED).glob(f"{identity}*")):
        raise InvalidInput("it was rejected; the lines of the service say why")


def unwritable(path: Path, error: OSError) -> ConfigError:
    """Return what is told where a command cannot write what it has to."""
    return ConfigError(
        f"cannot write to {path}: {error.strerror}; nothing was done: make room on its disk, and "
        "let this user write there"
    )


def _wait_for(settings: Settings, folder: Path, identity: str) -> None:
    give_up_at = time.monotonic() + TAKEN_WITHIN_S
    while any(identity in path.name for path in pending(folder)):
        away = _take_here(settings, folder)
        if time.monotonic() > give_up_at and withdraw(folder, identity):
            kind = StoreUnavailable if isinstance(away, StoreUnavailable) else ConfigError
            why = "" if kind is StoreUnavailable else "is serve running, and can it write its log? "
            within = f"within {TAKEN_WITHIN_S:g} s, so nothing was done"
            said = "" if away is None else f"we cannot: {away.message}"
            raise kind(f"nobody took it from {folder} {within}: {why}{said}".rstrip())
        time.sleep(POLL_S)


def _take_here(settings: Settings, folder: Path) -> TurnpikeError | None:
    """Write what waits, unless a service alone holds the log; return why that failed, if it did."""
    try:
        with open_log(settings.database) as log:
            take(folder, log, records, time.time())
    except (StoreUnavailable, ConfigError) as error:
        return error  # if a service holds it, that takes the parcel within a second
    except OSError:
        pass  # others are stuck
    return None
