"""Thumbs and rewards on their way to the log; a bad one evicts the answer it is about."""

import time
from dataclasses import dataclass

from app.answers.cache import Cache
from app.routing.observed import Recording
from storage.records import Rating

DOWN = 0.5  # a lower reward says that the answer is not to be given again


@dataclass(frozen=True, slots=True)
class Vote:
    """What one rater says of one decision; a reward of None withdraws what was said before."""

    decision_id: str
    rater: str
    reward: float | None
    comment: str | None = None


class Ratings:
    """Takes votes; safe for many threads."""

    def __init__(self, log: Recording, cache: Cache, window_s: float) -> None:
        self._log = log
        self._cache = cache
        self._window_s = window_s

    def rate(self, vote: Vote, tenant: str | None) -> Rating:
        """Return what a vote changed, durably; `tenant` None may rate whosever decision it is.

        raises : UnknownDecision, also where it is another tenant's; FeedbackClosed, InvalidInput,
                 StoreUnavailable
        """
        rating = self._log.rate(
            vote.decision_id,
            vote.rater,
            vote.reward,
            comment=vote.comment,
            at_s=time.time(),
            tenant=tenant,
            window_s=self._window_s,
        )
        if vote.reward is not None and vote.reward < DOWN:
            given = self._log.decision(vote.decision_id).decision
            self._cache.evict(given.answer_of or given.id, given.tenant)
        return rating
