"""Is anything lost when processes are killed? The real service, killed under load, over and over.

While callers of every kind ask and rate, and policies are fitted, one process or all of them are
killed at random moments. What callers were told is then held against the log.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.callers import Caller, Diary
from bench.serving import free_bind
from bench.victims import VICTIMS, Service, Victim
from jobs.invariants import INVARIANTS, broken
from jobs.witness import Audit, Journal, Witness
from policy.exploration import Control
from storage.events import FeedbackEvent
from storage.snapshots import newest
from storage.sqlite_reader import SqliteReader

CALLERS = 8
LIVES_S = (0.2, 2.5)
STARTS_S = 3.0
CONTROL = Control(0.05, "gpt-4o")


@dataclass(frozen=True, slots=True)
class Crashed:
    """What came of a run: who was killed, and after how many seconds the service was back.

    `broken` is what does not hold of the log, `lost` the outcomes and thumbs that were acknowledged
    and are not there, `doubled` the votes that are there twice.
    """

    back_s: dict[Victim, list[float]]
    journal: Journal
    seen: dict[str, int]
    broken: list[str]
    lost: int
    doubled: int
    decisions: int
    retrains: int
    versions: int
    seconds: float

    @property
    def kills(self) -> int:
        """Return how often something was killed."""
        return sum(map(len, self.back_s.values()))

    @property
    def is_lossy(self) -> bool:
        """Return whether anything does not hold."""
        return bool(self.broken or self.lost or self.doubled)


def run(kills: int, seed: int, folder: Path, told: Callable[[str], None]) -> Crashed:
    """Return what came of so many kills.

    raises : TimeoutError if the service does not come back, or something outlives it
    """
    drawn, began_s = random.Random(seed), time.monotonic()  # noqa: S311
    service = Service(_settings(folder), folder / "lines.txt")
    back_s: dict[Victim, list[float]] = defaultdict(list)
    with Diary(folder / "journal.jsonl") as diary:
        diary.excused.set()
        service.start()
        service.wait_until_ready()
        diary.excused.clear()
        callers = [
            Caller(service.port, f"caller {n}", diary, drawn.randrange(1 << 30))
            for n in range(CALLERS)
        ]
        for each in callers:
            each.start()
        try:
            for n in range(kills):
                time.sleep(drawn.uniform(*LIVES_S))
                [victim] = drawn.choices(list(VICTIMS), list(VICTIMS.values()))
                back_s[victim].append(_killed(service, victim, diary, drawn))
                told(f"kill {n + 1} of {kills}: {victim}, back in {back_s[victim][-1]:.1f} s")
            time.sleep(LIVES_S[1])
        finally:
            for each in callers:
                each.stopping.set()
            for each in callers:
                each.join()
            service.stop()
            service.kill_all()
        return _verdict(folder / "sandbox" / "turnpike.db", diary, dict(back_s), began_s)


def _killed(service: Service, victim: Victim, diary: Diary, drawn: random.Random) -> float:
    """Kill, and return the seconds until the service answers again."""
    diary.excused.set()
    diary.kills += 1
    service.kill(victim)
    if victim == "a start":
        service.start()
        time.sleep(drawn.uniform(0.0, STARTS_S))
        service.kill_all()
    began_s = time.monotonic()
    if victim != "worker":
        service.wait_until_gone()
        began_s = time.monotonic()
        service.start()
    service.wait_until_ready()
    diary.kills += 1
    diary.excused.clear()
    return time.monotonic() - began_s


def _verdict(
    database: Path, diary: Diary, back_s: dict[Victim, list[float]], began_s: float
) -> Crashed:
    journal = diary.journal
    with SqliteReader(database) as log:
        policy = log.latest_policy()
        saved = newest(database.parent / "snapshots", policy.version if policy else None).snapshot
        witness = Witness(
            journal=journal,
            live=saved.arrays if saved else None,
            live_seq=saved.upto_seq if saved else 0,
            control=CONTROL,
            database=database,
        )
        found = broken(log, witness)
        if saved is None:
            found.append("I4: the service saved nothing of what it had learned")
        votes = [event for event in log.events() if isinstance(event, FeedbackEvent)]
        return Crashed(
            back_s=back_s,
            journal=journal,
            seen=dict(diary.seen),
            broken=found,
            lost=len(list(INVARIANTS["I1"](Audit(log, witness)))),
            doubled=sum(each.reward == each.previous_reward for each in votes if each.reward),
            decisions=log.counts().decisions,
            retrains=len(log.retrains(1_000_000)),
            versions=policy.version if policy else 0,
            seconds=time.monotonic() - began_s,
        )


def _settings(folder: Path) -> dict[str, str]:
    return {
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": free_bind(),
        "TURNPIKE_SANDBOX": "on",
        "TURNPIKE_SANDBOX_LATENCY_S": "0.001",
        "TURNPIKE_BASELINE": str(CONTROL.arm),
        "TURNPIKE_CONTROL_SHARE": str(CONTROL.share),
        "TURNPIKE_RETRAIN_EVERY_S": "5",
        "TURNPIKE_DRAIN_S": "3",
        "TURNPIKE_LOG_LEVEL": "error",
    }
