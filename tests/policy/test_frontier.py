"""The frontier is what choosing each prompt's best arm by hand would cost and bring."""

import numpy as np
import pytest

from policy.frontier import frontier

PAYMENTS = np.geomspace(1e-5, 1.0, 25).tolist()


def test_each_point_is_what_an_exhaustive_search_finds() -> None:
    rng = np.random.default_rng(0)
    quality, cost = rng.random((40, 3)), rng.uniform(1e-5, 1e-2, (40, 3))
    quality[rng.random((40, 3)) < 0.3] = np.nan
    quality[:, 0] = rng.random(40)  # one arm is always eligible
    for point in frontier(quality, cost, PAYMENTS):
        taken = []
        for q, c in zip(quality.tolist(), cost.tolist(), strict=True):
            eligible = [i for i in range(3) if not np.isnan(q[i])]
            utility = [q[i] - c[i] / point.willingness_to_pay_usd for i in eligible]
            arm = eligible[utility.index(max(utility))]
            taken.append((c[arm], q[arm]))
        assert (point.cost_usd, point.quality) == pytest.approx(np.mean(taken, axis=0))


def test_paying_more_for_a_thumbs_up_never_buys_less_quality_nor_costs_less() -> None:
    rng = np.random.default_rng(1)
    points = frontier(rng.random((100, 4)), rng.uniform(1e-5, 1e-2, (100, 4)), PAYMENTS)
    assert (np.diff([point.cost_usd for point in points]) >= -1e-15).all()
    assert (np.diff([point.quality for point in points]) >= -1e-15).all()
    assert points[-1].quality > points[0].quality
