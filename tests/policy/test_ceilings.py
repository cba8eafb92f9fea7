"""No stretch of decisions gives an arm more than its share and a burst, whatever wants it."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.ceilings import BURST, Shares
from policy.types import Arm

Run = tuple[int, bool, bool]


def arm(name: str, max_share: float | None = None) -> Arm:
    return Arm(name, "p", "m", 1.0, 1.0, 1000, max_share=max_share)


def most_above(taken: list[int], share: float) -> float:
    """Return by how much any stretch of decisions exceeds the share, in requests."""
    over = [0.0, *accumulate(each - share for each in taken)]
    lows = accumulate(over, min)
    return max(high - low for high, low in zip(over, lows, strict=True))


@given(
    st.floats(0.001, 0.999),
    st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.booleans()), max_size=12),
    st.integers(0, 400),
)
def test_no_stretch_of_decisions_exceeds_its_share_and_a_burst_nor_does_a_restart(
    share: float, runs: list[Run], restarted_at: int
) -> None:
    """A run of decisions would take the arm or not; between two somebody may have pinned it."""
    arms, shares, taken = [arm("a", share), arm("b")], Shares(), list[int]()
    steps = [each for times, *each in runs for _ in range(times)]
    for n, (is_wanted, is_pinned_too) in enumerate(steps):
        if is_pinned_too:
            shares = shares.earned(arms, 0).paid("a")
        if n == restarted_at:
            shares = Shares()
        shares = shares.earned(arms)
        takes = is_wanted and "a" not in shares.used_up(arms)
        shares = shares.paid("a" if takes else "b")
        taken.append(int(takes))
    assert most_above(taken, share) <= BURST + 1e-6
    assert sum(taken) <= share * len(taken) + 1e-6


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 0.9])
def test_who_always_wants_it_gets_the_whole_share(share: float) -> None:
    arms, shares, taken = [arm("a", share)], Shares(), 0
    for _ in range(3000):
        shares = shares.earned(arms)
        if not shares.used_up(arms):
            shares, taken = shares.paid("a"), taken + 1
    assert taken == int(3000 * share + 1e-6)
    assert (shares.of("a").requests, shares.of("a").of) == (taken, 3000)


def test_after_an_outage_of_the_others_an_arm_owes_nothing() -> None:
    arms, shares = [arm("a", 0.5)], Shares()
    for _ in range(100):
        shares = shares.earned(arms).paid("a")
    assert shares.earned(arms).used_up(arms) == {"a": "it has had its share of 0.5"}
    assert not shares.earned(arms).earned(arms).used_up(arms)


def test_an_arm_that_leaves_the_catalogue_or_loses_its_share_is_bound_by_none() -> None:
    shares = Shares().earned([arm("a", 0.5), arm("b", 0.5)]).earned([arm("a")])
    assert not shares.had
    assert not shares.used_up([arm("a")])
