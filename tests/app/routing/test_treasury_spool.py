"""What waits in the spool is spent: a budget knows of it after a restart."""

from pathlib import Path

import pytest

from tests.app.keyed import Keyed
from tests.app.routing.test_treasury import ARM, BODY, CALL_USD, exact
from tests.app.running import catalogue, running
from tests.storage.filling import little_room
from upstream.provider import serve

ROOM_BYTES = 65_536


@pytest.mark.slow
def test_a_restart_on_a_full_disk_gives_no_budget_anew(tmp_path: Path) -> None:
    dials = {"budget_usd": 3.5 * CALL_USD, "budget_per": "day"}
    told: list[list[int]] = []
    with serve(exact, lambda: ["one"]) as provider:
        arms = catalogue(tmp_path, provider.url, {"one": ARM})
        with running(tmp_path, arms, **dials) as service:
            shop = Keyed(service, budget_usd=2.5 * CALL_USD, budget_per="day")
            site = Keyed(service, "site")
        with little_room(ROOM_BYTES):
            for keys in ([shop] * 3, [shop, site, site], [shop, site]):
                with running(tmp_path, arms, **dials) as service:
                    shop.service = site.service = service
                    told.append([key.post("/complete", BODY).status_code for key in keys])
                    assert service.parts.log.standing.waiting > 0
        with running(tmp_path, arms, **dials) as service:
            site.service = service
            told.append([site.post("/complete", BODY).status_code])
            assert service.parts.log.spend_usd(0.0) == pytest.approx(3 * CALL_USD)
    assert told == [[200, 200, 429], [429, 200, 429], [429, 429], [429]]
