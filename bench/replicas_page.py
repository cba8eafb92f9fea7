"""The page of a run with replicas: what was disturbed, what callers saw, what was found."""

from collections.abc import Iterator

from bench.callers import RATED_AT
from bench.replicas import CALLERS, DISTURBANCES, REPLICAS, Restarted

READING = """
A line of a client's journal is flushed to the disk after the answer has come and before the next
request. PostgreSQL is killed by SIGQUIT, which it calls an immediate shutdown, and replicas by
SIGKILL. While replicas restart in order, an answer that is no 200, or a stream without its end, is
a fault. While a replica is killed its streams may end in the middle, and while PostgreSQL is down
no thumb can be acknowledged: such answers are counted apart, and a thumb's is a 503. The
invariants are those of `jobs/invariants.py`."""


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
