"""What this process may spend of budgets that others spend too: pieces, taken and given back.

A piece is a tenth of what nobody has; a request that finds too little of it left has some more
taken, then all that is left. So the ceiling holds for all processes together at every moment, and
only near its end may one refuse what another could still have paid.
"""

import threading
import uuid
from collections.abc import Callable, Mapping

from app.routing.pacing import Pacing, Piece
from storage.recorder import LogRecorder

KEEP_EVERY_S = 2.0


class Sharing:
    """Keeps the pieces of this process; `lock` guards the pacings, and is never held for the store.

    A smaller piece counts here before it is given back, a larger one there before it is spent from.
    """

    def __init__(
        self, log: LogRecorder, lock: threading.Lock, budgets: Callable[[], Mapping[str, Pacing]]
    ) -> None:
        self._log = log
        self._lock = lock
        self._budgets = budgets
        self._process = uuid.uuid4().hex
        self._asking = threading.Lock()
        self._kept_at_s = 0.0

    def keep(self, now_s: float, piece: Piece = "some") -> None:
        """Take or give back, so that every budget's piece is as large as it should be.

        raises : StoreUnavailable
        """
        if piece == "some" and 0 <= now_s - self._kept_at_s < KEEP_EVERY_S:
            return
        self._kept_at_s = now_s
        with self._lock:
            budgets = dict(self._budgets())
        self._take(budgets, piece, now_s)

    def more(self, budgets: Mapping[str, Pacing], piece: Piece, now_s: float) -> bool:
        """Return whether more may be left now of one of these budgets.

        raises : StoreUnavailable
        """
        self._take(budgets, piece, now_s)
        return bool(budgets)

    def _take(self, budgets: Mapping[str, Pacing], piece: Piece, now_s: float) -> None:
        """Ask for all of them at once, so that they share a commit."""
        with self._asking:
            with self._lock:
                wishes = [
                    pacing.wish(name, self._process, piece, now_s)
                    for name, pacing in budgets.items()
                ]
            tickets = [self._log.allot(wish) for wish in wishes]
            allotments = [ticket.wait() for ticket in tickets]
            with self._lock:
                for pacing, allotment, wish in zip(
                    budgets.values(), allotments, wishes, strict=True
                ):
                    pacing.allot(allotment, wish.span)
