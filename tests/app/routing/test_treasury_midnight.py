"""What is spent around midnight is of one day: in the books, and in the log a restart reads."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from policy.types import DAY_S
from tests.app.routing.test_treasury import CALL_USD, TOKENS, pricing

LOOKS = 12
LOOK_S = 0.25


def test_a_call_counts_in_the_same_day_of_the_books_and_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever look at the clock amid a call is the first one of the new day."""
    midnight_s, now_s = (time.time() // DAY_S + 1) * DAY_S, 0.0

    def later() -> float:
        nonlocal now_s
        now_s += LOOK_S
        return now_s

    days = {}
    with pricing(tmp_path, budget_usd=1.0, budget_per="day") as service:
        clock = SimpleNamespace(time=later, monotonic=time.monotonic)
        for room in ("live", "router"):
            monkeypatch.setattr(f"app.routing.{room}.time", clock)
        for n in range(LOOKS):
            new_s = midnight_s + n * DAY_S
            now_s = new_s - n * LOOK_S - LOOK_S / 2
            service.ask(max_tokens=TOKENS)
            booked_usd = service.parts.live._treasury.service.pacer.at(new_s).books.spent_usd
            days[n] = booked_usd, service.parts.log.spend_usd(new_s, new_s + DAY_S)
    assert {logged_usd for _, logged_usd in days.values()} == {0.0, CALL_USD}
    assert [logged_usd for _, logged_usd in days.values()] == pytest.approx(
        [booked_usd for booked_usd, _ in days.values()]
    )
