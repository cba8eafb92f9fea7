"""What writing costs, measured once: every answer is in the log where there is one."""

import pytest

from bench.writing import DISK, OFF, SHARED, Cost, lines, measure


@pytest.mark.slow
def test_the_service_answers_with_its_log_on_a_disk_in_memory_and_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.writing.SECONDS", 0.5)
    monkeypatch.setattr("bench.writing.WARM_S", 0.2)
    found = measure(1, lambda _what: None)
    assert list(found) == [DISK, SHARED, OFF]
    assert all(cost.per_s[0] > 0 and cost.cpu_ms[0] > 0 for cost in found.values())


def test_shares_are_of_the_same_round() -> None:
    found = {
        DISK: Cost([90.0, 45.0, 800.0], [1.0, 2.0, 3.0]),
        SHARED: Cost([100.0, 50.0, 900.0], [1.0, 1.0, 1.0]),
        OFF: Cost([100.0, 50.0, 1_000.0], [0.5, 0.5, 0.5]),
    }
    page = "\n".join(lines(found, 3))
    assert f"| {DISK} | 90 | 90% | 2.00 |" in page
    assert f"| {OFF} | 100 | 100% | 0.50 |" in page
