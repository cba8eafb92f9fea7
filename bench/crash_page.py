"""The page of a crash run: who was killed, what was acknowledged, and what was found of it."""

from collections.abc import Iterator
from statistics import median

from bench.callers import CHAT, PLAIN, STREAM
from bench.crash import CALLERS, Crashed
from bench.victims import VICTIMS

WHOM = {
    "worker": "the worker that serves",
    "master": "gunicorn's master",
    "parent": "`./run` itself",
    "scheduler": "the scheduler",
    "retrain": "the process that fits a policy",
    "everything": "all processes at one moment",
    "a start": "all processes, and again while they start",
}
READING = """
Seconds are from the start, or from the kill of a worker, to the next answer. Some kills wait until
a policy is fitted, and some until one was judged: where every life is short no retrain would come
to its end.

A line of a client's journal is flushed to the disk after the answer has come and before the next
request: an outcome counts as acknowledged when the whole answer, or `[DONE]`, has come; a thumb
when its 200 has. Lost is what the journal has and the log has not; doubled is a decision with two
outcomes, or a vote that is there twice. The fourteen invariants are those of
`jobs/invariants.py`; among them: what the service had learned is, byte for byte, what a fresh fold
of its log gives, and SQLite's own `integrity_check` finds nothing."""


def lines(crashed: Crashed, seed: int) -> Iterator[str]:
    """Yield the page."""
    kills = len(crashed.killed)
    yield "# Killed under load\n"
    yield (
        f"Made by `python -m bench crash --kills {kills} --seed {seed}`: {kills} times `kill -9`, "
        f"at random moments, while {CALLERS} callers ask and rate and policies are fitted; "
        f"{sum(each.took_s for each in crashed.killed) / 60:.0f} minutes.\n"
    )
    yield "| killed | times | while a policy was fitted | median s to the next answer | slowest |"
    yield "|---|--:|--:|--:|--:|"
    for victim in VICTIMS:
        if hit := [each for each in crashed.killed if each.victim == victim]:
            back_s = [each.back_s for each in hit]
            fitting = sum(each.is_fitting for each in hit)
            slow = f"{median(back_s):.1f} | {max(back_s):.1f}"
            yield f"| {WHOM[victim]} | {len(hit)} | {fitting} | {slow} |"
    yield from _found(crashed)
    if not crashed.is_lossy:
        bound = 1 - 0.05 ** (1 / kills)
        yield (
            f"\nNo loss in {kills} kills bounds the chance of a loss in one kill at {bound:.1%}, "
            "with 95 % confidence."
        )
    yield READING


def _found(crashed: Crashed) -> Iterator[str]:
    journal, seen = crashed.journal, crashed.seen
    yield "\n| | |\n|---|--:|"
    yield f"| outcomes acknowledged | {len(journal.outcomes):,} |"
    yield from (f"| of them {kind} | {seen.get(kind, 0):,} |" for kind in (PLAIN, STREAM, CHAT))
    yield f"| thumbs acknowledged | {seen.get('thumbs', 0):,} |"
    yield f"| requests cut off by a kill | {sum(each.cut_off for each in crashed.killed):,} |"
    yield f"| decisions in the log | {crashed.decisions:,} |"
    yield f"| retrains that were seen to begin | {sum(each.fits for each in crashed.killed):,} |"
    yield f"| retrains that came to their end | {crashed.judged:,} |"
    yield f"| of them promoted | {crashed.promoted:,} |"
    yield f"| **lost** | **{crashed.lost}** |"
    yield f"| **doubled** | **{crashed.doubled}** |"
    yield f"| **invariants that do not hold** | **{len(crashed.broken)}** |"
    yield from (f"\n- {each}" for each in crashed.broken)
