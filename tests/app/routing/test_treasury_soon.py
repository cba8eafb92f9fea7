"""When to ask again: soon for what calls under way hold of a budget, else once it starts anew."""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.routing.pacing import SOON_S
from policy.types import DAY_S
from tests.app.keyed import Keyed
from tests.app.routing.test_treasury import BODY, CALL_USD, TOKENS, pricing


def test_what_a_call_under_way_holds_is_worth_asking_for_soon(tmp_path: Path) -> None:
    with pricing(tmp_path) as priced:
        shop = Keyed(priced, budget_usd=19 * CALL_USD)
        long, too_long = ({**BODY, "max_tokens": n * TOKENS} for n in (10, 20))

        def refused(body: dict[str, Any]) -> int:
            response = shop.post("/complete", body)
            assert response.status_code == 429
            return int(response.headers["retry-after"])

        asked = {**long, "stream": True}
        with closing(priced.client.post("/complete", json=asked, headers=shop.headers)) as answer:
            next(iter(answer.response))
            assert refused(long) == SOON_S
            left_s = DAY_S - time.time() % DAY_S
            assert refused(too_long) == pytest.approx(left_s, abs=5)
        assert shop.post("/complete", long).status_code == 200
