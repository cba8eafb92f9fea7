"""What is wished for of a budget that others spend too, what is given back, and what counts."""

import numpy as np
import pytest

from app.routing.pacing import Pacing, Past, Piece
from jobs.learned import Learned
from policy.decide import Question
from policy.eligibility import Demand
from policy.pacer import Budget, Hold
from storage.allotments import Allotment
from tests.jobs.test_learned import HYPER, SPACE

NOON_S = 20_000 * 86_400.0 + 43_200.0
HOUR = int(NOON_S // 3_600)


def shared(spent_usd: float = 0.0) -> Pacing:
    """Return the pacing of ten dollars an hour: 0.5 are spent here and 1.5 reserved."""
    past = Past(spent_usd=spent_usd, is_shared=True)
    budget, learned = Budget(10.0, "hour"), Learned.under(1, SPACE, HYPER)
    pacing = Pacing.start(budget, None, past, learned, NOON_S)
    hold = Hold(1.0, 1.5)
    pacing.pacer = pacing.pacer.decided(None, hold, NOON_S).settled(hold, 0.5, NOON_S)
    pacing.pacer = pacing.pacer.decided(None, hold, NOON_S)
    return pacing


@pytest.mark.parametrize(("piece", "part"), [("some", 0.1), ("all", 1.0), ("none", 0.0)])
def test_what_is_spent_and_reserved_is_wished_for_and_a_piece_of_what_nobody_has(
    piece: Piece, part: float
) -> None:
    pacing = shared()
    pacing.allot(Allotment(usd=4.0, elsewhere_usd=3.0, elsewhere_hz=1.0), HOUR)
    wish = pacing.wish("service", "me", piece, NOON_S)
    assert wish.usd == pytest.approx(2.0 + part * (10.0 - 2.0 - 3.0))
    assert (wish.limit_usd, wish.span, wish.spent_usd) == (10.0, HOUR, 0.0)
    # A smaller piece counts here before it is given back, a larger one once it is taken.
    assert pacing.left_usd(NOON_S) == pytest.approx(min(wish.usd, 4.0) - 2.0)


def test_what_the_log_knows_was_spent_is_told_in_its_own_hour_and_is_no_ones_to_spend() -> None:
    pacing = shared(spent_usd=3.0)
    assert pacing.left_usd(NOON_S) == 0.0
    wish = pacing.wish("service", "me", "all", NOON_S)
    assert (wish.spent_usd, wish.usd) == (3.0, pytest.approx(7.0))
    assert pacing.wish("service", "me", "all", NOON_S + 3_600).spent_usd == 0.0


def test_a_piece_of_an_hour_that_is_over_is_not_spent_from() -> None:
    pacing = shared()
    pacing.allot(Allotment(usd=9.0, elsewhere_usd=0.0, elsewhere_hz=0.0), HOUR - 1)
    assert pacing.left_usd(NOON_S) == 0.0


def test_who_shares_with_others_is_never_alone() -> None:
    """Alone, a call may reserve less than its longest answer; elsewhere one may be under way."""
    question = Question(np.zeros(64), Demand(10), 0.01)
    for elsewhere_usd in (0.0, 3.0):
        pacing = shared()
        pacing.allot(Allotment(usd=4.0, elsewhere_usd=elsewhere_usd, elsewhere_hz=0.0), HOUR)
        demand = pacing.limited(question, NOON_S).demand
        assert (demand.left_usd, demand.is_alone) == (2.0, elsewhere_usd == 0.0)
