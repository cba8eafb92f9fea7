"""What runs when; the only file that imports apscheduler.

One job at a time, each a call that starts a child process and waits for it. A job that fails is
logged and runs again at its next time; one that is late runs once, however many times it missed.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from structlog import get_logger

LOGGER = get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do again and again, for the first time after `first_s` if that is given."""

    name: str
    every_s: float
    do: Callable[[], None]
    first_s: float | None = None


def run(jobs: Sequence[Job]) -> None:
    """Run the jobs until the process is told to stop."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
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
    scheduler.start()


def _report(event: JobExecutionEvent) -> None:
    if event.code == EVENT_JOB_MISSED:
        LOGGER.warning("job missed its time", job=event.job_id)
    else:
        LOGGER.error("job failed", job=event.job_id, error=repr(event.exception))
