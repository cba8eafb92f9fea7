"""Opening a log where it is, without asking which store that is."""

from dataclasses import replace
from pathlib import Path

from storage.log import Log
from storage.place import Place, is_there
from storage.reader import LogReader
from storage.spool import Spool, Spooling
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from storage.writer import Committing, here


def open_log(
    place: Place,
    commit: Committing = here,
    spooling: Spooling | None = None,
    folder: Path | None = None,
    patience_s: float = 0.0,
) -> Log:
    """Return the log, to be read and written; `patience_s` is for another that writes a file alone.

    A store on this machine is written through `commit`, which may wait for the disk. The spool lies
    beside an SQLite file; for PostgreSQL it lies in the folder, which must be this process's own.

    raises : ConfigError if it is no log that we can write; StoreUnavailable if the server is away
    """
    if isinstance(place, Path):
        return SqliteLog(place, commit, spooling, patience_s)
    from storage.postgres_log import PostgresLog

    spool = Spool()
    if folder is not None and spooling is not None:
        # Whoever asks a server that is away is told at once, so it can be asked again soon.
        spool = Spool.beside(folder / "log", replace(spooling, rest=1.0))
    return PostgresLog(place, spool)


def open_reader(place: Place) -> LogReader:
    """Return the log, to be read.

    raises : ConfigError if there is none, or it is of another version; StoreUnavailable
    """
    if isinstance(place, Path):
        return SqliteReader(place)
    from storage.postgres_reader import PostgresReader

    return PostgresReader(place)


def exists(place: Place) -> bool:
    """Return whether there is a log.

    raises : ConfigError if this user may not know; StoreUnavailable if the server cannot be asked
    """
    if isinstance(place, Path):
        return is_there(place)
    from storage.postgres_state import has_log

    return has_log(place)
