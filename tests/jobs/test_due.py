"""A retrain is due after the first outcomes, then whenever half of all feedback is newer."""

import pytest

from jobs.due import due
from storage.records import Counts


def counts(rated: int, since: int) -> Counts:
    return Counts(decisions=999, outcomes=999, rated=rated, evals=0, feedback_since_retrain=since)


@pytest.mark.parametrize(
    ("rated", "since", "wanted"),
    [(24, 24, False), (25, 25, True), (49, 24, False), (50, 25, True), (100, 49, False)],
)
def test_due_after_the_first_outcomes_and_then_at_half(
    rated: int, since: int, wanted: bool
) -> None:
    assert due(counts(rated, since), 25) is wanted


def test_ten_thousand_outcomes_are_ten_retrains() -> None:
    done, last = 0, 0
    for rated in range(1, 10_001):
        if due(counts(rated, rated - last), 25):
            done, last = done + 1, rated
    assert done == 9
