"""The log as the other rooms see it: everything they may write to it and read from it.

Writing returns a `Unit` at once; the row is durable when `wait` returns. Units are committed in
the order in which they were submitted. Learning events get one strictly increasing `seq` without
gaps, so that folding them in that order is well defined.
"""

from math import inf

from storage import abandoning
from storage.reader import LogReader
from storage.recorder import LogRecorder
from storage.unbooked import Unbooked


class Log(LogRecorder, LogReader):
    """The log: the truth that posterior and policy are folded from."""

    _abandoned_s = -inf

    def abandon(self, decided_before_s: float, at_s: float) -> int:
        """Record an `abandoned` outcome for decisions that died without one; return how many.

        The whole log is looked through once, and after that what an earlier call had not seen.
        Reading holds up nobody; a writer that looked so long would hold up those of all processes.
        """
        self.bring_back()
        since_s = self._abandoned_s - abandoning.LOOK_BACK_S
        unseen = {"since_s": since_s, "before_s": decided_before_s}
        first_s = self.ask(abandoning.FIRST_UNSETTLED, unseen)[0]["at_s"]
        between = {**unseen, "since_s": first_s}
        lost = self._writer.submit(lambda db: abandoning.abandon(db, between, at_s)).wait()
        self._abandoned_s = decided_before_s
        return lost

    def unbooked(self) -> Unbooked:
        """Return what the rows cost that wait in the spool, for a process that has just begun."""
        return Unbooked(self._spool.waiting(), self.ask)
