"""Are replicas seen to restart, and is anything lost? Three of them on PostgreSQL, under load.

While callers of every kind ask and rate through a load balancer, replicas are restarted in order,
replicas are killed, and PostgreSQL is restarted as after a crash. Then all replicas must have
learned the same, and what callers were told must be in the log.
"""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.callers import ASKED, CHATTED, RATED_AT
from bench.crash import ALIKE, CONTROL, calling
from bench.diary import Diary
from bench.serving import ROOT, ask, free_bind, port_of
from bench.victims import Service
from jobs.invariants import broken
from jobs.witness import Journal, Witness
from storage.place import apart
from storage.postgres_reader import PostgresReader
from storage.postgres_server import PostgresServer

Disturbance = Literal["a replica restarts", "a replica is killed", "PostgreSQL is killed"]
DISTURBANCES: dict[Disturbance, float] = {
    "PostgreSQL is killed": 1.0,
    "a replica restarts": 0.5,
    "a replica is killed": 0.25,
}
"""What is done how often for each time that PostgreSQL is killed; each at least once."""
REPLICAS = 3
CALLERS = 6
BETWEEN_S = (0.5, 2.5)
AGREE_S = 2.0
"""How long after the last answer all replicas should have learned the same."""
AGREE_WITHIN_S = BACK_WITHIN_S = 120.0
LOOK_EVERY_S = 0.1

READING = """
A line of a client's journal is flushed to the disk after the answer has come and before the next
request. PostgreSQL is killed by SIGQUIT, which it calls an immediate shutdown, and replicas by
SIGKILL. While replicas restart in order, an answer that is no 200, or a stream without its end, is
a fault. While a replica is killed its streams may end in the middle, and while PostgreSQL is down
no thumb can be acknowledged: such answers are counted apart, and a thumb's is a 503. The
invariants are those of `jobs/invariants.py`."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """What came of a run: how often what was disturbed, and what callers saw of it.

    `journal.malformed` are answers that were none while nothing but orderly restarts of replicas
    went on. `agreed_s` is how long after the last answer all replicas had learned the same, None if
    they never had.
    """

    disturbed: Counter[Disturbance]
    journal: Journal
    seen: Counter[str]
    agreed_s: float | None
    broken: list[str]
    events: int
    seconds: float

    @property
    def refused(self) -> int:
        """Return how many questions were answered with a 5xx, whatever was done meanwhile."""
        return self.seen[f"5xx of {ASKED}"] + self.seen[f"5xx of {CHATTED}"]

    @property
    def is_good(self) -> bool:
        """Return whether nobody saw a restart, nothing is lost, and all soon learned the same."""
        is_seen = self.journal.malformed or self.refused
        is_late = self.agreed_s is None or self.agreed_s > AGREE_S
        return not (is_seen or self.broken or is_late)


def run(restarts: int, seed: int, folder: Path, told: Callable[[str], None]) -> Restarted:
    """Return what came of killing PostgreSQL so often, and replicas beside it."""
    drawn, began_s = random.Random(seed), time.monotonic()  # noqa: S311
    disturbed: Counter[Disturbance] = Counter()
    with ExitStack() as ending:
        server = ending.enter_context(PostgresServer(folder / "postgres"))
        replicas = ending.enter_context(_replicas(server.url, folder))
        port = ending.enter_context(_balancer(replicas))
        diary = ending.enter_context(Diary(folder / "journal.jsonl"))
        with calling(CALLERS, port, diary, seed):
            for n, what in enumerate(deck := shuffled(restarts, drawn), start=1):
                time.sleep(drawn.uniform(*BETWEEN_S))
                _disturb(what, server, replicas, drawn.choice(replicas), diary)
                disturbed[what] += 1
                told(f"{n} of {len(deck)} after {time.monotonic() - began_s:.0f} s: {what}")
            time.sleep(BETWEEN_S[1])
        agreed_s = _agreed(replicas, time.monotonic())
        with PostgresReader(str(apart(server.url, "sandbox"))) as log:
            witness = Witness(journal=diary.journal, control=CONTROL, is_quiet=False)
            return Restarted(
                disturbed,
                diary.journal,
                diary.seen,
                agreed_s,
                broken(log, witness),
                log.position(),
                time.monotonic() - began_s,
            )


def shuffled(restarts: int, drawn: random.Random) -> list[Disturbance]:
    """Return what is done, in an order that is drawn: of every kind so many as belong to it."""
    deck = [
        what for what, share in DISTURBANCES.items() for _ in range(max(1, round(share * restarts)))
    ]
    drawn.shuffle(deck)
    return deck


def lines(found: Restarted, seed: int) -> Iterator[str]:
    """Yield the page."""
    restarts = found.disturbed["PostgreSQL is killed"]
    yield "# Replicas restarted under load\n"
    yield (
        f"Made by `python -m bench replicas --restarts {restarts} --seed {seed}`: {REPLICAS} "
        f"replicas on one PostgreSQL behind a load balancer, {CALLERS} callers; "
        f"{found.seconds / 60:.0f} minutes.\n"
    )
    yield "| what was done | times |"
    yield "|---|--:|"
    yield from (f"| {what} | {found.disturbed[what]} |" for what in DISTURBANCES)
    yield "\n| | |\n|---|--:|"
    yield f"| outcomes acknowledged | {len(found.journal.outcomes):,} |"
    yield f"| thumbs acknowledged | {found.seen['thumbs']:,} |"
    yield f"| questions answered with a 5xx, whatever was done | {found.refused} |"
    yield f"| thumbs answered with a 5xx | {found.seen[f'5xx of {RATED_AT}']:,} |"
    yield f"| answers that were none, while replicas restarted | {len(found.journal.malformed)} |"
    yield f"| answers that were none, during kills | {found.seen['cut off by a kill']:,} |"
    yield f"| learning events | {found.events:,} |"
    agreed = "never" if found.agreed_s is None else f"{found.agreed_s:.1f} s"
    yield f"| all replicas had learned the same, after the last answer | {agreed} |"
    yield f"| **invariants that do not hold** | **{len(found.broken)}** |"
    yield from (f"- {each}" for each in (*found.journal.malformed[:5], *found.broken))
    yield READING


def _disturb(
    what: Disturbance,
    server: PostgresServer,
    replicas: list[Service],
    replica: Service,
    diary: Diary,
) -> None:
    if what == "a replica restarts":
        replica.stop()
        replica.start()
        replica.wait_until_ready()
        return
    # A stream of a killed replica ends in the middle, and no thumb is taken without the store.
    diary.excused.set()
    diary.kills += 1
    if what == "PostgreSQL is killed":
        server.restart(signal.SIGQUIT)
    else:
        replica.kill_all()
        replica.start()
        replica.wait_until_ready()
    _wait(lambda: all(_writes(each) for each in replicas))
    diary.kills += 1
    diary.excused.clear()


def _writes(replica: Service) -> bool:
    """Return whether a replica writes the log, and nothing waits beside it."""
    store = ask(replica.port, "GET", "/policy")["store"]
    return store["away_since_s"] is None and store["waiting"] == 0


def _wait(holds: Callable[[], bool]) -> None:
    """Return once something holds.

    raises : TimeoutError if it does not
    """
    give_up_at = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < give_up_at:
        with suppress(OSError, RuntimeError, ValueError):
            if holds():
                return
        time.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"not back after {BACK_WITHIN_S:.0f} s")


@contextmanager
def _replicas(database: str, folder: Path) -> Iterator[list[Service]]:
    given = [(_settings(database, folder, n), folder / f"{n}.txt") for n in range(REPLICAS)]
    services = [Service(*each) for each in given]
    try:
        for service in services:
            service.start()
        for service in services:
            service.wait_until_ready()
        yield services
    finally:
        for service in services:
            service.kill_all()


@contextmanager
def _balancer(replicas: list[Service]) -> Iterator[int]:
    port = port_of({"TURNPIKE_BIND": free_bind()})
    to = [word for each in replicas for word in ("--to", f"127.0.0.1:{each.port}")]
    command = [sys.executable, "-m", "app", "balance", "--port", str(port), *to]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603  ours
        try:
            _wait(lambda: bool(ask(port, "GET", "/healthz")))
            yield port
        finally:
            process.terminate()


def _agreed(replicas: list[Service], since_s: float) -> float | None:
    """Return after how many seconds all replicas have learned the same."""
    while time.monotonic() - since_s < AGREE_WITHIN_S:
        policies = [ask(each.port, "GET", "/policy") for each in replicas]
        if len({(each["learned_events"], each["learned_sha256"]) for each in policies}) == 1:
            return time.monotonic() - since_s
    return None


def _settings(database: str, folder: Path, n: int) -> dict[str, str]:
    return {
        "TURNPIKE_DATABASE": database,
        "TURNPIKE_DATA": str(folder / f"replica-{n}"),
        "TURNPIKE_SECRET": "for a trial on loopback, and for nothing else",
        "TURNPIKE_BIND": free_bind(),
        **ALIKE,
        "TURNPIKE_RETRAIN_EVERY_S": "20",
    }
