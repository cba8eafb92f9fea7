"""The views say what the tables hold, in words and sums a person can check."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.reader import LogReader
from tests.storage.conftest import OpenLog
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME, but

View = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def view(open_log: OpenLog) -> Iterator[View]:
    with open_log() as log:
        assert isinstance(log, LogReader)
        for i, (arm, cost_usd) in enumerate([("small", 0.002), ("small", 0.001), ("large", 0.012)]):
            log.decide(but(DECISION, id=f"d{i}", arm=arm, decided_at_s=NOON_S + i))
            log.settle(but(OUTCOME, decision_id=f"d{i}", arm=arm, cost_usd=cost_usd)).wait()
        log.decide(but(DECISION, id="open", decided_at_s=NOON_S - 1)).wait()
        for rater, reward in (
            ("ann", 1.0),
            ("ann", 0.0),
            ("bob", 1.0),
            ("eve", 1.0),
            ("eve", None),
        ):
            log.rate("d0", rater, reward, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        yield lambda name: [dict(row) for row in log.ask(f"SELECT * FROM {name}", {})]


def test_decisions_read_like_sentences(view: View) -> None:
    newest, _, rated, unfinished = view("decisions_readable")
    assert newest["decided_at"].startswith("2027-01-1")
    assert newest["propensities"] == "small 0.75, large 0.25"
    assert (newest["cost_usd_predicted"], newest["cost_usd"]) == (0.010, 0.012)
    assert (rated["id"], rated["reward"], rated["status"]) == ("d0", 0.5, "ok")
    assert (unfinished["id"], unfinished["status"]) == ("open", None)


def test_effective_feedback_is_the_last_word_of_each_rater(view: View) -> None:
    found = {row["rater"]: row["reward"] for row in view("feedback_effective")}
    assert found == {"ann": 0.0, "bob": 1.0}


def test_savings_add_up_by_hand(view: View) -> None:
    savings = {row["arm"]: row for row in view("savings")}
    small, large = savings["small"], savings["large"]
    assert (small["requests"], large["requests"]) == (2, 1)
    assert small["cost_usd"] == pytest.approx(0.003)
    assert small["cost_usd_if_dearest"] == pytest.approx(2 * 0.010)
    assert small["saved_usd"] == pytest.approx(0.017)
    assert large["saved_usd"] == pytest.approx(0.010 - 0.012)
    assert (small["mean_reward"], small["rated_share"]) == (0.5, 0.5)
    assert (large["mean_reward"], large["rated_share"]) == (None, 0.0)
