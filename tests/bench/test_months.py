"""Months of which every bill is known: what happens in them, and what the page says of reports."""

from collections.abc import Sequence

import numpy as np
import pytest

from bench.months import CheckedFigure, Months, page
from bench.options import Options
from bench.synthetic import synthetic

OPTIONS = Options(willingness_to_pay_usd=0.002, feedback=0.5, control=0.15)
STUDY = Months(synthetic().sample(150, 0), OPTIONS, 250)


@pytest.fixture(scope="module")
def months() -> Sequence[Sequence[CheckedFigure]]:
    return [STUDY.of(seed) for seed in (1, 2)]


@pytest.mark.slow
def test_a_month_is_told_beside_its_truth(months: Sequence[Sequence[CheckedFigure]]) -> None:
    told = {each.what: each for each in months[0]}
    assert {"always arm2", "always arm2, not arm0", "word count", "satisfaction"} <= set(told)
    whole = told["always arm2"]
    assert whole.is_told
    assert whole.truth > 0
    assert whole.low < whole.estimate < whole.high
    assert abs(whole.estimate - whole.truth) < whole.high - whole.low
    parts = [told[f"always arm2, not {arm}"].truth for arm in ("arm0", "arm1")]
    # What is part of neither is what failed calls have cost before arm2 itself answered.
    assert sum(parts) == pytest.approx(whole.truth, rel=0.05)


def test_the_page_counts_how_often_the_truth_was_held(
    months: Sequence[Sequence[CheckedFigure]],
) -> None:
    lines = list(page([(STUDY, months)]))
    [row] = [line for line in lines if line.startswith("| always arm2 |")]
    held = np.mean([each.held for month in months for each in month if each.what == "always arm2"])
    assert row.endswith(f"| {held:.1%} |")
    assert "## 2 months of 250 prompts, 50% rated: synthetic, control 15%" in lines
