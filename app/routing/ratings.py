"""Thumbs and rewards on their way to the log."""

import time
from dataclasses import dataclass

from app.routing.observed import Observed
from storage.records import Rating


@dataclass(frozen=True, slots=True)
class Vote:
    """What one rater says of one decision; a reward of None withdraws what was said before."""

    decision_id: str
    rater: str
    reward: float | None
    comment: str | None = None


class Ratings:
    """Takes votes; safe for many threads."""

    def __init__(self, log: Observed, window_s: float) -> None:
        self._log = log
        self._window_s = window_s

    def rate(self, vote: Vote, tenant: str | None) -> Rating:
        """Return what a vote changed, durably; `tenant` None may rate whosever decision it is.

        raises : UnknownDecision, also where it is another tenant's; FeedbackClosed, InvalidInput,
                 StoreUnavailable
        """
        return self._log.rate(
            vote.decision_id,
            vote.rater,
            vote.reward,
            comment=vote.comment,
            at_s=time.time(),
            tenant=tenant,
            window_s=self._window_s,
        )
