"""Where settings are read from: the environment and a TOML file, with every name checked."""

import os
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from app.mistakes import seen
from app.processes.orphan import PARENT
from policy.errors import ConfigError

PREFIX = "TURNPIKE_"
CONFIG = "TURNPIKE_CONFIG"
COMMAND = "TURNPIKE_COMMAND"
CALLED_FROM = "TURNPIKE_CALLED_FROM"
# Where the bench finds its tables and the tests a browser, how and from where we were started, and
# whose child a process is, are no dials of the service.
NO_DIALS = frozenset({CONFIG, COMMAND, CALLED_FROM, "TURNPIKE_REPLAY", "TURNPIKE_CHROMIUM", PARENT})
DEFAULT_CONFIG = Path("turnpike.toml")
CLOSE = 0.8


def command(environ: Mapping[str, str] = os.environ) -> str:
    """Return what stands before the name of a command where we were started.

    >>> command({"TURNPIKE_COMMAND": "./run"}), command({})
    ('./run', 'python -m app')
    """
    return environ.get(COMMAND, "python -m app")


def from_environment(environ: Mapping[str, str], names: Collection[str]) -> dict[str, Any]:
    """Return the dials that are variables; our prefix in any case is ours, the rest is not.

    raises : ConfigError for a name of ours that is no dial
    """
    dials = {PREFIX + name.upper(): name for name in names}
    ours = [name for name in environ if name.upper().startswith(PREFIX) and name not in NO_DIALS]
    for name in ours:
        _require_known(name, [*dials, *NO_DIALS], "the environment")
    return {dials[name]: environ[name] for name in ours}


def from_file(environ: Mapping[str, str], names: Collection[str]) -> dict[str, Any]:
    """Return the dials of the file that TURNPIKE_CONFIG names, else of turnpike.toml if it is here.

    raises : ConfigError for a file that cannot be read, or a name that is no dial
    """
    named = environ.get(CONFIG)
    path = Path(named) if named else DEFAULT_CONFIG
    if not named and not path.exists():
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the settings in {path} cannot be read: {error}") from error
    for name in given:
        _require_known(name, names, str(path))
    return given


def _require_known(name: str, known: Collection[str], where: str) -> None:
    if name not in known:
        spelt = {each.lower(): each for each in known}
        near = get_close_matches(name.lower(), spelt, n=1, cutoff=CLOSE)
        hint = f"did you mean {spelt[near[0]]}?" if near else f"the settings are {', '.join(known)}"
        raise ConfigError(f"{seen(name)} in {where} is no setting; {hint}")
