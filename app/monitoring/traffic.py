"""What went through lately, kept as sums: added up once from the log, then only what is new.

The log is asked in pieces, beside the loop that serves. Sums over pieces add, so what is kept is a
table that grows at its end and is folded together from time to time.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.processes.loop import beside
from policy.evaluate import mean_interval
from policy.types import DAY_S, HOUR_S, Floats
from storage import snapshots
from storage.reader import LogReader
from storage.traffic import TrafficRow

KEPT_S = 61 * DAY_S
"""Thirty days, and the thirty before to compare them with."""
STEP_S = 300.0
FINE_S = 26 * HOUR_S
"""So much of the traffic is kept in steps of five minutes, the rest in hours."""
PIECE = 20_000
SLACK = 10_000
"""Events before the first of the kept days that are looked through: they come in order, almost."""
ROWS_BEFORE_FOLDING = 4_096
FOLDER, FORM = "traffic", 3
"""Where sums are kept, and a number that counts up when they are kept otherwise."""
SAVED_EVERY = 50_000
KEYS = ("arm", "task", "kind", "status", "tenant")
SUMS = ("decisions", "requests", "cost_usd", "latency_s", "rated", "reward", "square")
MOST_WORDS = 2_000
OWN_TASKS = 100
OTHER = "(other tasks)"
"""Stands for tasks that come when so many words are known, and so many tasks of their tenant: a
task is no id of a request, and nobody's ids hide the tasks of others."""


@dataclass(frozen=True, slots=True)
class TrafficSums:
    """What some of the traffic adds up to."""

    decisions: int = 0
    requests: int = 0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    rated: int = 0
    reward: float = 0.0
    square: float = 0.0

    @property
    def satisfaction(self) -> float | None:
        """Return the mean reward, None where nothing is rated."""
        return self.reward / self.rated if self.rated else None

    @property
    def satisfaction_interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the mean reward, None where nothing is rated."""
        return mean_interval(self.rated, self.reward, self.square) if self.rated else None

    @property
    def cost_usd_per_request(self) -> float | None:
        """Return the dollars of a request, None without any."""
        return self.cost_usd / self.requests if self.requests else None


@dataclass(frozen=True, eq=False)
class Traffic:
    """Sums over the traffic by step of time, arm, task, kind, status and tenant.

    `rated_at_s` is when a tenant last rated an arm.

    shapes : starts_s (n,), keys (n, 5) as numbers of `words`, sums (n, 7)
    """

    upto_seq: int = 0
    words: tuple[str | None, ...] = (None,)
    starts_s: Floats = field(default_factory=lambda: np.zeros(0))
    keys: Any = field(default_factory=lambda: np.zeros((0, len(KEYS)), np.int64))
    sums: Floats = field(default_factory=lambda: np.zeros((0, len(SUMS))))
    rated_at_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    rows_folded: int = 0

    def add(self, rows: Sequence[TrafficRow], upto_seq: int) -> Self:
        """Return the traffic with these rows, which reach up to a position of the log."""
        places = {word: place for place, word in enumerate(self.words)}
        tasks = self._tasks() if len(places) + len(rows) > MOST_WORDS else Counter[str | None]()
        keys = [[_placed(row, key, places, tasks) for key in KEYS] for row in rows]
        sums = [[float(getattr(row, name)) for name in SUMS] for row in rows]
        rated_at_s = dict(self.rated_at_s)
        for row in rows:
            if row.rated_at_s:
                rater = row.tenant, row.arm
                rated_at_s[rater] = max(row.rated_at_s, rated_at_s.get(rater, 0.0))
        return type(self)(
            upto_seq,
            tuple(places),
            np.concatenate([self.starts_s, [row.start_s for row in rows]]),
            np.concatenate([self.keys, np.array(keys, np.int64).reshape(-1, len(KEYS))]),
            np.concatenate([self.sums, np.array(sums).reshape(-1, len(SUMS))]),
            rated_at_s,
            self.rows_folded,
        )

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], upto_seq: int) -> Self:
        """Return the traffic that was kept as these arrays."""
        words = (None, *(str(word) for word in arrays["words"]))
        raters = [(str(tenant), str(arm)) for tenant, arm in arrays["raters"]]
        rated_at_s = dict(zip(raters, arrays["rated_at_s"].tolist(), strict=True))
        rows = (arrays["starts_s"], arrays["keys"], arrays["sums"])
        return cls(upto_seq, words, *rows, rated_at_s, len(arrays["starts_s"]))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return all of it as arrays."""
        return {
            "words": np.array(self.words[1:], dtype=str),
            "starts_s": self.starts_s,
            "keys": self.keys,
            "sums": self.sums,
            "raters": np.array(list(self.rated_at_s), dtype=str).reshape(-1, 2),
            "rated_at_s": np.array(list(self.rated_at_s.values()), dtype=float),
        }

    def folded(self, since_s: float, fine_since_s: float) -> Self:
        """Return the same sums with one row for each key, in hours where they are not fine."""
        kept = self.starts_s >= since_s
        starts_s = self.starts_s[kept]
        whole_hours_s = np.where(starts_s < fine_since_s, starts_s // HOUR_S * HOUR_S, starts_s)
        joined = np.column_stack([whole_hours_s.astype(np.int64), self.keys[kept]])
        unique, place = np.unique(joined, axis=0, return_inverse=True)
        sums = np.zeros((len(unique), len(SUMS)))
        np.add.at(sums, place.reshape(-1), self.sums[kept])
        rows = (unique[:, 0].astype(float), unique[:, 1:], sums)
        return type(self)(self.upto_seq, self.words, *rows, self.rated_at_s, len(unique))

    def between(self, since_s: float, until_s: float) -> Self:
        """Return the traffic of the steps that begin in since_s <= t < until_s."""
        return self._rows((self.starts_s >= since_s) & (self.starts_s < until_s))

    def where(self, key: str, values: Iterable[str | None]) -> Self:
        """Return the traffic whose arm, task, kind, status or tenant is one of these."""
        places = [self.words.index(value) for value in values if value in self.words]
        return self._rows(np.isin(self.keys[:, KEYS.index(key)], places))

    def total(self) -> TrafficSums:
        """Return what all of it adds up to."""
        return _sums(self.sums.sum(axis=0))

    def by(self, key: str) -> dict[Any, TrafficSums]:
        """Return the sums for each arm, task, kind or status, the most requested first."""
        found = self._grouped(self.keys[:, KEYS.index(key)])
        named = {self.words[int(place)]: sums for place, sums in found.items()}
        return dict(sorted(named.items(), key=lambda item: -item[1].decisions))

    def by_step(self, step_s: float) -> dict[float, TrafficSums]:
        """Return the sums for each step of time, by the second at which it begins."""
        return self._grouped(self.starts_s // step_s * step_s)

    def _tasks(self) -> Counter[str | None]:
        """Return how many tasks are known of each tenant."""
        tasks, tenants = (self.keys[:, KEYS.index(key)] for key in ("task", "tenant"))
        pairs = np.unique(tenants * len(self.words) + tasks)
        return Counter(self.words[place] for place in (pairs // len(self.words)).tolist())

    def _grouped(self, labels: Any) -> dict[float, TrafficSums]:
        unique, place = np.unique(labels, return_inverse=True)
        sums = np.zeros((len(unique), len(SUMS)))
        np.add.at(sums, place.reshape(-1), self.sums)
        return {float(label): _sums(row) for label, row in zip(unique, sums, strict=True)}

    def _rows(self, kept: Any) -> Self:
        rows = (self.starts_s[kept], self.keys[kept], self.sums[kept])
        return type(self)(self.upto_seq, self.words, *rows, self.rated_at_s)


class Following:
    """The traffic of a log, brought up to date when it is asked for.

    What was added up is kept in the folder, so that a start adds up little; losing it loses time.
    """

    def __init__(self, log: LogReader, folder: Path, clock: Callable[[], float]) -> None:
        self._log = log
        self._folder = folder / FOLDER
        self._clock = clock
        self._lock = threading.Lock()
        self._traffic: Traffic | None = None
        self._fine_seq = 0
        self._saved_seq = 0

    def now(self, tenant: str | None = None) -> Traffic:
        """Return a tenant's traffic, or everybody's, up to the newest event.

        Where much was never added up this takes a while.

        raises : StoreUnavailable
        """
        newest = self._log.position()
        with self._lock:
            while (traffic := self._piece(newest)).upto_seq < newest:
                pass
        return traffic if tenant is None else traffic.where("tenant", [tenant])

    def advance(self) -> bool:
        """Add up one more piece, and keep it from time to time; return whether there is more.

        raises : StoreUnavailable; OSError if it cannot be kept
        """
        newest = self._log.position()
        with self._lock:
            traffic = self._piece(newest)
            if traffic.upto_seq - self._saved_seq >= SAVED_EVERY:
                self._save(traffic)
        return traffic.upto_seq < newest

    def begin_anew(self, until_s: float) -> None:
        """Forget what was added up and kept up to a moment; the log has changed since.

        raises : OSError
        """
        with self._lock:
            for kept in self._folder.glob("*"):
                if kept.stat().st_mtime <= until_s:
                    kept.unlink()
            self._traffic, self._saved_seq = None, 0

    def save(self) -> None:
        """Keep what was added up, if anything was since the last time.

        raises : OSError
        """
        with self._lock:
            if self._traffic is not None and self._traffic.upto_seq > self._saved_seq:
                self._save(self._traffic)

    def _save(self, traffic: Traffic) -> None:
        now_s = self._clock()
        whole = traffic.folded(now_s - KEPT_S, now_s - FINE_S)
        mark = beside(partial(self._log.mark, whole.upto_seq))
        snapshots.save(self._folder, FORM, whole.upto_seq, whole.to_arrays(), mark)
        self._saved_seq = whole.upto_seq

    def _piece(self, newest: int) -> Traffic:
        """Return the traffic with one piece more of what is new."""
        traffic = self._traffic or self._begun(newest)
        is_fine = traffic.upto_seq >= self._fine_seq
        upto = min(traffic.upto_seq + PIECE, newest if is_fine else self._fine_seq)
        if upto > traffic.upto_seq:
            step_s = STEP_S if is_fine else HOUR_S
            ask = partial(self._log.lookups.traffic, traffic.upto_seq, upto, step_s)
            traffic = traffic.add(beside(ask), upto)
        if len(traffic.starts_s) - traffic.rows_folded > ROWS_BEFORE_FOLDING:
            now_s = self._clock()
            traffic = traffic.folded(now_s - KEPT_S, now_s - FINE_S)
        self._traffic = traffic
        return traffic

    def _begun(self, newest: int) -> Traffic:
        """Return what was kept, or the traffic before the first event of the days that are."""
        now_s, log = self._clock(), self._log.lookups
        kept = beside(partial(snapshots.newest, self._folder, self._log.mark, FORM))
        self._fine_seq = _before(beside(partial(log.first_since, now_s - FINE_S)), newest)
        if kept is not None:
            self._saved_seq = kept.upto_seq
            return Traffic.of(kept.arrays, kept.upto_seq)
        return Traffic(_before(beside(partial(log.first_since, now_s - KEPT_S)), newest))


def _before(first: int | None, newest: int) -> int:
    """Return a position before the first of some events; without any, the newest."""
    return newest if first is None else max(0, first - SLACK)


def _placed(
    row: TrafficRow, key: str, places: dict[str | None, int], tasks: Counter[str | None]
) -> int:
    """Return the number of a word, a new one for a new word while there is room."""
    word = getattr(row, key)
    if key == "task" and word not in places:
        if len(places) >= MOST_WORDS and tasks[row.tenant] >= OWN_TASKS:
            word = OTHER
        else:
            tasks[row.tenant] += 1
    return places.setdefault(word, len(places))


def _sums(row: Floats) -> TrafficSums:
    decisions, requests, cost_usd, latency_s, rated, reward, square = map(float, row)
    counts = (round(decisions), round(requests), cost_usd, latency_s, round(rated))
    return TrafficSums(*counts, reward, square)
