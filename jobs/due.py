"""When a retrain is due because of feedback: the one rule of the scheduler and of the bench."""

from math import ceil

from storage.learnable import LearnableLog
from storage.records import Counts

GROWTH = 0.5
"""A retrain pays when half of all feedback is newer than the last one, so their number is a log."""


def due(counts: Counts, first_outcomes: int) -> bool:
    """Return whether enough has been rated since the last retrain.

    >>> counts = Counts(decisions=90, outcomes=90, rated=60, evals=0, feedback_since_retrain=30)
    >>> due(counts, 25), due(counts, 31)
    (True, False)
    """
    return counts.feedback_since_retrain >= max(first_outcomes, GROWTH * counts.rated)


class Due:
    """Whether one is due, of a log that is looked at again and again.

    To count all ratings of a long log takes a while: they are counted when one may be due.
    """

    def __init__(self, first_outcomes: int) -> None:
        self._first_outcomes = first_outcomes
        self._not_before_seq = 0

    def by_now(self, log: LearnableLog) -> bool:
        """Return whether enough has been rated since the last retrain."""
        position = log.position()
        if position < self._not_before_seq:
            return False
        counts = log.counts()
        self._not_before_seq = position + _events_until(counts, self._first_outcomes)
        return due(counts, self._first_outcomes)


def _events_until(counts: Counts, first_outcomes: int) -> int:
    """Return how many more events it takes at the least: each is one vote more, or one less."""
    new = counts.feedback_since_retrain
    return ceil(max(first_outcomes - new, (GROWTH * counts.rated - new) / (1 + GROWTH), 0))
