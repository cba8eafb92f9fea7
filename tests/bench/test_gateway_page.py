"""The page of a gateway run says what was measured, and leaves out what was not."""

from bench.gateway import Measured
from bench.gateway_page import page

FIGURES = {
    "Turnpike": {"cpu_ms_c32": [1.6, 1.4, 1.5], "held": [1000.0], "held_s": [11.0]},
    "nginx": {"cpu_ms_c32": [0.03]},
}


def test_the_page_has_medians_and_a_dash_for_what_is_missing() -> None:
    lines = page(Measured(FIGURES, {"nginx": "3 failed"}, rounds=3, held=1_000), "python -m x")
    row = next(line for line in lines if line.startswith("| Turnpike"))
    assert row.startswith("| Turnpike | 1.500 | - |")
    assert any(line.startswith("| nginx | 0.030 |") for line in lines)
    assert (
        "- CPU of a request at 32 callers: Turnpike 1.50 ms, nginx 0.03 ms: 50.00 of it." in lines
    )
    assert "- nginx: 3 failed" in lines


def test_without_held_streams_there_is_no_table_of_them() -> None:
    assert not any("streams at once" in line for line in page(Measured(FIGURES, {}, 1, 0), "x"))
