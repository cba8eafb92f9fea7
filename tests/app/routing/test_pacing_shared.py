"""What is wished for of a budget that others spend too, what is given back, and what counts."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from app.routing.pacing import SOON_S, Pacing, Past, Piece
from app.routing.sharing import Sharing
from jobs.learned import Learned
from policy.books import Elsewhere, Hold
from policy.decide import Question
from policy.eligibility import Demand
from policy.pacer import Budget, WillingnessToPay
from policy.ring import RING
from policy.types import DAY_S
from storage.allotments import Allotment, Wish
from storage.inbox import DURABLE_WITHIN_S, Unit
from storage.spool import Durable
from storage.sqlite_log import SqliteLog
from tests.jobs.test_learned import HYPER, SPACE
from tests.policy.test_ring import forecasts, ring

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
    pacing.allot(Allotment(4.0, Elsewhere(taken_usd=3.0, spent_usd=1.0, gone_usd=2.0)), HOUR)
    wish = pacing.wish("service", "me", piece, NOON_S)
    assert wish.usd == pytest.approx(2.0 + part * (10.0 - 2.0 - 3.0))
    assert (wish.limit_usd, wish.span, wish.before_usd) == (10.0, HOUR, 0.0)
    assert wish.spent_usd == pytest.approx(0.5 + 1.0)
    # A smaller piece counts here before it is given back, a larger one once it is taken.
    assert pacing.left_usd(NOON_S) == pytest.approx(min(wish.usd, 4.0) - 2.0)


def test_what_the_log_knows_was_spent_is_told_in_its_own_hour_and_is_no_ones_to_spend() -> None:
    pacing = shared(spent_usd=3.0)
    assert pacing.left_usd(NOON_S) == 0.0
    wish = pacing.wish("service", "me", "all", NOON_S)
    assert (wish.before_usd, wish.usd) == (3.0, pytest.approx(7.0))
    assert pacing.wish("service", "me", "all", NOON_S + 3_600).before_usd == 0.0


def test_a_piece_of_an_hour_that_is_over_is_not_spent_from() -> None:
    pacing = shared()
    pacing.allot(Allotment(9.0, Elsewhere()), HOUR - 1)
    assert pacing.left_usd(NOON_S) == 0.0


@pytest.mark.parametrize(("limit_usd", "left_usd"), [(10.0, 4.0), (7.0, 2.0), (4.0, 0.0)])
def test_of_a_lower_ceiling_a_piece_of_a_higher_one_is_worth_no_more_than_is_left(
    limit_usd: float, left_usd: float
) -> None:
    past, learned = Past(is_shared=True), Learned.under(1, SPACE, HYPER)
    pacing = Pacing.start(WillingnessToPay(1.0), Budget(10.0, "day"), past, learned, NOON_S)
    pacing.allot(Allotment(4.0, Elsewhere(taken_usd=5.0)), int(NOON_S // DAY_S))
    pacing.capped(Budget(limit_usd, "day"))
    assert pacing.left_usd(NOON_S) == left_usd


def test_what_others_have_taken_and_not_spent_is_worth_asking_for_soon() -> None:
    """Of ten dollars half of one is spent here, and one and a half are under way."""
    for gone_usd, settled_usd, waits_s in (
        (1.0, 0.0, SOON_S),
        (3.0, 0.0, 3_600),
        (0.0, 4.0, 3_600),
    ):
        pacing = shared()
        pacing.allot(Allotment(2.0, Elsewhere(taken_usd=8.0, gone_usd=gone_usd)), HOUR)
        pacing.settled("billed beyond its prices", settled_usd, NOON_S)
        assert pacing.left_usd(NOON_S) == 0.0
        assert pacing.leaves_in_s(7.0, NOON_S) == waits_s


def test_who_shares_with_others_is_never_alone() -> None:
    """Alone, a call may reserve less than its longest answer; elsewhere one may be under way."""
    question = Question(np.zeros(64), Demand(10), 0.01)
    for taken_usd in (0.0, 3.0):
        pacing = shared()
        pacing.allot(Allotment(4.0, Elsewhere(taken_usd=taken_usd)), HOUR)
        demand = pacing.limited(question, "so much is left", NOON_S).demand
        assert (demand.left_usd, demand.is_alone) == (2.0, taken_usd == 0.0)


def test_eight_who_share_a_day_plan_with_all_that_none_has_spent(tmp_path: Path) -> None:
    """What the others have taken and not spent will be spent too; only a dead one's will not."""
    budget, learned = Budget(80.0, "day"), Learned.under(1, SPACE, HYPER)
    past = Past(is_shared=True)
    eight = [Pacing.start(budget, None, past, learned, NOON_S) for _ in range(8)]
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for _ in range(3):
            for n, each in enumerate(eight):
                wish = dataclasses.replace(
                    each.wish("service", str(n), "some", NOON_S), rate_hz=1.0
                )
                each.allot(log.allot(wish).wait(), wish.span)
    taken_usd = eight[0].pacer.books.elsewhere.taken_usd
    assert 0.4 * budget.usd < taken_usd < 0.6 * budget.usd
    for each in eight:
        assert each.pacer.unspent_usd(NOON_S) == pytest.approx(budget.usd)
        assert each.pacer.target_usd(NOON_S) == pytest.approx(budget.usd / (7 * 43_200))


def test_who_is_asked_no_more_has_nobody_else_save_for_it(tmp_path: Path) -> None:
    """It stood in for the other for some minutes, is up, and has had no request for hours."""
    budget, learned, past = Budget(80.0, "day"), Learned.under(1, SPACE, HYPER), Past((), 0.0, True)
    it, other = (Pacing.start(budget, None, past, learned, NOON_S) for _ in range(2))
    asked = [dataclasses.replace(each, at_s=NOON_S + i) for i, each in enumerate(forecasts(RING))]
    it.pacer = dataclasses.replace(it.pacer, ring=ring(asked))
    now_s = NOON_S + 6 * 3_600
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n, each in enumerate((it, other)):
            wish = each.wish("service", str(n), "none", now_s)
            each.allot(log.allot(wish).wait(), wish.span)
    assert other.pacer.books.elsewhere.rate_hz == pytest.approx(RING / (6 * 3_600), rel=0.01)


def test_the_wishes_of_a_round_are_asked_for_together(tmp_path: Path) -> None:
    """Each that was waited for alone would be a commit of its own."""
    told: list[str] = []
    budgets = {f"key {n}": shared() for n in range(20)}

    class Telling(SqliteLog):
        def allot(self, wish: Wish) -> "Told":
            told.append("asked")
            return Told(super().allot(wish))

    class Told:
        durable: Durable = "log"

        def __init__(self, ticket: Unit[Allotment]) -> None:
            self._ticket = ticket

        def wait(self, timeout_s: float = DURABLE_WITHIN_S) -> Allotment:
            told.append("waited")
            return self._ticket.wait(timeout_s)

    with Telling(tmp_path / "turnpike.db") as log:
        Sharing(log, threading.Lock(), lambda: budgets).keep(NOON_S)
    assert told == ["asked"] * 20 + ["waited"] * 20
    assert [each.pacer.books.allotted_usd for each in budgets.values()] == [pytest.approx(2.8)] * 20
