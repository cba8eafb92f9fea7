"""A retrain is due after the first outcomes, then whenever half of all feedback is newer."""

import numpy as np
import pytest

from jobs.due import Due, due
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


class Rated:
    """A log in which one event in ten is a vote, and one in a hundred takes an old one back."""

    def __init__(self) -> None:
        self.counted, self.seq, self.rated, self.since = 0, 0, 0, 0
        self._chance = np.random.default_rng(0)

    def goes_on(self) -> None:
        self.seq += 1
        drawn = self._chance.random()
        self.since += drawn < 0.11
        self.rated += int(drawn < 0.10) - int(self.rated > 0 and 0.10 <= drawn < 0.11)

    def position(self) -> int:
        return self.seq

    def counts(self) -> Counts:
        self.counted += 1
        return counts(self.rated, self.since)


def test_whoever_looks_again_and_again_finds_it_at_once_and_counts_now_and_then() -> None:
    log, looked, retrains = Rated(), Due(25), 0
    for _ in range(100_000):
        log.goes_on()
        wanted = due(counts(log.rated, log.since), 25)
        assert looked.by_now(log) is wanted  # type: ignore[arg-type]
        if wanted:
            log.since, retrains = 0, retrains + 1
    assert retrains > 5
    assert log.counted < 1_500
