"""Where a TOML text says something: the line of a table, a key or a nested key.

`tomllib` returns values without places. This looks them up afterwards, and only for a text that is
already known to be wrong, so it may read the text slowly and simply.
"""

import tomllib
from collections.abc import Iterator


def line_of(text: str, path: tuple[str, ...]) -> int:
    r"""Return the line (from 1) that says `path`, or that of the nearest table around it.

    >>> text = "[arm.a]\nmodel = 'm'\n[arm.b]\ntimeouts = { idle_s = 0 }"
    >>> line_of(text, ("arm", "b", "timeouts", "idle_s"))
    4
    """
    best_line, best_depth = 1, 0
    for number, said in _places(text):
        depth = min(len(said), len(path))
        if depth > best_depth and said[:depth] == path[:depth]:
            best_line, best_depth = number, depth
    return best_line


def _places(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _keys(stripped) or table
            yield number, table
        elif "=" in stripped:
            yield number, table + _keys(stripped.partition("=")[0] + "= 0")


def _keys(toml: str) -> tuple[str, ...]:
    """Return the dotted key one line of TOML declares; () when the line declares none."""
    try:
        tree = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return ()
    keys: tuple[str, ...] = ()
    while isinstance(tree, dict) and tree:
        key, tree = next(iter(tree.items()))
        keys += (key,)
    return keys
