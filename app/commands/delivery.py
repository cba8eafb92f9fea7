"""From the command line into the log: by the service that runs, or by us where we may write."""

import time
from collections.abc import Callable
from pathlib import Path

from app.settings import Settings
from jobs.intake import records
from policy.errors import ConfigError, InvalidInput
from storage.handover import pending, take
from storage.stores import open_log

TAKEN_WITHIN_S = 30.0
POLL_S = 0.1


def delivered(settings: Settings, hand_over: Callable[[Path], str]) -> None:
    """Hand something over, and return when it is in the log; without a service, write it here.

    raises : ConfigError if nobody took it in time; InvalidInput if it was rejected
    """
    data = settings.folder
    identity = hand_over(data)
    give_up_at = time.monotonic() + TAKEN_WITHIN_S
    while any(identity in path.name for path in pending(data / "handover")):
        _take_here(settings, data)
        if time.monotonic() > give_up_at:
            raise ConfigError(f"nobody took {identity} from {data / 'handover'}; is serve running?")
        time.sleep(POLL_S)
    if list((data / "handover" / "rejected").glob(f"{identity}*")):
        raise InvalidInput("it was rejected; the lines of the service say why")


def _take_here(settings: Settings, data: Path) -> None:
    """Write what waits, unless a service alone holds the log."""
    try:
        log = open_log(settings.database)
    except ConfigError:
        return  # the service holds it, and takes the parcel within a second
    with log:
        take(data / "handover", log, records, time.time())
