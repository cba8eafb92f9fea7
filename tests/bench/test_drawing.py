"""What is drawn are means so far and shares of the latest prompts."""

import numpy as np

from bench.drawing import WINDOW, cumulative, moving


def test_a_running_mean_ends_at_the_mean() -> None:
    values = np.random.default_rng(0).random(50)
    expected = [values[: i + 1].mean() for i in range(50)]
    np.testing.assert_allclose(cumulative(values), expected)


def test_a_moving_share_forgets_what_is_older_than_its_window() -> None:
    chosen = np.random.default_rng(0).random(3 * WINDOW) < 0.3
    expected = [chosen[max(0, i + 1 - WINDOW) : i + 1].mean() for i in range(3 * WINDOW)]
    np.testing.assert_allclose(moving(chosen), expected)
