"""The processes beside the service: the scheduler, and the sandbox provider."""

import signal
import subprocess
import sys
import time
from types import FrameType

from structlog import get_logger

from app.journal import write_lines
from app.orphan import end_with_parent
from app.settings import Settings
from jobs.due import due
from jobs.scheduler import Job, run
from policy.errors import ConfigError, StoreUnavailable
from storage.stores import open_reader
from upstream.catalogue import load
from upstream.sandbox import serve_sandbox

LOGGER = get_logger()
LOOK_EVERY_S = 5.0
AFTER_FAILURE_S = 60.0


class Trainer:
    """Starts a retrain as a child process; after a failure it waits a minute."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_before = 0.0

    def on_schedule(self) -> None:
        """Retrain because it is time."""
        self._train("schedule")

    def when_due(self) -> None:
        """Retrain because enough has been rated since the last time."""
        if time.monotonic() < self._not_before:
            return
        try:
            with open_reader(self._settings.database) as log:
                counts = log.counts()
        except (StoreUnavailable, ConfigError) as error:
            LOGGER.warning("the log cannot be read now", reason=error.message)
            return
        if due(counts, self._settings.retrain_first_outcomes):
            self._train("feedback")

    def _train(self, trigger: str) -> None:
        command = [sys.executable, "-m", "app", "retrain", "--trigger", trigger]
        ended = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)  # noqa: S603
        if ended.returncode != 0:
            self._not_before = time.monotonic() + AFTER_FAILURE_S
            LOGGER.error("retrain failed", code=ended.returncode, trigger=trigger)


def report() -> None:
    """Add a long log up to its reports, as a child process."""
    command = [sys.executable, "-m", "app", "report", "--keep"]
    ended = subprocess.run(command, check=False)  # noqa: S603
    if ended.returncode != 0:
        LOGGER.error("report failed", code=ended.returncode)


def work(settings: Settings) -> None:
    """Run the scheduler until told to stop."""
    write_lines(settings.log_level)
    end_with_parent()
    signal.signal(signal.SIGTERM, _exit)
    trainer = Trainer(settings)
    run(
        [
            Job("retrain", settings.retrain_every_s, trainer.on_schedule),
            Job("retrain when due", LOOK_EVERY_S, trainer.when_due),
            Job("report", settings.report_every_s, report, first_s=LOOK_EVERY_S),
        ]
    )


def sandbox(settings: Settings, port: int) -> None:
    """Run the sandbox provider until told to stop."""
    end_with_parent()
    signal.signal(signal.SIGTERM, _exit)
    arms = load(settings.arms).arms.values()
    serving = serve_sandbox("127.0.0.1", port, list(arms), latency_s=settings.sandbox_latency_s)
    try:
        serving.wait()
    finally:
        serving.close()


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
