"""Whose votes teach: no tenant's beyond its part, so that none decides for the others.

Every process counts what all of them have logged, so a restart and another replica go on alike.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from threading import Lock

from app.dials import EVERYBODY
from jobs.intake import FORGET
from policy.turnout import RECENT, Turnout
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.log import Log
from storage.sql import AskLog
from storage.turnout import position_before, taught, turned_out


class Votes:
    """Follows the log, and says of a tenant whether one more vote of it would be too many."""

    def __init__(self, log: Log, trusted: Collection[str]) -> None:
        self._log = log
        self._upto = log.position()
        self._trusted = trusted
        self._lock = Lock()
        self._erased_s = -1.0
        self._count_anew()
        self._unheard: Counter[str] = Counter()
        log.subscribe(self._follow, after_seq=self._upto)
        log.limit_votes(self.are_full)

    @property
    def unheard(self) -> Mapping[str, int]:
        """Return how many votes since the start stand and teach nothing, of each that is full.

        raises : StoreUnavailable
        """
        self._count_anew()
        return {tenant: n for tenant, n in self._unheard.copy().items() if self._is_full(tenant)}

    def are_full(self, tenant: str, ask: AskLog) -> bool:
        """Return whether a tenant votes so much oftener than the others that more teaches nothing.

        Who is trusted may always vote. Votes come at once: those not followed yet are asked for.
        """
        if self._is_trusted(tenant):
            return False
        with self._lock:
            return self._turnout.is_full(tenant, taught(ask, self._upto).get(tenant, 0.0))

    def _count_anew(self) -> None:
        """Count what is logged, unless nobody was forgotten since it was: it says who is full."""
        if (erased_s := self._log.received_at_s(FORGET)) > self._erased_s:
            with self._lock:
                after = position_before(self._log.ask, RECENT, self._upto)
                self._turnout = Turnout(*turned_out(self._log.ask, after, self._upto))
            self._erased_s = erased_s

    def _is_full(self, tenant: str) -> bool:
        return not self._is_trusted(tenant) and self._turnout.is_full(tenant)

    def _is_trusted(self, tenant: str) -> bool:
        return EVERYBODY in self._trusted or tenant in self._trusted

    def _follow(self, events: Sequence[Event]) -> None:
        with self._lock:
            for event in events:
                self._upto = event.seq
                match event:
                    case OutcomeEvent() if event.status == "ok" and event.cache == "miss":
                        self._turnout.answered(event.tenant)
                    case FeedbackEvent() if event.revision == 1 and not event.excluded:
                        self._turnout.voted(event.tenant)
                    case FeedbackEvent() if event.excluded and self._is_full(event.tenant):
                        more = (event.reward is not None) - (event.previous_reward is not None)
                        self._unheard[event.tenant] = max(self._unheard[event.tenant] + more, 0)
