"""What was paid by rows that waited in the spool when a log was opened: its sums lack them.

Their process is gone, so a decision among them without an end gets none; it counts as it would in
the log, where it is given up as abandoned.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from storage.abandoning import abandoned
from storage.records import Attempt, Decision, Outcome
from storage.rows import Row, restore
from storage.spool import Spare
from storage.sql import AskLog

KNOWN = """
SELECT d.id, d.key_id, o.decision_id AS ended
FROM decisions d LEFT JOIN outcomes o ON o.decision_id = d.id
WHERE d.id IN (SELECT value FROM json_each(:ids))
"""


@dataclass(frozen=True, slots=True)
class _End:
    decision_id: str
    at_s: float
    arm: str
    usd: float


class Unbooked:
    """The ends that waited, as long as the log has not got them; for one thread at a time."""

    def __init__(self, waiting: Sequence[Spare[int]], ask: AskLog) -> None:
        self._ask = ask
        decisions = {each["id"]: each for each in _of(Decision, waiting)}
        self._keys = {name: row["key_id"] for name, row in decisions.items()}
        ends = [restore(Outcome, row) for row in _of(Outcome, waiting)]
        lost = decisions.keys() - {end.decision_id for end in ends}
        made: dict[str, list[Row]] = {name: [] for name in lost}
        for each in _of(Attempt, waiting):
            made.get(each["decision_id"], []).append(each)
        ends += [_lost(decisions[name], tried) for name, tried in made.items()]
        self._ends = [_End(end.decision_id, end.at_s, end.arm, end.cost_usd) for end in ends]

    def usd(self, since_s: float, key_id: str | None, arm: str | None = None) -> float:
        """Return the dollars that the log does not know of since then, of a key or an arm."""
        ends = [end for end in self._ends if end.at_s >= since_s]
        if not ends:
            return 0.0
        ids = json.dumps([end.decision_id for end in ends])
        known = {row["id"]: row for row in self._ask(KNOWN, {"ids": ids})}
        booked = {name for name, row in known.items() if row["ended"] is not None}
        keys = {name: row["key_id"] for name, row in known.items()} | self._keys
        self._ends = [end for end in self._ends if end.decision_id not in booked]
        return fsum(
            end.usd
            for end in ends
            if end.decision_id not in booked
            and key_id in (None, keys.get(end.decision_id))
            and arm in (None, end.arm)
        )


def _of(kind: type[Any], waiting: Sequence[Spare[int]]) -> list[Row]:
    return [each.values for each in waiting if each.kind is kind]


def _lost(decision: Row, tried: Sequence[Row]) -> Outcome:
    sums = {
        "made": len(tried),
        "booked_usd": fsum(each["cost_usd"] for each in tried),
        "answered": any(each["status"] == "ok" for each in tried),
    }
    return abandoned({**decision, **sums}, decision["decided_at_s"])
