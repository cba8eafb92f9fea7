"""Where a log is: the path of an SQLite file, or the URL of a PostgreSQL database.

Nothing here opens either, so a process may know the place before it has loaded a driver.
"""

import re
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit

from policy.errors import ConfigError

Place = Path | str
"""A path is an SQLite file, a text the URL of a PostgreSQL database."""

# As the driver reads one: what a user or a password has of the signs that part a URL is encoded.
URL = re.compile(
    r"postgres(?:ql)?://(?:(?:[^@/?#\[\]%]|%[\da-fA-F]{2})*@)?(?:[^@#%]|%[\da-fA-F]{2})*"
)
ENCODED = "with @ / ? # [ ] % of a user or a password as %40 %2F %3F %23 %5B %5D %25"
SEARCH_PATH = re.compile(r"(?<=search_path=)\w+")


def is_postgres(given: object) -> bool:
    """Return whether this is the URL of a PostgreSQL database.

    One in which nobody could tell where the password ends is none: part of it would be shown.

    >>> is_postgres("postgresql://localhost/turnpike"), is_postgres("data/turnpike.db")
    (True, False)
    >>> is_postgres("postgresql://ann:a%2Fb@db/x"), is_postgres("postgresql://ann:a/b@db/x")
    (True, False)
    """
    try:
        urlsplit(str(given))
    except ValueError:  # no address in its brackets, or a sign that stands for one of those
        return False
    return URL.fullmatch(str(given)) is not None


def is_there(path: Path) -> bool:
    """Return whether there is a file at a path.

    raises : ConfigError if this user may not know
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be looked at: {error.strerror}; do this as the user whose it is, or "
            "let this one in there"
        ) from error
    return True


def shown(place: Place) -> str:
    """Return a place as it may be told and logged: without its password.

    >>> shown("postgresql://ann:secret@db:5432/turnpike?sslmode=require")
    'postgresql://ann@db:5432/turnpike'
    """
    if isinstance(place, Path):
        return str(place)
    parts = urlsplit(place)
    whose, at, where = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{whose.partition(':')[0]}{at}{where}{parts.path}"


def of_one_log(folder: Path, place: Place) -> Path:
    """Return the folder, in this one, of what lies beside this log.

    Logs have it for themselves that differ in name: of a server it is not told, whose name may
    change while rows of the log wait in there.

    >>> of_one_log(Path("data"), Path("data/turnpike.db")).as_posix()
    'data/turnpike.db-beside'
    >>> of_one_log(Path("data"), "postgresql://ann@db:5432/turnpike").as_posix()
    'data/turnpike-beside'
    """
    return folder / f"{_name(place)}-beside"


def apart(place: Place, name: str) -> Place:
    """Return the place of another log that is kept apart: a folder, or a schema, of this name.

    >>> apart(Path("data/turnpike.db"), "sandbox").as_posix()
    'data/sandbox/turnpike.db'
    >>> apart("postgresql://db/turnpike", "sandbox")
    'postgresql://db/turnpike?options=-c%20search_path%3Dsandbox'
    """
    if isinstance(place, Path):
        return place.parent / name / place.name
    parts = urlsplit(place)
    given = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    options = given.get("options", "")
    if SEARCH_PATH.search(options):
        given["options"] = SEARCH_PATH.sub(lambda found: f"{found.group()}_{name}", options)
    else:
        given["options"] = f"{options} -c search_path={name}".strip()
    return urlunsplit(parts._replace(query=urlencode(given, quote_via=quote)))


def _name(place: Place) -> str:
    """Return the name of a file, or of a database with the schema in it if one is given."""
    if isinstance(place, Path):
        return place.name
    parts = urlsplit(place)
    [named] = parse_qs(parts.query).get("dbname", [parts.path[1:]])[-1:]
    schema = SEARCH_PATH.search(unquote(parts.query))
    return quote(".".join([named, *([schema.group()] if schema else [])]), safe="")
