"""The log as the other rooms see it: everything they may write to it and read from it.

Writing returns a `Unit` at once; the row is durable when `wait` returns. Units are committed in
the order in which they were submitted. Learning events get one strictly increasing `seq` without
gaps, so that folding them in that order is well defined.
"""

from storage.reader import LogReader
from storage.recorder import LogRecorder
from storage.unbooked import Unbooked


class Log(LogRecorder, LogReader):
    """The log: the truth that posterior and policy are folded from."""

    def unbooked(self) -> Unbooked:
        """Return what the rows cost that wait in the spool, for a process that has just begun."""
        return Unbooked(self._spool.waiting(), self.ask)
