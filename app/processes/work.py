"""The processes beside the service: the scheduler, and the sandbox provider."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from math import inf
from types import FrameType

import click
from structlog import get_logger

from app.mode import beside_log
from app.monitoring.reporting import is_awaited
from app.processes.journal import write_lines
from app.processes.orphan import end_with_parent
from app.routing.retention import Retention
from app.settings import Settings
from jobs import failures
from jobs.due import Due
from jobs.scheduler import Job, run
from policy.errors import ConfigError, StoreUnavailable
from policy.types import DAY_S
from storage import erasing
from storage.reader import LogReader
from storage.sql import AskLog
from storage.stores import open_reader
from storage.words import Expiry
from upstream.provider import listening
from upstream.sandbox import serve_sandbox
from upstream.watch import CatalogueFile

LOGGER = get_logger()
LOOK_EVERY_S = 5.0
PRUNE_EVERY_S = 60.0
PIECE = 1_000
"""Words that are taken out at a time: requests wait for no long deletion."""
AFTER_FAILURE_S = 60.0
TOLD_WITHIN_S = 5.0


class Starter:
    """Starts a job as a child process; one that has failed is not started when due for a minute.

    One that is not done at its deadline is ended, or it would keep every other job from its turn.
    """

    def __init__(self, settings: Settings, *command: str) -> None:
        self._settings = settings
        self._command = command
        self._not_before = 0.0

    def start(self, *more: str) -> None:
        """Run the job, and tell if it fails."""
        command = [sys.executable, "-m", "app", *self._command, *more]
        environ = {**os.environ, "TURNPIKE_SANDBOX": self._settings.sandbox}
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.DEVNULL, env=environ
        ) as process:
            reason = _failure(process, self._settings.job_deadline_s)
        if reason is not None:
            self._not_before = time.monotonic() + AFTER_FAILURE_S
            LOGGER.error(f"{self._command[0]} failed", reason=reason, arguments=more)
        self._leave_word(reason)

    def start_if(self, is_due: Callable[[LogReader], bool], *more: str) -> None:
        """Run the job if it is due by what the log says."""
        if time.monotonic() < self._not_before:
            return
        try:
            with open_reader(self._settings.database) as log:
                wanted = is_due(log)
        except (StoreUnavailable, ConfigError) as error:
            LOGGER.warning("the log cannot be read now", reason=error.message)
            return
        if wanted:
            self.start(*more)

    def _leave_word(self, reason: str | None) -> None:
        """Leave for the alarms that the job has failed, or has come to its end."""
        try:
            with open_reader(self._settings.database) as log:
                failures.follow(beside_log(self._settings), log, self._command[0], reason)
        except (StoreUnavailable, ConfigError, OSError) as error:
            LOGGER.warning(
                "the alarms are not told of a job", job=self._command[0], error=str(error)
            )


def _failure(process: subprocess.Popen[bytes], deadline_s: float) -> str | None:
    """Return why a job has failed, None if it has not, once it has ended or was ended."""
    try:
        code = process.wait(deadline_s)
    except subprocess.TimeoutExpired:
        process.terminate()
    else:
        return f"it ended with code {code}" if code else None
    try:
        process.wait(TOLD_WITHIN_S)
        how = "told to end"
    except subprocess.TimeoutExpired:
        process.kill()
        how = f"killed, after {TOLD_WITHIN_S:.0f} s in which it did not end when told to"
    return f"it was not done after {deadline_s:g} s (TURNPIKE_JOB_DEADLINE_S), and was {how}"


def jobs(settings: Settings) -> list[Job]:
    """Return what runs when: retrains, reports, and the end of what is kept for a time."""
    retrain, prune = Starter(settings, "retrain", "--trigger"), Starter(settings, "prune", "--yes")
    report, due = Starter(settings, "report", "--keep"), Due(settings.retrain_first_outcomes)

    def was_missed(log: LogReader) -> bool:
        ages_s = [time.time() - each.started_at_s for each in log.retrains(1)]
        return not all(0.0 <= age_s <= settings.retrain_every_s for age_s in ages_s)

    return [
        Job("retrain", settings.retrain_every_s, partial(retrain.start, "schedule")),
        # What was due while nothing ran is done soon after the start; a date ahead tells nothing.
        Job(
            "retrain when missed",
            settings.retrain_every_s,
            partial(retrain.start_if, was_missed, "schedule"),
            first_s=LOOK_EVERY_S,
        ),
        Job("retrain when due", LOOK_EVERY_S, partial(retrain.start_if, due.by_now, "feedback")),
        Job("report", settings.report_every_s, report.start, first_s=LOOK_EVERY_S),
        Job("report when awaited", LOOK_EVERY_S, partial(report.start_if, is_awaited)),
        Job("prune", PRUNE_EVERY_S, partial(prune.start_if, partial(_may_prune, settings))),
    ]


def _may_prune(settings: Settings, log: LogReader) -> bool:
    # One that has failed is run again although somebody has pruned by hand: its alarm waits.
    return "prune" in failures.failed(log) or bool(overdue(settings, log.ask, time.time()))


def overdue(settings: Settings, ask: AskLog, now_s: float) -> list[Expiry]:
    """Return a piece of the texts and hashes that must go now; nothing when all may stay."""
    retention = Retention(settings.prompts)
    texts_before_s = now_s - settings.prompts_keep_days * DAY_S
    hashes_before_s = now_s - settings.hashes_keep_days * DAY_S if retention.hashes else inf
    return erasing.overdue(ask, retention.forms, texts_before_s, hashes_before_s, PIECE)


def work(settings: Settings) -> None:
    """Run the scheduler until told to stop."""
    write_lines(settings.log_level)
    end_with_parent()
    signal.signal(signal.SIGTERM, _exit_at_once)
    run(jobs(settings))


def sandbox(settings: Settings, port: int, fd: int | None = None) -> None:
    """Run the sandbox provider until told to stop, on a listening descriptor if one is given.

    It looks at the catalogue whenever it is asked, so that it never knows less than who asks.
    """
    end_with_parent()
    signal.signal(signal.SIGTERM, _exit)
    file = CatalogueFile(settings.arms, look_every_s=0.0)
    listener = listening(port) if fd is None else socket.socket(fileno=fd)
    serving = serve_sandbox(file.current, settings.sandbox_latency_s, listener=listener)
    if fd is None:
        click.echo(f"The sandbox answers at {serving.url}. Ctrl-C ends it.")
    try:
        serving.wait()
    finally:
        serving.close()


def _exit_at_once(_signal: int, _frame: FrameType | None) -> None:
    # An orderly exit would first do what is queued: start another job, which nobody then ends.
    os._exit(0)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
