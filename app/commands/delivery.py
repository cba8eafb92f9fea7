"""From the command line into the log: by the service that runs, or by us where we may write."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from app.mode import beside_log
from app.settings import Settings
from jobs.intake import Parcel, records
from policy.errors import ConfigError, InvalidInput, StoreUnavailable, TurnpikeError
from storage.handover import REJECTED, hand_over, pending, take, withdraw
from storage.stores import open_log

TAKEN_WITHIN_S = 30.0
POLL_S = 0.1
AHEAD = 8
"""Pieces that may wait for the service, which takes all that wait twice a second."""


def delivered(settings: Settings, parcel: Parcel) -> None:
    """Hand a parcel over, and return when it is in the log; without a service, write it here.

    Whoever is told that it was not done may rely on that: nobody takes it later.

    raises : ConfigError if it cannot be handed over, or nobody took it in time; InvalidInput if it
             was rejected; StoreUnavailable if the log could not be written in that time
    """
    delivered_in_pieces(settings, [parcel], lambda: None)


def delivered_in_pieces(
    settings: Settings, pieces: Iterable[Parcel], told: Callable[[], None]
) -> None:
    """Hand over one piece after another, and tell of each that is in the log.

    A service that is asked to write much at once answers nobody meanwhile. Where a piece is not
    done, those before it are, and those that wait after it are taken back.

    raises : as `delivered`
    """
    folder, waiting = beside_log(settings) / "handover", deque[str]()
    try:
        for piece in pieces:
            waiting.append(_handed_over(folder, piece))
            if len(waiting) > AHEAD:
                _take_off(settings, folder, waiting, told)
        while waiting:
            _take_off(settings, folder, waiting, told)
    finally:
        for identity in waiting:  # none, unless the waiting was broken off
            if not withdraw(folder, identity) and not _is_rejected(folder, identity):
                told()


def delivered_all(
    settings: Settings, pieces: Iterable[Parcel], size: int, n: int, doing: str, rest: str
) -> None:
    """Hand over n things in pieces of a size, showing how far that has come.

    `rest` is what is said of those that are in the log where the others are not, and what to do.

    raises : as `delivered`, with how many are in the log if some are
    """
    done = 0
    with click.progressbar(length=n, label=doing, file=sys.stderr) as shown:

        def told() -> None:
            nonlocal done
            done = min(done + size, n)
            shown.update(size)

        try:
            delivered_in_pieces(settings, pieces, told)
        except TurnpikeError as error:
            if not done:
                raise
            raise type(error)(f"{error.message}; {done:,} of {n:,} {rest}") from error


def _handed_over(folder: Path, piece: Parcel) -> str:
    try:
        return hand_over(folder, *piece)
    except OSError as error:
        raise unwritable(folder, error) from error


def _take_off(
    settings: Settings, folder: Path, waiting: deque[str], told: Callable[[], None]
) -> None:
    """Wait until the oldest piece is in the log, and tell so."""
    _wait_for(settings, folder, waiting[0])
    identity = waiting.popleft()
    if _is_rejected(folder, identity):
        raise InvalidInput("it was rejected; the lines of the service say why")
    told()


def _is_rejected(folder: Path, identity: str) -> bool:
    return any((folder / REJECTED).glob(f"{identity}*"))


def unwritable(path: Path, error: OSError) -> ConfigError:
    """Return what is told where a command cannot write what it has to."""
    return ConfigError(
        f"cannot write to {path}: {error.strerror}; it was not done: make room on its disk, and "
        "let this user write there"
    )


def _wait_for(settings: Settings, folder: Path, identity: str) -> None:
    give_up_at = time.monotonic() + TAKEN_WITHIN_S
    while any(identity in path.name for path in pending(folder)):
        away = _take_here(settings, folder)
        if time.monotonic() > give_up_at and withdraw(folder, identity):
            kind = StoreUnavailable if isinstance(away, StoreUnavailable) else ConfigError
            why = "" if kind is StoreUnavailable else "is serve running, and can it write its log? "
            within = f"within {TAKEN_WITHIN_S:g} s, so it was not done"
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
