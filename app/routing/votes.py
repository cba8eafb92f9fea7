"""Whose votes teach: no tenant's beyond its part, so that none decides for the others.

Every process counts what all of them have logged, so a restart and another replica go on alike.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from app.dials import EVERYBODY
from policy.turnout import RECENT, Turnout
from storage.events import Event, FeedbackEvent, OutcomeEvent
from storage.log import Log
from storage.turnout import turned_out


class Votes:
    """Follows the log, and says of a tenant whether one more vote of it would be too many."""

    def __init__(self, log: Log, trusted: Collection[str]) -> None:
        upto = log.position()
        self._trusted = trusted
        self._turnout = Turnout(*turned_out(log.ask, max(upto - RECENT, 0), upto))
        self._unheard: Counter[str] = Counter()
        log.subscribe(self._follow, after_seq=upto)
        log.limit_votes(self.are_full)

    @property
    def unheard(self) -> Mapping[str, int]:
        """Return how many votes have taught nothing since the start, of each tenant still full."""
        return {tenant: n for tenant, n in self._unheard.copy().items() if self.are_full(tenant)}

    def are_full(self, tenant: str) -> bool:
        """Return whether a tenant votes so much oftener than the others that more teaches nothing.

        Who is trusted may always vote.
        """
        if EVERYBODY in self._trusted or tenant in self._trusted:
            return False
        return self._turnout.is_full(tenant)

    def _follow(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case OutcomeEvent() if event.status == "ok" and event.cache == "miss":
                    self._turnout.answered(event.tenant)
                case FeedbackEvent() if event.revision == 1 and event.teaches:
                    self._turnout.voted(event.tenant)
                case FeedbackEvent() if event.revision == 1 and self.are_full(event.tenant):
                    self._unheard[event.tenant] += 1
