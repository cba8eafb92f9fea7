"""What is drawn are means so far and shares of the latest prompts."""

import numpy as np

from bench.drawing import WINDOW, cumulative, moving, page
from bench.live import Lived, Sending
from bench.options import Options
from bench.replay import Played
from tests.bench.worlds import easy


def test_a_running_mean_ends_at_the_mean() -> None:
    values = np.random.default_rng(0).random(50)
    expected = [values[: i + 1].mean() for i in range(50)]
    np.testing.assert_allclose(cumulative(values), expected)


def test_a_moving_share_forgets_what_is_older_than_its_window() -> None:
    chosen = np.random.default_rng(0).random(3 * WINDOW) < 0.3
    expected = [chosen[max(0, i + 1 - WINDOW) : i + 1].mean() for i in range(3 * WINDOW)]
    np.testing.assert_allclose(moving(chosen), expected)


def test_the_page_of_a_live_run_sets_it_beside_the_dearest_arm() -> None:
    table = easy(60)
    dearest, cheapest = (int(pick(table.cost_usd.mean(axis=0))) for pick in (np.argmax, np.argmin))
    played = Played.none(np.arange(60))
    played.arms[:] = cheapest
    played.reward[:] = table.scores[:, cheapest]
    played.cost_usd[:] = table.cost_usd[:, cheapest]
    lived = Lived(played, 0, {"retrains": [], "policy_version": 1})
    [told] = [line for line in page(table, Sending(Options(), 30.0), lived) if "dearest" in line]
    always, usd = table.scores[:, dearest].mean(), table.cost_usd[:, dearest].mean()
    assert f"Always {table.names[dearest]}, the dearest: {always:.4f} for ${usd:.3g} " in told
    assert (
        f"has {played.reward.mean() / always:.1%}, at {played.cost_usd.mean() / usd:.0%} " in told
    )
