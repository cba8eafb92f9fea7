"""What runs when; the only file that imports apscheduler.

One job at a time, each a call that starts a child process and waits for it. A job that fails is
logged and runs again at its next time; one that is late runs once, however many times it missed.
Times are those of the clock; where it is set back, so are they.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from structlog import get_logger

LOGGER = get_logger()
LOOK_EVERY_S = 5.0
SET_BACK_S = 1.0
"""A clock that is corrected bit by bit is off by less between two looks."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do again and again, for the first time after `first_s` if that is given."""

    name: str
    every_s: float
    do: Callable[[], None]
    first_s: float | None = None


def run(jobs: Sequence[Job]) -> None:
    """Run the jobs until the process is told to stop."""
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)  # `_report` tells what has failed
    scheduler = BlockingScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    scheduler.add_listener(_report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    for job in jobs:
        scheduler.add_job(
            job.do,
            "interval",
            seconds=job.every_s,
            id=job.name,
            next_run_time=datetime.now(UTC)
            + timedelta(seconds=job.every_s if job.first_s is None else job.first_s),
        )
    threading.Thread(target=_follow_clock, args=[scheduler], name="clock", daemon=True).start()
    scheduler.start()


def _follow_clock(scheduler: BlockingScheduler) -> None:
    """Set the jobs back with the clock, or they would wait until it is where it was."""
    ahead_s = time.time() - time.monotonic()
    while True:
        time.sleep(LOOK_EVERY_S)
        before_s, ahead_s = ahead_s, time.time() - time.monotonic()
        if before_s - ahead_s > SET_BACK_S:
            LOGGER.warning("the clock was set back, and the jobs with it", by_s=before_s - ahead_s)
            for job in scheduler.get_jobs():
                job.modify(next_run_time=job.next_run_time - timedelta(seconds=before_s - ahead_s))


def _report(event: JobExecutionEvent) -> None:
    if event.code == EVENT_JOB_MISSED:
        LOGGER.warning("job missed its time", job=event.job_id)
    else:
        LOGGER.error("job failed", job=event.job_id, exc_info=event.exception)
