"""Is anything lost when processes are killed? The real service, killed under load, over and over.

While callers of every kind ask and rate, and policies are fitted, one process or all of them are
killed at random moments. What callers were told is then held against the log.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bench.callers import Caller
from bench.diary import CUT_OFF, Diary, append, written
from bench.serving import free_bind
from bench.victims import VICTIMS, Service, Victim
from jobs.invariants import INVARIANTS, broken
from jobs.witness import Audit, Journal, Witness
from policy.exploration import Control
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.place import of_one_log
from storage.snapshots import newest
from storage.sqlite_reader import SqliteReader

CALLERS = 8
LIVES_S = (0.2, 2.5)
STARTS_S = 3.0
MOMENT_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2
CONTROL = Control(0.05, "gpt-4o")
ALIKE = {
    "TURNPIKE_SANDBOX": "on",
    "TURNPIKE_SANDBOX_LATENCY_S": "0.001",
    "TURNPIKE_BASELINE": str(CONTROL.arm),
    "TURNPIKE_CONTROL_SHARE": str(CONTROL.share),
    "TURNPIKE_DRAIN_S": "3",
    "TURNPIKE_LOG_LEVEL": "error",
}
"""How every service is set that is killed, alone or as a replica."""
Moment = Literal["any", "while a policy is fitted", "once one was judged"]
MOMENTS: dict[Moment, float] = {
    "any": 0.65,
    "while a policy is fitted": 0.2,
    "once one was judged": 0.15,
}
"""What a kill waits for, and how often: where every life is short no retrain comes to its end."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: after how many seconds the service was back, and what else it hit.

    `is_fitting` says whether a policy was fitted at that moment, `fits` how many retrains were seen
    to begin since the kill before, `cut_off` how many requests came to nothing, `took_s` how long
    it all took.
    """

    victim: Victim
    back_s: float
    is_fitting: bool
    fits: int
    cut_off: int
    took_s: float


@dataclass(frozen=True, slots=True)
class Crashed:
    """What came of a run: every kill, what callers were told, what the log has of it.

    `broken` is what does not hold of the log, `lost` the outcomes and thumbs that were acknowledged
    and are not there, `doubled` the outcomes and votes that are there twice; `judged` the retrains
    that came to their end, `promoted` those of them that were adopted.
    """

    killed: list[Kill]
    journal: Journal
    seen: dict[str, int]
    broken: list[str]
    lost: int
    doubled: int
    decisions: int
    judged: int
    promoted: int

    @property
    def is_lossy(self) -> bool:
        """Return whether anything does not hold."""
        return bool(self.broken or self.lost or self.doubled)


def run(kills: int, seed: int, folder: Path, told: Callable[[str], None]) -> Crashed:
    """Return what came of so many kills, those of an interrupted run in this folder among them.

    raises : TimeoutError if the service does not come back, or something outlives it
    """
    folder.mkdir(parents=True, exist_ok=True)
    killing = Killing(folder, seed)
    killing.go_on(kills, told)
    told("holding what callers were told against the log ...")
    return _verdict(killing)


class Killing:
    """The kills of one run, each kept on the disk as soon as it is over."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.database = folder / "sandbox" / "turnpike.db"
        self.diary = Diary(folder / "journal.jsonl")
        self.killed = [Kill(**line) for line in written(folder / "kills.jsonl")]
        self._kept = folder / "kills.jsonl"
        self._seed = seed
        self._service = Service(_settings(folder), folder / "lines.txt")
        self._fits: set[int] = set()

    def go_on(self, kills: int, told: Callable[[str], None]) -> None:
        """Start the service, and kill until it was done so many times."""
        self._service.kill_all()  # what an interrupted run has left
        with self.diary, ExitStack() as ending:
            self.diary.excused.set()
            ending.callback(self._service.kill_all)
            self._service.start()
            self._service.wait_until_ready()
            ending.callback(self._service.stop)
            self.diary.excused.clear()
            ending.enter_context(calling(CALLERS, self._service.port, self.diary, self._seed))
            for n in range(len(self.killed), kills):
                kill = self._next(random.Random(f"{self._seed} {n}"))  # noqa: S311
                self.killed.append(kill)
                with self._kept.open("ab") as file:
                    append(file.fileno(), asdict(kill))
                fitting = ", while a policy was fitted" if kill.is_fitting else ""
                told(f"kill {n + 1} of {kills}: {kill.victim}{fitting}; {kill.took_s:.0f} s")
            time.sleep(LIVES_S[1])

    def _next(self, drawn: random.Random) -> Kill:
        began_s, fits, cut_off = time.monotonic(), len(self._fits), self.diary.seen[CUT_OFF]
        [victim] = drawn.choices(list(VICTIMS), list(VICTIMS.values()))
        [moment] = drawn.choices(list(MOMENTS), list(MOMENTS.values()))
        self._wait(moment if victim != "retrain" else "while a policy is fitted")
        time.sleep(drawn.uniform(*LIVES_S))
        is_fitting = self._is_fitting()
        back_s = self._kill(victim, drawn)
        return Kill(
            victim,
            back_s,
            is_fitting,
            len(self._fits) - fits,
            self.diary.seen[CUT_OFF] - cut_off,
            time.monotonic() - began_s,
        )

    def _wait(self, moment: Moment) -> None:
        """Return when the moment has come, or has not for so long that the kill comes without."""
        give_up_at, judged = time.monotonic() + MOMENT_WITHIN_S, self._judged()
        while moment != "any" and time.monotonic() < give_up_at:
            is_fitting = self._is_fitting()
            if is_fitting if moment == "while a policy is fitted" else self._judged() > judged:
                return
            time.sleep(LOOK_EVERY_S)

    def _is_fitting(self) -> bool:
        """Return whether a policy is fitted now, and note who is at it."""
        fits = self._service.fits()
        self._fits |= fits
        return bool(fits)

    def _judged(self) -> int:
        with SqliteReader(self.database) as log:
            return len(log.retrains(1_000_000))

    def _kill(self, victim: Victim, drawn: random.Random) -> float:
        """Kill, and return the seconds until the service answers again."""
        service, diary = self._service, self.diary
        diary.excused.set()
        diary.kills += 1
        service.kill(victim)
        if victim == "a start":
            service.start()
            time.sleep(drawn.uniform(0.0, STARTS_S))
            service.kill_all()
        began_s = time.monotonic()
        if victim not in {"worker", "retrain"}:
            service.wait_until_gone()
            began_s = time.monotonic()
            service.start()
        service.wait_until_ready()
        diary.kills += 1
        diary.excused.clear()
        return time.monotonic() - began_s


@contextmanager
def calling(callers: int, port: int, diary: Diary, seed: int) -> Iterator[None]:
    """Have so many callers ask and rate until the block ends."""
    drawn = random.Random(seed)  # noqa: S311
    asking = [Caller(port, f"caller {n}", diary, drawn.randrange(1 << 30)) for n in range(callers)]
    for each in asking:
        each.start()
    try:
        yield
    finally:
        for each in asking:
            each.stopping.set()
        for each in asking:
            each.join()


def _verdict(killing: Killing) -> Crashed:
    journal = killing.diary.journal
    with SqliteReader(killing.database) as log:
        policy = log.latest_policy()
        folder = of_one_log(killing.database.parent, killing.database) / "snapshots"
        saved = newest(folder, log.mark, policy.version if policy else 0)
        witness = Witness(
            journal=journal,
            live=saved.arrays if saved else None,
            live_seq=saved.upto_seq if saved else 0,
            control=CONTROL,
            database=killing.database,
        )
        found = broken(log, witness)
        if saved is None:
            found.append("I4: the service saved nothing of what it had learned")
        retrains = log.retrains(1_000_000)
        return Crashed(
            killed=killing.killed,
            journal=journal,
            seen=dict(killing.diary.seen),
            broken=found,
            lost=len(list(INVARIANTS["I1"](Audit(log, witness)))),
            doubled=doubled(log.events()),
            decisions=log.counts().decisions,
            judged=len(retrains),
            promoted=sum(each.promoted for each in retrains),
        )


def doubled(events: Iterable[Event]) -> int:
    """Return how many decisions have two outcomes, and how many votes are there twice.

    Callers write no comments, so nobody gives a reward, or withdraws it, a second time.
    """
    ends: Counter[str] = Counter()
    votes = 0
    for event in events:
        if isinstance(event, OutcomeEvent):
            ends[event.decision_id] += 1
        elif isinstance(event, FeedbackEvent):
            votes += event.reward == event.previous_reward
    return votes + sum(n > 1 for n in ends.values())


def _settings(folder: Path) -> dict[str, str]:
    bind = folder / "bind"  # kept: by it, what an interrupted run has left is found
    if not bind.exists():
        bind.write_text(free_bind())
    return {
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": bind.read_text(),
        **ALIKE,
        "TURNPIKE_RETRAIN_EVERY_S": "4",
    }
