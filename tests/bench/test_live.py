"""The live bench asks the real service over HTTP, and books what the table recorded."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.live import Sending, run
from bench.options import Options
from tests.bench.worlds import easy, written


@pytest.mark.slow
def test_every_prompt_is_answered_rated_and_booked_as_recorded() -> None:
    table = easy(60)
    options = Options("both", feedback=0.5, willingness_to_pay_usd=1e6)
    lived = run(table, Sending(options, per_s=30.0, seed=1))
    played = lived.played
    assert sorted(played.rows.tolist()) == list(range(60))
    np.testing.assert_array_equal(played.reward, table.scores[played.rows, played.arms])
    np.testing.assert_allclose(
        played.cost_usd, table.cost_usd[played.rows, played.arms], rtol=0.01, atol=1e-7
    )
    counts = lived.policy["counts"]
    assert (counts["decisions"], counts["outcomes"]) == (60, 60)
    assert counts["rated"] == lived.rated > 15


@pytest.mark.slow
def test_a_live_run_leaves_a_page_and_a_picture(tmp_path: Path) -> None:
    table = written(easy(40), tmp_path / "easy.parquet")
    asked = ["live", str(table), "--prompts", "30", "--per-s", "40", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    page = (tmp_path / "out" / "live.md").read_text()
    assert page.rstrip() in done.output
    assert page.startswith("# easy through the running service\n\n30 real prompts")
    for name in ("thompson", "static mixture", "best single", "uniform", "oracle", "Regret"):
        assert name in page
    assert (tmp_path / "out" / "live.png").read_bytes().startswith(b"\x89PNG")
