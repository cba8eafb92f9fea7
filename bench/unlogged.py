"""The service without its log, so that a measurement can tell what writing costs.

No product: it decides, asks and answers as always, keeps nothing and learns nothing. What follows
the module's name on the command line goes to gunicorn.
"""

import runpy
from typing import Any

from storage.recorder import LogRecorder
from storage.spool import Durable


class Unwritten:
    """A ticket for nothing."""

    durable: Durable = "none"

    def wait(self, timeout_s: float = 0.0) -> int:
        """Return at once."""
        return 0


def write_nothing(log: type[LogRecorder]) -> None:
    """Let every log of a class forget what it is given of decisions."""
    for name in ("decide", "attempt", "settle"):
        setattr(log, name, _forget)


def _forget(_log: LogRecorder, _row: Any) -> Unwritten:
    return Unwritten()


if __name__ == "__main__":
    write_nothing(LogRecorder)
    runpy.run_module("gunicorn", run_name="__main__", alter_sys=True)
