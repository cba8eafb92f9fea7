"""The newest result of each kind: a report, the alarms. A new one takes the place of the last.

Nothing is learned from them. A report can be made again from the rest of the log, alarms cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TABLE = """
CREATE TABLE latest (
    name TEXT PRIMARY KEY,
    at_s REAL NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT
"""

LATEST = "SELECT * FROM latest WHERE name = :name"

_REPLACE = """
INSERT INTO latest (name, at_s, version, body) VALUES (:name, :at_s, :version, :body)
ON CONFLICT (name) DO UPDATE SET
    at_s = excluded.at_s, version = excluded.version, body = excluded.body
"""

REPLACE_KNOWN = _REPLACE + "WHERE latest.version = excluded.version - 1"
"""Changes nothing unless the one that is replaced is the one that was seen."""

REPLACE_OLDER = (
    _REPLACE + "WHERE (latest.version, latest.at_s) <= (excluded.version, excluded.at_s)"
)
"""Changes nothing unless the new one has seen more, or as much and is younger: clocks go wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """One result; `version` counts from 1: of two who replace the same one, only one does."""

    name: str
    at_s: float
    version: int
    body: Mapping[str, Any]
