"""Feedback tokens: what lets one person's browser rate one answer, without any key."""

import time

from app.keys.holder import Holder
from app.keys.subkeys import Subkeys, is_tag, tag
from policy.errors import FeedbackClosed, Unauthenticated
from storage.records import Decision

PREFIX = "tpf_"
BROWSER = "browser"
"""The rater that a token stands for: whoever was shown the answer."""
CHANGES = "10/minute"
"""How often a thumb may be changed with one token: each change is an event in the log."""


class FeedbackTokens:
    """Signs tokens that last as long as feedback is taken, and knows them again; none is stored."""

    def __init__(self, subkeys: Subkeys, window_s: float) -> None:
        self._signing = subkeys.of("feedback/v1")
        self._window_s = window_s

    def of(self, decision: Decision) -> str:
        """Return the token with which this decision may be rated: the same one each time."""
        until = f"{int(decision.decided_at_s + self._window_s):x}"
        return f"{PREFIX}{until}_{tag(self._signing, f'{decision.id}.{until}')}"

    def holder(self, token: str, decision_id: str) -> Holder:
        """Return who holds a token: somebody who may rate this decision, and nothing else.

        raises : Unauthenticated if it is none, or another decision's; FeedbackClosed if it is over
        """
        until, _, signed = token.removeprefix(PREFIX).partition("_")
        if not is_tag(self._signing, f"{decision_id}.{until}", signed):
            raise Unauthenticated(
                "the feedback token is not one of ours for this decision", param="feedback_token"
            )
        if time.time() >= int(until, 16):
            raise FeedbackClosed(
                "the feedback token is over, with the time in which it may be used",
                param="feedback_token",
            )
        return Holder(
            "feedback token",
            key_id=f"feedback on {decision_id}",
            scopes=frozenset({"feedback"}),
            rate_limit=CHANGES,
        )
