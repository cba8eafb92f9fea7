"""When a retrain is due because of feedback: the one rule of the scheduler and of the bench."""

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
