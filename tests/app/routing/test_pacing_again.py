"""What is predicted anew of an earlier prompt at a start is what was predicted when it came."""

import numpy as np

from app.routing.pacing import Pacing, Past
from bench.options import START_S, Options
from bench.router import ReplayRouter
from policy.pacer import Budget
from tests.bench.worlds import easy


def test_a_pacer_that_starts_again_has_the_forecasts_of_before_while_nothing_was_learned() -> None:
    table = easy(20)
    budget_usd = float(table.cost_usd.mean())
    options = Options(budget_usd_per_request=budget_usd)
    router = ReplayRouter(table, table.sketches("text"), "again", options)
    for t in range(len(table)):
        router.choose(t, t, table.arms)
    decisions = [router._unrated[t] for t in range(len(table))]
    goal = Budget(budget_usd, "request")
    again = Pacing.start(goal, None, Past(decisions), router.learned, START_S + len(table))
    for before, after in zip(router._pacer.ring.forecasts, again.pacer.ring.forecasts, strict=True):
        assert before.arms == after.arms
        assert np.ptp(before.drawn_usd, axis=0).max() > 0
        for name in ("quality", "cost_usd", "drawn", "doubt"):
            np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
        np.testing.assert_allclose(before.drawn_usd, after.drawn_usd, rtol=1e-12)
