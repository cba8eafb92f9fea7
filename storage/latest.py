"""The newest result of each kind: a report, the alarms. A new one takes the place of the last.

Nothing is learned from them. A report can be made again from the rest of the log, alarms cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

TABLE = """
CREATE TABLE latest (
    name TEXT PRIMARY KEY,
    at_s REAL NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT
"""

CLOCKS_APART_S = 60.0
"""Between whoever takes what is handed over and the store."""

LATEST = "SELECT * FROM latest WHERE name = :name"

_INSTEAD = """
ON CONFLICT (name) DO UPDATE SET
    at_s = excluded.at_s, version = excluded.version, body = excluded.body
"""

REPLACE_KNOWN = f"""
INSERT INTO latest (name, at_s, version, body) VALUES (:name, :at_s, :version, :body)
{_INSTEAD} WHERE latest.version = excluded.version - 1
"""  # noqa: S608  our own words
"""Changes nothing unless the one that is replaced is the one that was seen."""

REPLACE_OLDER = f"""
INSERT INTO latest (name, at_s, version, body) SELECT :name, :at_s, :version, :body
WHERE NOT EXISTS (
    SELECT 1 FROM handovers WHERE kind IN ('forget', 'distrust') AND received_at_s >= :at_s
        AND received_at_s <= (julianday('now') - 2440587.5) * 86400.0 + {CLOCKS_APART_S})
{_INSTEAD} WHERE (latest.version, latest.at_s) <= (excluded.version, excluded.at_s)
"""  # noqa: S608
"""Changes nothing unless the new one has seen more, or as much and is younger: clocks go wrong.

Nor if somebody was forgotten since it was begun: it may tell of who that was; nor if thumbs were
withdrawn: it counts them. Where that moment is still to come, the clock was ahead.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """One result; `version` counts from 1: of two who replace the same one, only one does."""

    name: str
    at_s: float
    version: int
    body: Mapping[str, Any]

    @classmethod
    def after(cls, before: Self | None, name: str, at_s: float, body: Mapping[str, Any]) -> Self:
        """Return a result in place of the one before it, the first where there is none."""
        version = 1 if before is None else before.version + 1
        return cls(name=name, at_s=at_s, version=version, body=body)
